"""Rotary position embeddings against their formula, pair by pair, in float64."""

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import ops
from tensors import array

import keras_mmembed as mm
from keras_mmembed.attention.rotary_conventions import (
    ROTARY_CONVENTION_NAMES,
    ROTARY_CONVENTIONS,
)

HEAD = 32


def spectrum(base, pairs):
    return [base ** (-k / pairs) for k in range(pairs)]


def halves(axes, spectra, start=0, pairs=None):
    """Return `(first, second, axis, frequency)` of pairs of channel c and c + n."""
    n = pairs or len(axes)
    return [(start + k, start + k + n, axes[k], spectra[k]) for k in range(n)]


def neighbours(axes, spectra):
    return [(2 * k, 2 * k + 1, axes[k], spectra[k]) for k in range(len(axes))]


def round_robin(sections):
    pairs = range(sum(sections))
    return [k % 3 if k % 3 and k < 3 * sections[k % 3] else 0 for k in pairs]


ROWS, COLUMNS = [0] * 8, [1] * 8
TWICE = spectrum(1e4, 8) * 2
# the pairs of a head of 32 channels
PAIRS = {
    "llama": halves([0] * 16, spectrum(1e4, 16)),
    "gptj": neighbours([0] * 16, spectrum(1e4, 16)),
    "glm": neighbours([0] * 8, spectrum(1e4, 8)),
    "qwen2_vl": halves([0] * 4 + [1] * 6 + [2] * 6, spectrum(1e6, 16)),
    "qwen3_vl": halves(round_robin((8, 4, 4)), spectrum(5e6, 16)),
    "qwen3_5": halves(round_robin((2, 1, 1)), spectrum(1e7, 4)),
    "glm4v": neighbours([0] * 2 + [1] * 3 + [2] * 3, spectrum(1e4, 8)),
    "ernie4_5_vl": neighbours([1, 2] * 6 + [0] * 4, spectrum(5e5, 16)),
    "qwen2_vl_vision": halves(ROWS + COLUMNS, TWICE),
    "gemma4_vision": halves(ROWS, spectrum(100, 8))
    + halves(COLUMNS, spectrum(100, 8), 16),
    "pixtral": halves(
        ROWS + COLUMNS, spectrum(1e4, 16)[0::2] + spectrum(1e4, 16)[1::2]
    ),
    "llama4_vision": neighbours(COLUMNS + ROWS, TWICE),
    "dinov3": halves(ROWS + COLUMNS, [2 * np.pi * f for f in spectrum(100, 8) * 2]),
}
OPTIONS = {"qwen3_5": {"sections": (2, 1, 1)}, "ernie4_5_vl": {"sections": (6, 6, 4)}}
OPTIONS["qwen3_vl"] = {"sections": (8, 4, 4)}


def layer_of(name, **kwargs):
    return mm.RotaryEmbedding(name, **OPTIONS.get(name, {}), **kwargs)


def turned(x, coordinates, pairs):
    """Turn each pair as a complex number; coordinates are `(..., length, axes)`."""
    x, out = x.astype("float64"), x.astype("float64").copy()
    for first, second, axis, frequency in pairs:
        angle = coordinates[..., axis].astype("float64") * frequency
        number = (x[..., first] + 1j * x[..., second]) * np.exp(1j * angle)[..., None]
        out[..., first], out[..., second] = number.real, number.imag
    return out


def coordinates_of(name, positions):
    rules = ROTARY_CONVENTIONS[name]
    if rules.coordinates == "index":
        return positions
    inside = positions >= 0
    if rules.coordinates == "index_from_1":
        return np.where(inside, positions + 1, 0)
    grid = positions.max(axis=-2, keepdims=True) + 1
    return np.where(inside, 2 * (positions + 0.5) / grid - 1, 0.0)


def queries(length=6, head_dim=HEAD, batch=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, length, 3, head_dim)).astype("float32")


def positions_of(name, length=6, batch=2, high=40):
    rng = np.random.default_rng(1)
    axes = len(ROTARY_CONVENTIONS[name].axes)
    positions = rng.integers(0, high, (batch, length, axes)).astype("int32")
    positions[0, 0] = -1 if ROTARY_CONVENTIONS[name].coordinates != "index" else 0
    return positions


