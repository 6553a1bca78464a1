"""The convolutional positional encoding against its formula in float64."""

import math

import keras
import numpy as np
import pytest
from tensors import array

import keras_mmembed as mm

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 7, 8)).astype("float32")
GELU = np.vectorize(lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))))


def formula(x, layer):
    x, rows = np.asarray(x, "float64"), layer.num_layers
    weights = iter(array(w).astype("float64") for w in layer.weights)
    share = x.shape[-1] // layer.groups
    for _ in range(rows):
        kernel, bias = next(weights), next(weights)
        if layer.weight_norm:
            norm = np.sqrt((kernel**2).sum(axis=(1, 2)))
            kernel = kernel * (next(weights) / norm)[:, None, None]
        out = np.tile(bias, (*x.shape[:2], 1))
        for t in range(x.shape[1]):
            for k in range(layer.kernel_size):
                source = t + k - layer.kernel_size // 2
                if not 0 <= source < x.shape[1]:
                    continue
                for g in range(layer.groups):
                    part = slice(g * share, (g + 1) * share)
                    out[:, t, part] += x[:, source, part] @ kernel[k, :, part]
        if layer.normalize:
            out = out - out.mean(-1, keepdims=True)
            out = out / np.sqrt((out**2).mean(-1, keepdims=True) + layer.epsilon)
        x = GELU(out)
    return x


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize(
    "size, options",
    [
        (1, {}),
        (4, {"weight_norm": True}),
        (5, {}),
        (12, {}),
        (3, {"num_layers": 3, "normalize": True}),
    ],
)
def test_formula(size, groups, options):
    layer = mm.ConvPositionEmbedding(size, groups=groups, **options)
    layer.build((None, None, 8))
    layer.set_weights([RNG.normal(size=w.shape) for w in layer.weights])
    expected = formula(X, layer)
    np.testing.assert_allclose(array(layer.encode(X)), expected, atol=1e-4)
    np.testing.assert_allclose(array(layer(X)), X + expected, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"num_layers": 3, "normalize": True}])
@pytest.mark.parametrize("size", [3, 4])
def test_padding_changes_nothing(size, options):
    layer = mm.ConvPositionEmbedding(size, groups=2, **options)
    alone = array(layer(X[:, :4]))
    padded = X.copy()
    padded[:, 4:] = np.nan
    mask = np.arange(7)[None] < np.array([[4], [4]])
    got = array(layer(padded, mask=mask))
    np.testing.assert_allclose(got[:, :4], alone, atol=1e-6)
    # the mask that inputs carry is the same
    masking = keras.layers.Masking()
    zeros = np.where(mask[..., None], X, 0.0)
    np.testing.assert_allclose(array(layer(masking(zeros)))[:, :4], alone, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 0, 8), (0, 5, 8)])
def test_sizes_of_0(shape):
    layer = mm.ConvPositionEmbedding(3, groups=2)
    assert tuple(layer(np.zeros(shape, "float32")).shape) == shape


def test_one_layer_after_the_other_has_numbered_weights():
    layer = mm.ConvPositionEmbedding(3, groups=2, num_layers=2, weight_norm=True)
    layer.build((None, None, 8))
    names = ["kernel", "bias", "gain"]
    expected = [f"{name}_{i}" for i in range(2) for name in names]
    assert [w.name for w in layer.weights] == expected


@pytest.mark.parametrize(
    "options, rule",
    [
        ({"groups": 3}, "be divisible by groups=3"),
        ({"kernel_size": 0}, "be at least 1"),
        ({"num_layers": 0}, "be at least 1"),
        ({"activation": "gelo"}, "be an activation of Keras"),
        ({"epsilon": 0}, "be greater than 0"),
    ],
)
def test_messages(options, rule):
    with pytest.raises(ValueError, match=rule):
        mm.ConvPositionEmbedding(**options)(X)


def test_messages_of_calls():
    layer = mm.ConvPositionEmbedding(3, groups=2)
    layer(X)
    with pytest.raises(ValueError, match=r"`mask.shape` must be \(2, 7\)"):
        layer(X, mask=np.ones((2, 6), bool))
    with pytest.raises(ValueError, match="be 8, as the layer was built for"):
        layer(X[..., :6])
    with pytest.raises(ValueError, match=r"be \(batch, length, width\)"):
        layer(X[0])
