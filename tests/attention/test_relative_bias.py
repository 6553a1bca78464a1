"""Relative position biases against their formula, pair by pair."""

import math

import keras
import numpy as np
import pytest
from tensors import array
from weights import randomize

import keras_mmembed as mm
from keras_mmembed.attention.offsets import alibi_slopes, log_buckets

HEADS = 3


def bucket(offset, number, far, bidirectional):
    """Return the bucket of one offset, in Python's own arithmetic."""
    upper = 0
    if bidirectional:
        number //= 2
        upper = number if offset > 0 else 0
    elif offset > 0:
        return 0
    distance, exact = abs(offset), number // 2
    if distance < exact:
        return upper + distance
    # the logarithm of float64 is below the whole number where it should be equal
    place = exact + math.log(distance / exact) / math.log(far / exact) * (
        number - exact
    )
    return upper + min(math.floor(place + 1e-6), number - 1)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("number, far", [(32, 128), (64, 256), (8, 20), (16, 100)])
def test_buckets(number, far, bidirectional):
    expected = [bucket(o, number, far, bidirectional) for o in range(-far, far + 1)]
    got = log_buckets(number, far, bidirectional)
    np.testing.assert_array_equal(got, expected)
    assert max(expected) == number - 1


def pairs(queries, keys=None):
    """Yield batch, query, key and their positions, of arrays with a batch axis."""
    keys = queries if keys is None else keys
    for b in range(len(queries)):
        for q, at in enumerate(queries[b]):
            for k, other in enumerate(keys[b]):
                yield b, q, k, at, other


def built(layer, *positions):
    layer(*positions)
    return randomize(layer)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_t5(bidirectional):
    rng = np.random.default_rng(0)
    positions = rng.integers(0, 300, (2, 9)).astype("int32")
    keys = rng.integers(0, 300, (2, 5)).astype("int32")
    layer = mm.RelativePositionBias(HEADS, bidirectional=bidirectional)
    got = array(built(layer, positions, keys)(positions, keys))
    table = array(layer.embeddings)
    assert got.shape == (2, HEADS, 9, 5)
    for b, q, k, at, other in pairs(positions, keys):
        row = bucket(int(other) - int(at), 32, 128, bidirectional)
        np.testing.assert_array_equal(got[b, :, q, k], table[row])


def test_documents():
    rng = np.random.default_rng(0)
    positions = rng.integers(0, 900, (2, 6, 3)).astype("int32")
    layer = mm.RelativePositionBias(HEADS, convention="layoutlmv3", scale=0.25)
    got = array(built(layer, positions)(positions))
    names = ("position_embeddings", "x_embeddings", "y_embeddings")
    one, x, y = (array(getattr(layer, name)) for name in names)
    for b, q, k, at, other in pairs(positions):
        offsets = [int(o) - int(a) for a, o in zip(at, other, strict=True)]
        expected = (
            one[bucket(offsets[0], 32, 128, True)]
            + x[bucket(offsets[1], 64, 256, True)]
            + y[bucket(offsets[2], 64, 256, True)]
        )
        np.testing.assert_allclose(got[b, :, q, k], expected / 4, atol=1e-6)


def grid_positions(*sizes):
    return np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), -1).reshape(
        -1, len(sizes)
    )


@pytest.mark.parametrize("sizes", [(5,), (2, 4), (3, 3), (2, 3, 4)])
def test_grids_of_any_shape(sizes):
    layer = mm.RelativePositionBias(HEADS, convention="swin", grid=sizes)
    positions = grid_positions(*sizes)
    positions = positions[:, 0] if len(sizes) == 1 else positions
    got = array(built(layer, positions)(positions))
    table = array(layer.embeddings)
    assert table.shape == (*(2 * size - 1 for size in sizes), HEADS)
    for _, q, k, at, other in pairs(positions.reshape(1, -1, len(sizes))):
        row = tuple(a - o + s - 1 for a, o, s in zip(at, other, sizes, strict=True))
        np.testing.assert_array_equal(got[0, :, q, k], table[row])


def test_special_tokens():
    layer = mm.RelativePositionBias(HEADS, convention="beit", grid=(2, 3))
    positions = np.concatenate([[[-1, -1]], grid_positions(2, 3)])
    got = array(built(layer, positions)(positions))[0]
    special = array(layer.special_embeddings)
    for q in range(1, 7):
        np.testing.assert_array_equal(got[:, 0, q], special[0])
        np.testing.assert_array_equal(got[:, q, 0], special[1])
    np.testing.assert_array_equal(got[:, 0, 0], special[2])
    swin = mm.RelativePositionBias(HEADS, convention="swin", grid=(2, 3))
    got = array(built(swin, positions)(positions))[0]
    assert (got[:, 0] == 0).all()
    assert (got[:, :, 0] == 0).all()
    assert (got[:, 1:, 1:] != 0).all()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_another_grid_reads_the_resized_table(interpolation):
    layer = mm.RelativePositionBias(
        HEADS, convention="beit", grid=(3, 4), interpolation=interpolation
    )
    positions = grid_positions(5, 2)
    got = array(built(layer, grid_positions(3, 4))(positions, grid=(5, 2)))
    resized = mm.resize_positions(layer.embeddings, (9, 3), interpolation)
    for _, q, k, at, other in pairs(positions[None]):
        row = tuple(at - other + np.array([4, 1]))
        np.testing.assert_allclose(got[0, :, q, k], resized[row], atol=1e-6)