def test_every_convention_is_tested():
    assert {*PAIRS, "hunyuan_vl", "vjepa2"} == set(ROTARY_CONVENTION_NAMES)
    assert set(ROTARY_CONVENTIONS) == set(ROTARY_CONVENTION_NAMES)


@pytest.mark.parametrize("name", PAIRS)
def test_formula(name):
    x, positions = queries(), positions_of(name)
    expected = turned(x, coordinates_of(name, positions), PAIRS[name])
    got = array(layer_of(name)(x, positions))
    np.testing.assert_allclose(got, expected, atol=2e-5)
    # the token that is not turned
    np.testing.assert_array_equal(got[0, 0], x[0, 0])


@pytest.mark.parametrize("name", ROTARY_CONVENTION_NAMES)
def test_slices_and_reshapes_are_the_gather_of_partners(name):
    layer, x, positions = layer_of(name), queries(), positions_of(name)
    channels = layer.channels(HEAD)
    coordinates = coordinates_of(name, positions).astype("float64")
    angle = coordinates[..., channels.axis] * channels.frequency
    angle = angle[..., None, :]
    inside = x[..., : len(channels.sign)].astype("float64")
    partners = channels.sign * inside[..., channels.partner]
    expected = inside * np.cos(angle) + partners * np.sin(angle)
    got = array(layer(x, positions))
    np.testing.assert_allclose(got[..., : inside.shape[-1]], expected, atol=2e-5)
    np.testing.assert_array_equal(
        got[..., inside.shape[-1] :], x[..., inside.shape[-1] :]
    )


def test_hunyuan_has_an_axis_per_channel():
    channels = mm.RotaryEmbedding("hunyuan_vl").channels(HEAD)
    assert channels.axis.tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 8
    np.testing.assert_allclose(channels.frequency, spectrum(1e4, 16) * 2, 1e-12)


def test_vjepa2_has_a_frequency_per_channel():
    channels = mm.RotaryEmbedding("vjepa2").channels(HEAD)
    assert channels.axis.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    np.testing.assert_allclose(channels.frequency, spectrum(1e4, 5) * 6, 1e-12)
    assert channels.partner.tolist()[:4] == [1, 0, 3, 2]


# the two that are no rotations change norms, and scores with the place
@pytest.mark.parametrize("name", PAIRS)
def test_scores_depend_on_differences_of_positions(name):
    rules = ROTARY_CONVENTIONS[name]
    layer = layer_of(name)
    query, key = queries(1), queries(1)[::-1]
    here = np.random.default_rng(2).integers(0, 9, (2, 1, len(rules.axes)))
    grid = {"grid": np.array([60] * 2)} if rules.coordinates == "centers" else {}

    def scores(query_positions, key_positions):
        turns = [
            array(layer(x, positions, **grid))
            for x, positions in ((query, query_positions), (key, key_positions))
        ]
        return np.sum(turns[0] * turns[1], axis=-1)

    near, far = scores(here, here[::-1]), scores(here + 50, here[::-1] + 50)
    np.testing.assert_allclose(near, far, atol=1e-4)
    other = scores(here + 1, here[::-1])
    assert np.abs(other - near).max() > 0.05


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_the_formula_rounded_once(dtype):
    exact = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}[dtype]
    positions = np.arange(2**20 - 64, 2**20 + 64)
    x = queries(128, batch=1).astype(exact)
    expected = turned(x.astype("float64"), positions[:, None], PAIRS["llama"])
    layer = mm.RotaryEmbedding(dtype=dtype)
    got = layer(ops.convert_to_tensor(x.astype("float32"), dtype=dtype), positions)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    # within the error of the angle, 2e-6 of numbers below 5, of a tie: both are right
    low, high = (
        (expected + error).astype(exact).astype("float64") for error in (-1e-5, 1e-5)
    )
    got = array(got)
    assert ((low <= got) & (got <= high)).all()
    assert (low == high).mean() > {"bfloat16": 0.97, "float16": 0.85}[dtype]


def test_tables_of_a_million_positions_are_the_formula_rounded_once():
    layer = mm.RotaryEmbedding()
    layer.build((None, None, 1, 8))
    positions = np.arange(2**20, dtype="int32")
    angles = positions[:, None] * np.array(spectrum(1e4, 4))
    for table, function in zip(
        layer.rotations(positions), (np.cos, np.sin), strict=True
    ):
        got, expected = array(table)[:, 0], function(angles)
        assert np.abs(got - expected).max() < 2.5e-6
        rounded = got.astype(ml_dtypes.bfloat16), expected.astype(ml_dtypes.bfloat16)
        # the others lie that near to a tie
        assert (rounded[0] == rounded[1]).mean() > 0.999


