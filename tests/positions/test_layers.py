"""Position layers against the formula in float64, at every shape and precision."""

import keras
import ml_dtypes
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors import array, encoding

import keras_mmembed as mm

ONE, TWO, THREE = (
    mm.PositionEmbedding1D,
    mm.PositionEmbedding2D,
    mm.PositionEmbedding3D,
)
EXACT = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@settings(max_examples=12, deadline=None)
@given(length=st.integers(1, 40), width=st.integers(1, 33), start=st.integers(0, 999))
def test_sequence(length, width, start):
    expected = reference.interleaved(range(start, start + length), width)
    got = encoding(ONE(), 2, length, width, start_index=start)
    np.testing.assert_allclose(got, [expected] * 2, atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), channels=st.integers(2, 25))
def test_grid(height, width, channels):
    expected = reference.grid(height, width, channels)
    got = encoding(TWO(), 1, height, width, channels)[0]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    flat = encoding(TWO(height, width), 1, height * width, channels)[0]
    np.testing.assert_allclose(flat, expected.reshape(-1, channels), atol=1e-5)


@settings(max_examples=6, deadline=None)
@given(
    frames=st.integers(1, 5),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    channels=st.integers(2, 13),
)
def test_clip(frames, height, width, channels):
    expected = reference.clip(frames, height, width, channels)
    got = encoding(THREE(), 1, frames, height, width, channels)[0]
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("position", [1_000, 65_537, 1_000_003, 2**24 - 1])
def test_large_positions(position):
    expected = reference.interleaved([position], 64)
    got = encoding(ONE(), 1, 1, 64, positions=np.array([[position]], "int32"))
    np.testing.assert_allclose(got[0], expected, atol=1e-5)


def test_seconds():
    seconds = np.array([[0.0, 0.25, 1.5, 59.9375]], "float32")
    expected = reference.interleaved(seconds[0], 16)
    got = encoding(ONE(), 1, 4, 16, positions=seconds)[0]
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]
)
def test_distinct_rows_in_half_precision(kind, dtype):
    layer = ONE(2048, kind=kind, dtype=dtype)
    outputs = encoding(layer, 1, 2048, 128)[0]
    assert len(np.unique(outputs, axis=0)) == 2048


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_the_formula_rounded_once(dtype):
    expected = reference.interleaved(range(2048), 64)
    got = encoding(ONE(dtype=f"mixed_{dtype}"), 1, 2048, 64)[0]
    rounded = expected.astype(EXACT[dtype]).astype("float64")
    spacing = {"float16": 2.0**-10, "bfloat16": 2.0**-7}[dtype]
    ulp = np.maximum(np.abs(expected), 2.0**-14) * spacing
    # the angle is a float32, so near zero its own rounding shows
    assert np.all(np.abs(got - rounded) <= ulp + 4e-6)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_start_index_for_each_sample(kind):
    layer = ONE(20, kind=kind)
    whole = encoding(layer, 1, 20, 8)[0]
    starts = np.array([3, 0, 11], "int32")
    got = encoding(layer, 3, 4, 8, start_index=starts)
    np.testing.assert_allclose(got, [whole[s : s + 4] for s in starts], atol=1e-6)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
@pytest.mark.parametrize("policy", ["clip", "zero"])
def test_positions_beyond_the_end(kind, policy):
    layer = ONE(4, kind=kind, out_of_range=policy)
    inside = encoding(layer, 1, 4, 8)[0]
    positions = np.array([[-1, 0, 3, 4, 2_000_000]], "int32")
    got = encoding(layer, 1, 5, 8, positions=positions)[0]
    edge = inside[[0, 0, 3, 3, 3]]
    if policy == "zero":
        edge[[0, 3, 4]] = 0.0
    np.testing.assert_allclose(got, edge, atol=1e-6)


@pytest.mark.parametrize("policy", ["clip", "zero"])
def test_an_unread_row_gets_no_gradient_and_no_update(policy):
    inputs = keras.Input((None, 8))
    layer = ONE(6, kind="learned", out_of_range=policy)
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = model.get_weights()[0]
    model.fit(np.zeros((2, 3, 8)), np.ones((2, 3, 8)), verbose=0)
    changed = (model.get_weights()[0] != before).any(axis=-1)
    assert changed.tolist() == [True] * 3 + [False] * 3


@pytest.mark.parametrize("start", [0, 5, 14])
def test_a_part_of_the_declared_sequence(start):
    got = encoding(ONE(20), 1, 6, 8, start_index=start)
    expected = [reference.interleaved(range(start, start + 6), 8)]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_positions_in_lists():
    pairs = [[0, 1], [2, 0], [1, 1]]
    expected = encoding(TWO(), 1, 3, 8, positions=np.array(pairs))
    np.testing.assert_array_equal(encoding(TWO(), 1, 3, 8, positions=pairs), expected)
    seconds = [0.0, 0.5, 0.75]
    expected = [reference.interleaved(seconds, 8)]
    got = encoding(ONE(), 1, 3, 8, positions=seconds)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_bands_of_grids_that_are_not_known_before():
    layer, sizes = TWO(convention="perceiver"), ((2, 3), (3, 2))
    expected = np.zeros((2, 6, 10))
    for sample, grid in enumerate(sizes):
        expected[sample] = encoding(layer, 1, *grid, 10).reshape(6, 10)
    got = encoding(layer, 2, 6, 10, grid=np.array(sizes))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    inputs = keras.Input((None, None, 10))
    model = keras.Model(inputs, layer(inputs))
    for sample, grid in enumerate(sizes):
        got = model.predict(np.zeros((1, *grid, 10)), verbose=0)
        np.testing.assert_allclose(got.reshape(6, 10), expected[sample], atol=1e-6)


def test_nothing_but_prefix_tokens():
    layer = ONE(4, kind="learned", num_prefix_tokens=2)
    got = encoding(layer, 1, 2, 8)
    np.testing.assert_array_equal(got[0], array(layer.prefix_embeddings))


def test_prefix_tokens_come_before_the_count():
    layer = ONE(9, kind="learned", num_prefix_tokens=2)
    got = encoding(layer, 1, 6, 8)[0]
    np.testing.assert_array_equal(got[:2], array(layer.prefix_embeddings))
    np.testing.assert_array_equal(got[2:], array(layer.embeddings)[:4])
    plain = encoding(ONE(num_prefix_tokens=2), 1, 6, 8)[0]
    expected = np.concatenate([np.zeros((2, 8)), reference.interleaved(range(4), 8)])
    np.testing.assert_allclose(plain, expected, atol=1e-6)


def test_encodings_are_added_to_what_is_there():
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    expected = x + reference.interleaved(range(5), 8)
    np.testing.assert_allclose(array(ONE()(x)), expected, atol=1e-6)