def test_a_compiled_step_takes_the_nearest_offset():
    layer = mm.RelativePositionBias(HEADS, convention="swin", grid=(3,))
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, layer(inputs))
    randomize(model)
    outside = np.array([[0, 1, 2, 7]])
    if keras.backend.backend() == "torch":  # which runs it eagerly
        with pytest.raises(ValueError, match=r"positions\[..., 0\]` must lie in"):
            model.predict(outside, verbose=0)
        return
    got = model.predict(outside, verbose=0)
    table = array(layer.embeddings)
    np.testing.assert_allclose(got[0, :, 3, 0], table[4], atol=1e-6)
    np.testing.assert_allclose(got[0, :, 0, 3], table[0], atol=1e-6)


@pytest.mark.parametrize("heads", [8, 12, 1])
def test_alibi(heads):
    layer = mm.RelativePositionBias(heads, convention="alibi")
    positions = np.array([[0, 1, 2, 50]])
    got = array(layer(positions))
    assert not layer.weights
    slopes = [2.0 ** (-8 * (i + 1) / 8) for i in range(8)]
    slopes += [2.0 ** (-8 * i / 16) for i in (1, 3, 5, 7)]
    slopes = [2.0**-8] if heads == 1 else slopes[:heads]
    for _, q, k, at, other in pairs(positions):
        expected = -np.array(slopes) * abs(at - other)
        np.testing.assert_allclose(got[0, :, q, k], expected, rtol=1e-6)
    assert len(alibi_slopes(heads)) == heads


def test_one_step_of_decoding_is_a_row_of_the_whole():
    layer = built(mm.RelativePositionBias(HEADS, bidirectional=False), np.arange(9))
    whole = array(layer(np.arange(9)))
    step = array(layer(np.array([8]), np.arange(9)))
    np.testing.assert_array_equal(step[:, :, 0], whole[:, :, 8])


@pytest.mark.parametrize("convention, axes", [("t5", 1), ("layoutlmv3", 3)])
def test_biases_depend_on_differences_of_positions(convention, axes):
    rng = np.random.default_rng(0)
    positions = rng.integers(0, 90, (2, 6, axes)).astype("int32")
    layer = built(mm.RelativePositionBias(HEADS, convention=convention), positions)
    here, there = array(layer(positions)), array(layer(positions + 1000))
    np.testing.assert_array_equal(here, there)
    assert np.abs(array(layer(positions * 2)) - here).max() > 0.1


def test_large_positions_are_not_rounded_in_half_precision():
    positions = 2**20 + np.arange(4)
    layer = mm.RelativePositionBias(HEADS, dtype="bfloat16")
    got = array(built(layer, positions)(positions))
    near = array(layer(np.arange(4)))
    np.testing.assert_array_equal(got, near)
    assert len(np.unique(got[0, 0, 0])) == 4


@pytest.mark.parametrize("convention", ["t5", "layoutlmv3", "swin", "beit"])
def test_tables_have_gradients(convention):
    axes = {"t5": 1, "layoutlmv3": 3}.get(convention, 2)
    grid = {"grid": (3, 3)} if axes == 2 else {}
    layer = mm.RelativePositionBias(HEADS, convention=convention, **grid)
    inputs = keras.Input((4, axes), dtype="int32")
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = [array(weight) for weight in layer.trainable_weights]
    positions = np.array(
        [[[-1] * axes if axes == 2 else [0] * axes] + [[1] * axes] * 3]
    )
    model.fit(positions, np.ones((1, HEADS, 4, 4)), verbose=0)
    assert before
    for weight, old in zip(layer.trainable_weights, before, strict=True):
        assert np.abs(array(weight) - old).max() > 1e-3, weight.path


def test_positions_of_what_a_fusion_returns():
    fusion = mm.MultiModalFusion(
        {"image": {"type": "2d", "dim": 4}}, 4, cls_token=True, return_dict=True
    )
    fused = fusion({"image": np.zeros((2, 2, 3, 4))})
    positions = mm.rotary_positions(fused, "image")
    layer = mm.RelativePositionBias(HEADS, convention="beit", grid=(2, 3))
    own = np.concatenate([[[-1, -1]], grid_positions(2, 3)])
    expected = array(built(layer, own)(own))
    got = array(layer(positions))
    np.testing.assert_array_equal(got, np.repeat(expected, 2, axis=0))


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
def test_positions_of_queries_and_keys_may_have_other_dtypes(dtype):
    layer = mm.RelativePositionBias(2)
    expected = array(layer(np.arange(3, dtype="int32"), np.arange(4, dtype="int32")))
    got = array(layer(np.arange(3, dtype="int32"), np.arange(4).astype(dtype)))
    np.testing.assert_array_equal(got, expected)
