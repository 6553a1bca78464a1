"""Convolutional positions of published models with small random weights."""

import numpy as np
import pytest
from published import SMALL, array, close, models, randomize, torch

import keras_mmembed as mm

X = np.random.default_rng(0).normal(size=(2, 9, 16)).astype("float32")


def kernel_of(weight):
    return array(weight).transpose(2, 1, 0)


@pytest.mark.parametrize("size", [6, 5])
@pytest.mark.parametrize("is_folded", [False, True])
def test_wav2vec2(size, is_folded):
    from transformers import Wav2Vec2Config

    config = Wav2Vec2Config(
        **SMALL, num_conv_pos_embeddings=size, num_conv_pos_embedding_groups=4
    )
    module = models.wav2vec2.modeling_wav2vec2.Wav2Vec2PositionalConvEmbedding(config)
    module = randomize(module)
    layer = mm.ConvPositionEmbedding(size, groups=4, weight_norm=not is_folded)
    layer.build((None, None, 16))
    conv = module.conv
    weights = conv.parametrizations.weight
    values = [kernel_of(weights.original1), array(conv.bias)]
    if is_folded:
        values[0] = kernel_of(conv.weight)
    else:
        values.append(array(weights.original0).ravel())
    layer.set_weights(values)
    close(array(layer.encode(X)), module(torch.tensor(X)), atol=1e-4)
    # as in the encoder, which zeroes what is masked
    mask = np.arange(9)[None] < np.array([[9], [6]])
    zeroed = np.where(mask[..., None], X, 0.0).astype("float32")
    expected = torch.tensor(zeroed) + module(torch.tensor(zeroed))
    got = array(layer(X, mask=mask))
    np.testing.assert_allclose(got[mask], array(expected)[mask], atol=1e-4)


@pytest.mark.parametrize("size", [4, 5])
def test_data2vec_audio(size):
    from transformers import Data2VecAudioConfig

    config = Data2VecAudioConfig(
        **SMALL,
        num_conv_pos_embeddings=3,
        conv_pos_kernel_size=size,
        num_conv_pos_embedding_groups=4,
    )
    module = models.data2vec.modeling_data2vec_audio
    module = randomize(module.Data2VecAudioPositionalConvEmbedding(config))
    layer = mm.ConvPositionEmbedding(size, groups=4, num_layers=3, normalize=True)
    layer.build((None, None, 16))
    values = [
        value
        for one in module.layers
        for value in (kernel_of(one.conv.weight), array(one.conv.bias))
    ]
    layer.set_weights(values)
    close(array(layer.encode(X)), module(torch.tensor(X)), atol=1e-4)