def test_positions_of_a_million_in_float32():
    positions = np.array([1_000_003, 2**23 + 1, 5])
    x = queries(3, batch=1)
    got = array(mm.RotaryEmbedding()(x, positions.astype("int32")))
    expected = turned(x, positions[:, None], PAIRS["llama"])
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_positions_in_seconds():
    seconds = np.array([0.0, 0.5, 1.25, 100.0625, 7.0, 3.5])
    x = queries()
    got = array(mm.RotaryEmbedding()(x, seconds.astype("float32")))
    expected = turned(x, seconds[:, None], PAIRS["llama"])
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_positions_of_all_samples_or_of_each():
    layer, x = mm.RotaryEmbedding(), queries()
    shared = np.arange(6, dtype="int32")
    each = np.stack([shared, shared])
    for positions in (each, each[..., None], each[:1]):
        np.testing.assert_array_equal(
            array(layer(x, positions)), array(layer(x, shared))
        )
    other = array(layer(x, np.stack([shared, shared + 1])))
    np.testing.assert_array_equal(other[0], array(layer(x, shared))[0])
    assert np.abs(other[1] - array(layer(x, shared))[1]).max() > 0.1


def test_grid_of_each_sample():
    layer, x = mm.RotaryEmbedding("dinov3"), queries()
    positions = positions_of("dinov3", high=4)
    grids = np.array([[4, 8], [5, 6]])
    centers = 2 * (positions + 0.5) / grids[:, None] - 1
    centers = np.where(positions < 0, 0.0, centers)
    expected = turned(x, centers, PAIRS["dinov3"])
    np.testing.assert_allclose(array(layer(x, positions, grids)), expected, atol=1e-5)


def test_no_tokens_and_no_samples():
    layer = mm.RotaryEmbedding("dinov3")
    for batch, length in ((2, 0), (0, 3)):
        x = np.zeros((batch, length, 3, HEAD), "float32")
        positions = np.zeros((batch, length, 2), "int32")
        assert tuple(layer(x, positions).shape) == x.shape


def test_rotations_are_shared_by_queries_keys_and_layers():
    layer, x = mm.RotaryEmbedding("qwen2_vl"), queries()
    positions = positions_of("qwen2_vl")
    expected = array(layer(x, positions))
    rotations = layer.rotations(positions)
    np.testing.assert_array_equal(array(layer.rotate(x, rotations)), expected)


def test_two_conventions_of_one_width_share_no_frequencies():
    x, positions = queries(), np.arange(6, dtype="int32")
    one, other = mm.RotaryEmbedding(), mm.RotaryEmbedding(max_wavelength=100)
    first = array(one(x, positions))
    assert np.abs(array(other(x, positions)) - first).max() > 0.1
    np.testing.assert_array_equal(array(one(x, positions)), first)


@pytest.mark.parametrize("name", ["llama", "gptj", "qwen3_vl", "gemma4_vision"])
def test_gradients_are_the_turn_back(name):
    layer, positions = layer_of(name), positions_of(name)
    x = queries()
    model_in = keras.Input((6, 3, HEAD))
    position_in = keras.Input(positions.shape[1:], dtype="int32")
    scale = keras.layers.EinsumDense("blhd,d->blhd", (None, 3, HEAD))
    outputs = layer(scale(model_in), position_in)
    model = keras.Model([model_in, position_in], outputs)
    scale.set_weights([np.ones(HEAD, "float32")])
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, p: ops.sum(y * p))
    weights = np.random.default_rng(3).normal(size=x.shape)
    model.fit([x, positions], weights.astype("float32"), batch_size=2, verbose=0)
    back = np.random.default_rng(3).normal(size=x.shape)
    angles = -coordinates_of(name, positions)
    gradient = np.sum(turned(back, angles, PAIRS[name]) * x, axis=(0, 1, 2))
    got = 1.0 - scale.get_weights()[0]
    np.testing.assert_allclose(got, gradient, atol=2e-4)
