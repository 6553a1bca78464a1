"""Modules of published image models, each as one configured fusion."""

import numpy as np
import pytest
from configured import assign, configured, dense, norm, numpy, patches, table
from published import IMAGE, array, close, models, randomize, torch, transformers

import keras_mmembed as mm


def pixels_of(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def channels_last(pixels):
    return np.moveaxis(pixels.numpy(), -3, -1)


@pytest.mark.parametrize("has_class_token", [False, True])
def test_pvt_normalizes_before_positions(has_class_token):
    config = transformers.PvtConfig(hidden_dropout_prob=0.0)
    module = randomize(
        models.pvt.modeling_pvt.PvtPatchEmbeddings(
            config, (12, 16), 4, 4, 3, 16, has_class_token
        )
    )
    pixels = pixels_of(2, 3, 12, 16)
    position = mm.PositionEmbedding2D(3, 4, kind="learned")
    fusion = configured(
        {
            "image": {
                "type": "2d",
                "embedding": mm.PatchEmbedding(4, 16, data_format="channels_last"),
                "position": position,
                "normalization": {
                    "place": "features",
                    "epsilon": config.layer_norm_eps,
                    "special": False,
                },
                "start_token": has_class_token,
                "modality": False,
            }
        }
    )
    inputs = {"image": channels_last(pixels)}
    fusion(inputs)
    rows = numpy(module.position_embeddings)[0]
    token = {}
    if has_class_token:
        token = {"image__start": numpy(module.cls_token)[0] + rows[:1]}
    assign(
        fusion,
        image__embedding__projection=patches(module.projection),
        image__position=table(module.position_embeddings[0, int(has_class_token) :]),
        image__norm=norm(module.layer_norm),
        **token,
    )
    expected, *_ = module(pixels)
    close(array(fusion(inputs)["embeddings"]), expected)


@pytest.mark.parametrize("grids", [[(4, 6), (2, 2)], [(4, 4), (8, 2)]])
def test_qwen3_vl_resizes_its_table_with_aligned_corners(grids):
    config = models.qwen3_vl.Qwen3VLVisionConfig(
        depth=1,
        hidden_size=16,
        intermediate_size=16,
        num_heads=2,
        patch_size=2,
        num_position_embeddings=36,
        out_hidden_size=16,
        deepstack_visual_indexes=[],
    )
    module = models.qwen3_vl.modeling_qwen3_vl.Qwen3VLVisionModel(config)
    randomize(module)
    seen = []
    module.blocks[0].register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    rng, merge = np.random.default_rng(0), config.spatial_merge_size
    images = [rng.normal(size=(*grid, 24)).astype("float32") for grid in grids]
    blocks = [
        image.reshape(-1, merge, image.shape[1] // merge, merge, 24).swapaxes(1, 2)
        for image in images
    ]
    merged = np.concatenate([block.reshape(-1, 24) for block in blocks])
    module(torch.tensor(merged), torch.tensor([(1, *grid) for grid in grids]))

    position = mm.PositionEmbedding2D(
        6,
        6,
        kind="learned",
        interpolation="bilinear",
        align_corners=True,
        out_of_range="resize",
    )
    fusion = configured(
        {"image": {"type": "2d", "dim": 24, "position": position, "modality": False}}
    )
    batch = mm.pad_batch([{"image": image} for image in images])
    fusion(**batch)
    convolution = module.patch_embed.proj
    assign(
        fusion,
        image__position=table(module.pos_embed),
        image__projection={
            "kernel": numpy(convolution.weight).reshape(16, 24).T,
            "bias": numpy(convolution.bias),
        },
    )
    fused = fusion(**batch)
    got = array(fused["embeddings"]).reshape(
        2, *batch["inputs"]["image"].shape[1:3], 16
    )
    # published tokens come block by block, which are merged later
    expected, end = array(seen[0]), 0
    for sample, (height, width) in enumerate(grids):
        start, end = end, end + height * width
        tokens = expected[start:end].reshape(height // merge, -1, merge, merge, 16)
        tokens = tokens.swapaxes(1, 2).reshape(height, width, 16)
        np.testing.assert_allclose(got[sample, :height, :width], tokens, atol=1e-5)


def test_llava_next_ends_rows_with_a_newline():
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**IMAGE),
        text_config=transformers.LlamaConfig(
            hidden_size=16,
            num_hidden_layers=0,
            num_attention_heads=2,
            intermediate_size=8,
            vocab_size=40,
        ),
        image_grid_pinpoints=[[16, 32], [32, 16], [32, 32]],
        image_token_index=39,
    )
    module = models.llava_next.modeling_llava_next.LlavaNextModel(config)
    randomize(module)
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(2, 16, 16)).astype("float32")
    # of a wide and of a high image, cut into tiles of 4 x 4 patches each
    tiles = rng.normal(size=(2, 2, 4, 4, 16)).astype("float32")
    sizes = torch.tensor([[16, 32], [32, 16]])
    raw = [
        torch.cat([torch.tensor(one)[None], torch.tensor(tile).reshape(-1, 16, 16)])
        for one, tile in zip(whole, tiles, strict=True)
    ]
    projected = [module.multi_modal_projector(x) for x in raw]
    expected, lengths = module.pack_image_features(
        projected, sizes, "full", module.image_newline
    )
    assert lengths.tolist() == [16 + 4 * 9, 16 + 8 * 5]

    grids = [
        tiles[0].transpose(1, 0, 2, 3).reshape(4, 8, 16),
        tiles[1].reshape(8, 4, 16),
    ]
    words = np.full((2, 60), 39)
    words[0, 16 + 36 :], words[1, 16 + 40 :] = 3, 3
    words[:, -1] = [5, 6]
    import keras

    def projector():
        layers = [keras.layers.Dense(16, "gelu"), keras.layers.Dense(16)]
        return keras.Sequential(layers, name="projector")

    print(expected, projector, grids, words)
