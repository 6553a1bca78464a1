"""Learned tables read at grids of other sizes, as published models read them."""

import numpy as np
import pytest
from published import (
    IMAGE,
    array,
    close,
    learned,
    models,
    randomize,
    torch,
    transformers,
)

import keras_mmembed as mm


def test_naflex_grids_of_siglip2():
    module = models.siglip2.modeling_siglip2.Siglip2VisionEmbeddings(
        models.siglip2.Siglip2VisionConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            patch_size=4,
            num_patches=36,
        )
    )
    randomize(module)
    grids = np.array([[3, 8], [5, 4], [2, 2]], "int32")
    x = np.random.default_rng(0).normal(size=(3, 24, 48)).astype("float32")
    expected = array(module(torch.tensor(x), torch.tensor(grids)))
    features = array(module.patch_embedding(torch.tensor(x))).astype("float32")
    layer = mm.PositionEmbedding2D(
        6,
        6,
        kind="learned",
        interpolation="bilinear",
        antialias=True,
        out_of_range="resize",
    )
    learned(layer, module.position_embedding.weight, 16)
    got = array(layer(features, grid=grids))
    for sample, count in enumerate(grids.prod(axis=1)):
        np.testing.assert_allclose(
            got[sample, :count], expected[sample, :count], atol=1e-5
        )


def test_fractional_buckets_of_idefics2():
    config = models.idefics2.configuration_idefics2.Idefics2VisionConfig(**IMAGE)
    module = models.idefics2.modeling_idefics2.Idefics2VisionEmbeddings(config)
    randomize(module)
    grids = np.array([[4, 3], [2, 4]], "int32")
    mask = np.zeros((2, 4, 4), bool)
    for sample, (height, width) in enumerate(grids):
        mask[sample, :height, :width] = True
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    expected = array(module(pixels, torch.tensor(mask)))
    patches = array(module.patch_embedding(pixels).flatten(2).transpose(1, 2))
    layer = mm.PositionEmbedding2D(
        4, 4, kind="learned", interpolation="nearest", out_of_range="resize"
    )
    learned(layer, module.position_embedding.weight, 16)
    for sample, grid in enumerate(grids):
        chosen = mask[sample].ravel()
        tokens = patches[sample : sample + 1, chosen].astype("float32")
        got = array(layer(tokens, grid=tuple(int(size) for size in grid)))[0]
        np.testing.assert_allclose(got, expected[sample, chosen], atol=1e-5)


@pytest.mark.parametrize("size", [(24, 20), (16, 16), (8, 32)])
def test_vit_at_another_size(size):
    config = transformers.ViTConfig(**IMAGE)
    module = randomize(models.vit.modeling_vit.ViTEmbeddings(config))
    pixels = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    expected = module(pixels, interpolate_pos_encoding=True)
    layer = mm.PositionEmbedding2D(
        4,
        4,
        kind="learned",
        interpolation="bicubic",
        out_of_range="resize",
        num_prefix_tokens=1,
    )
    layer.build((None, None, 16))
    table = array(module.position_embeddings)[0]
    layer.prefix_embeddings.assign(table[:1])
    layer.embeddings.assign(table[1:].reshape(4, 4, 16))
    patches = module.patch_embeddings.projection(pixels).flatten(2).transpose(1, 2)
    tokens = torch.cat([module.cls_token, patches], dim=1)
    grid = (size[0] // 4, size[1] // 4)
    if grid[0] * grid[1] == 16 and grid != (4, 4):
        # transformers only looks at the count; here the grid is really resampled
        native = torch.tensor(table[1:].reshape(4, 4, 16)).permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(native, size=grid, mode="bicubic")
        resized = resized[0].permute(1, 2, 0).reshape(-1, 16)
        patch = array(tokens)[0]
        expected = torch.tensor(patch + np.concatenate([table[:1], array(resized)]))
        expected = expected[None]
    got = array(layer(array(tokens).astype("float32"), grid=grid))
    close(got, expected)
