"""Published embeddings of patches and tubelets, each as one configured fusion."""

import numpy as np
import pytest
from configured import assign, configured, dense, norm, numpy, patches
from published import (
    IMAGE,
    array,
    close,
    models,
    randomize,
    torch,
    transformers,
)

import keras_mmembed as mm


def pixels_of(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)) / 4


def channels_last(pixels):
    return np.moveaxis(pixels.numpy(), -3, -1)


def image_of(embedding, **keys):
    """Return a ViT's image: patches, and a table of 4 x 4 positions."""
    position = mm.PositionEmbedding2D(
        4,
        4,
        kind="learned",
        interpolation="bicubic",
        antialias=keys.pop("antialias", False),
        out_of_range="resize",
    )
    keys = {"position": position, "modality": False, **keys}
    return {"type": "2d", "embedding": embedding, **keys}


@pytest.mark.parametrize("size", [(16, 16), (24, 20)])
@pytest.mark.parametrize("name", ["bridgetower", "owlvit"])
def test_images_of_clip(name, size):
    if name == "bridgetower":
        published = models.bridgetower.modeling_bridgetower
        config = transformers.BridgeTowerVisionConfig(**IMAGE)
        module = published.BridgeTowerVisionEmbeddings(config)
    else:
        published = models.owlvit.modeling_owlvit
        config = transformers.OwlViTVisionConfig(**IMAGE)
        module = published.OwlViTVisionEmbeddings(config)
    module, pixels = randomize(module), pixels_of(2, 3, *size)
    embedding = mm.PatchEmbedding(
        4, 16, use_bias=False, data_format="channels_last", name="embedding"
    )
    fusion = configured(
        {"image": image_of(embedding, start_token=True, count_special=True)}
    )
    inputs = {"image": channels_last(pixels)}
    fusion(inputs)
    rows = numpy(module.position_embedding.weight)
    assign(
        fusion,
        image__embedding__projection=patches(module.patch_embedding),
        image__position={"embeddings": rows[1:]},
        image__start=numpy(module.class_embedding),
        image__start_position=rows[:1],
    )
    expected = module(pixels, interpolate_pos_encoding=True)
    close(array(fusion(inputs)["embeddings"]), expected)


@pytest.mark.parametrize("size", [(16, 16), (24, 20)])
def test_dinov2_has_registers_and_a_mask_token(size):
    config = transformers.Dinov2WithRegistersConfig(**IMAGE, num_register_tokens=2)
    published = models.dinov2_with_registers.modeling_dinov2_with_registers
    module = randomize(published.Dinov2WithRegistersEmbeddings(config))
    pixels = pixels_of(2, 3, *size)
    tokens = size[0] * size[1] // 16
    marked = np.random.default_rng(0).random((2, tokens)) < 0.4
    embedding = mm.PatchEmbedding(4, 16, data_format="channels_last")
    fusion = configured(
        {"image": image_of(embedding, antialias=True, mask_token=True)},
        cls_token=True,
        num_registers=2,
    )
    call = {"inputs": {"image": channels_last(pixels)}, "masked": {"image": marked}}
    fusion(**call)
    rows = numpy(module.position_embeddings)[0]
    assign(
        fusion,
        cls_embedding=numpy(module.cls_token)[0] + rows[:1],
        register_embeddings=numpy(module.register_tokens),
        image__embedding__projection=patches(module.patch_embeddings.projection),
        image__position={"embeddings": rows[1:]},
        image__mask_token=numpy(module.mask_token),
    )
    close(array(fusion(**call)["embeddings"]), module(pixels, torch.tensor(marked)))


