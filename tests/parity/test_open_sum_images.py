"""Modules of published image models, each as one configured fusion."""

import numpy as np
import pytest
from configured import assign, configured, norm, numpy, patches, table
from published import array, close, models, randomize, torch, transformers

import keras_mmembed as mm


def pixels_of(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)) / 4


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
                "count_special": has_class_token,
                "modality": False,
            }
        }
    )
    inputs = {"image": channels_last(pixels)}
    fusion(inputs)
    rows = numpy(module.position_embeddings)[0]
    token = {}
    if has_class_token:
        token = {
            "image__start": numpy(module.cls_token),
            "image__start_position": rows[:1],
        }
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
    images = [rng.uniform(-1, 1, (*grid, 24)).astype("float32") for grid in grids]
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


@pytest.mark.parametrize("size, stride, padding", [(7, 4, 2), (3, 2, 1)])
def test_cvt_normalizes_overlapping_patches(size, stride, padding):
    module = models.cvt.modeling_cvt.CvtEmbeddings(size, 3, 16, stride, padding, 0.0)
    module, pixels = randomize(module), pixels_of(2, 3, 22, 27)
    embedding = mm.PatchEmbedding(
        size,
        16,
        strides=stride,
        padding=padding,
        remainder="crop",
        data_format="channels_last",
    )
    config = {"type": "2d", "embedding": embedding, "position": None}
    fusion = configured(
        {"image": {**config, "modality": False}}, normalization="shared", epsilon=1e-5
    )
    inputs = {"image": channels_last(pixels)}
    fusion(inputs)
    convolution = module.convolution_embeddings
    assign(
        fusion,
        image__embedding__projection=patches(convolution.projection),
        norm=norm(convolution.normalization),
    )
    expected = module(pixels).flatten(2).transpose(1, 2)
    close(array(fusion(inputs)["embeddings"]), expected)
