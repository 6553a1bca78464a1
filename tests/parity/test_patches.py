"""Overlapping patches of published models with small random weights."""

import numpy as np
import pytest
from published import array, close, models, randomize, torch

import keras_mmembed as mm


def patches(layer, conv, pixels):
    x = pixels.transpose(0, 2, 3, 1)
    layer.build(x.shape)
    kernel = array(conv.weight).transpose(2, 3, 1, 0)
    layer.set_weights([kernel.reshape(-1, kernel.shape[-1]), array(conv.bias)])
    return array(layer(x))


@pytest.mark.parametrize("size, stride, padding", [(7, 4, 2), (3, 2, 1)])
def test_cvt(size, stride, padding):
    module = models.cvt.modeling_cvt.CvtConvEmbeddings(size, 3, 16, stride, padding)
    module = randomize(module)
    pixels = np.random.default_rng(0).normal(size=(2, 3, 22, 27)).astype("float32")
    layer = mm.PatchEmbedding(
        size, 16, strides=stride, padding=padding, remainder="crop"
    )
    got = torch.tensor(patches(layer, module.projection, pixels)).float()
    expected = module(torch.tensor(pixels)).permute(0, 2, 3, 1)
    close(array(module.normalization(got)), expected, atol=1e-4)


def test_segformer():
    module = models.segformer.modeling_segformer
    module = randomize(module.SegformerOverlapPatchEmbeddings(7, 4, 3, 16))
    pixels = np.random.default_rng(0).normal(size=(2, 3, 20, 32)).astype("float32")
    layer = mm.PatchEmbedding(7, 16, strides=4, padding=3, remainder="crop")
    got = torch.tensor(patches(layer, module.proj, pixels)).float()
    expected, *_ = module(torch.tensor(pixels))
    close(array(module.layer_norm(got)).reshape(2, -1, 16), expected, atol=1e-4)