def test_llama4_has_its_class_token_last():
    config = transformers.Llama4VisionConfig(
        **{**IMAGE, "intermediate_size": 64},
        vision_output_dim=16,
        projector_input_dim=16,
        projector_output_dim=16,
    )
    module = models.llama4.modeling_llama4.Llama4VisionModel(config)
    module, pixels, seen = randomize(module), pixels_of(2, 3, 16, 16), []
    module.layernorm_pre.register_forward_hook(lambda *args: seen.append(args[2]))
    module(pixels)
    embedding = mm.PatchEmbedding(
        4, 16, use_bias=False, data_format="channels_last", name="embedding"
    )
    fusion = configured(
        {"image": image_of(embedding, end_token=True, count_special=True)},
        normalization="shared",
        epsilon=1e-5,
    )
    inputs = {"image": channels_last(pixels)}
    fusion(inputs)
    rows = numpy(module.positional_embedding_vlm)
    kernel = numpy(module.patch_embedding.linear.weight).reshape(16, 3, 4, 4)
    assign(
        fusion,
        image__embedding__projection={"kernel": kernel.transpose(2, 3, 1, 0)},
        image__position={"embeddings": rows[:-1]},
        image__end=numpy(module.class_embedding),
        image__end_position=rows[-1:],
        norm=norm(module.layernorm_pre),
    )
    close(array(fusion(inputs)["embeddings"]), seen[0].reshape(2, 17, 16))


def test_vivit_has_one_table_for_its_clip():
    config = transformers.VivitConfig(
        **{**IMAGE, "image_size": 8}, num_frames=4, tubelet_size=[2, 4, 4]
    )
    module = randomize(models.vivit.modeling_vivit.VivitEmbeddings(config))
    frames = pixels_of(2, 4, 3, 8, 8)
    embedding = mm.TubeletEmbedding((2, 4, 4), 16, data_format="channels_last")
    position = mm.PositionEmbedding3D(2, 2, 2, kind="learned", combination="joint")
    fusion = configured(
        {
            "video": {
                "type": "3d",
                "embedding": embedding,
                "position": position,
                "start_token": True,
                "count_special": True,
                "modality": False,
            }
        }
    )
    inputs = {"video": channels_last(frames)}
    fusion(inputs)
    rows = numpy(module.position_embeddings)[0]
    assign(
        fusion,
        video__embedding__projection=patches(module.patch_embeddings.projection),
        video__position={"embeddings": rows[1:]},
        video__start=numpy(module.cls_token),
        video__start_position=rows[:1],
    )
    close(array(fusion(inputs)["embeddings"]), module(frames))


def test_pix2struct_adds_a_row_and_a_column():
    config = transformers.Pix2StructVisionConfig(
        hidden_size=16, patch_embed_hidden_size=12, seq_len=9, num_hidden_layers=1
    )
    published = models.pix2struct.modeling_pix2struct
    module = randomize(published.Pix2StructVisionEmbeddings(config))
    rng = np.random.default_rng(0)
    positions = rng.integers(0, 9, (2, 6, 2))
    x = rng.normal(size=(2, 6, 12)).astype("float32")
    position = mm.PositionEmbedding2D(9, 9, kind="learned", combination="sum")
    fusion = configured(
        {"image": {"type": "2d", "dim": 12, "position": position, "modality": False}}
    )
    call = {"inputs": {"image": x}, "positions": {"image": positions}}
    fusion(**call)
    assign(
        fusion,
        image__projection=dense(module.patch_projection),
        image__position={
            "height_embeddings": numpy(module.row_embedder.weight),
            "width_embeddings": numpy(module.column_embedder.weight),
        },
    )
    raw = np.concatenate([positions, x], axis=-1).astype("float32")
    close(array(fusion(**call)["embeddings"]), module(torch.tensor(raw)))


def test_sines_of_grounding_dino_count_valid_tokens():
    config = transformers.GroundingDinoConfig(d_model=16)
    published = models.grounding_dino.modeling_grounding_dino
    module = published.GroundingDinoSinePositionEmbedding(config)
    mask = np.zeros((2, 5, 7), bool)
    mask[0, :4, :6], mask[1, :, :3] = True, True
    expected = array(module(torch.zeros(2, 16, 5, 7), torch.tensor(mask).long()))
    position = mm.PositionEmbedding2D(
        convention="detr", max_wavelength=config.positional_embedding_temperature
    )
    fusion = configured(
        {"image": {"type": "2d", "dim": 16, "position": position, "modality": False}}
    )
    x = pixels_of(2, 5, 7, 16).numpy()
    got = array(fusion({"image": x}, mask={"image": mask})["embeddings"])
    expected = (x + expected.transpose(0, 2, 3, 1))[mask]
    np.testing.assert_allclose(got.reshape(x.shape)[mask], expected, atol=1e-5)
