"""Boxes against the formula."""

import numpy as np
import pytest
from keras import ops
from messages import call, checks, ids, zeros
from reference import halves, interleaved
from tensors import array

import keras_mmembed as mm

BOXES = np.array([[[1, 2, 5, 4], [0, 0, 8, 8], [3, 7, 3, 7]]], "int32")
NAMES = ("x", "y", "x", "y", "height", "width")


def numbers(boxes):
    x0, y0, x1, y1 = np.moveaxis(boxes, -1, 0)
    return x0, y0, x1, y1, y1 - y0, x1 - x0


def encode(layer, boxes, width):
    outputs = layer(np.zeros((*boxes.shape[:2], width), "float32"), boxes)
    return ops.convert_to_numpy(outputs)


@pytest.mark.parametrize("combination", ["sum", "concat"])
def test_learned(combination):
    layer = mm.BoxEmbedding(
        combination=combination, num_positions=9, coordinate_width=3
    )
    got = encode(layer, BOXES, 16)
    tables = {w.name.split("_")[0]: ops.convert_to_numpy(w) for w in layer.weights}
    assert len(tables) == 4
    rows = [tables[n][v] for n, v in zip(NAMES, numbers(BOXES), strict=True)]
    join = np.concatenate if combination == "concat" else lambda r, axis: sum(r)
    np.testing.assert_allclose(got, join(rows, axis=-1), atol=1e-6)


@pytest.mark.parametrize("combination", ["sum", "concat"])
@pytest.mark.parametrize("scale", [1, 0.25])
def test_sinusoidal(combination, scale):
    layer = mm.BoxEmbedding(
        kind="sinusoidal", combination=combination, coordinate_width=3
    )
    boxes = (BOXES * scale).astype("float32" if scale != 1 else "int32")
    widths = (3, 3, 3, 3, 2, 2) if combination == "concat" else (16,) * 6
    rows = [
        interleaved(v.ravel(), w).reshape(*v.shape, w)
        for v, w in zip(numbers(boxes), widths, strict=True)
    ]
    expected = np.concatenate(rows, -1) if combination == "concat" else sum(rows)
    np.testing.assert_allclose(encode(layer, boxes, 16), expected, atol=1e-5)


def test_sizes_outside_the_table_read_the_nearest_row():
    layer = mm.BoxEmbedding(num_positions=9)
    swapped = BOXES[..., [2, 3, 0, 1]]
    no_size = BOXES[..., [0, 1, 0, 1]]
    tables = {w.name: w for w in encode(layer, BOXES, 8) is not None and layer.weights}
    for name in ("x_embeddings", "y_embeddings"):
        tables[name].assign(np.zeros((9, 8)))
    np.testing.assert_array_equal(encode(layer, swapped, 8), encode(layer, no_size, 8))


X, SOME, LAYER = zeros(2, 3, 8), ids(2, 3, 4), mm.BoxEmbedding(num_positions=9)
NUMBERS = "be numbers, as an array, a tensor or lists of one length"
NO_TENSORS = [
    call(LAYER, X).says("boxes", NUMBERS, "None"),
    *[
        call(LAYER, X, boxes=value).says("boxes", NUMBERS, repr(value))
        for value in (None, "a", [[[0]], [[0, 0]]])
    ],
    *[
        call(LAYER, value, boxes=SOME).says("inputs", NUMBERS, repr(value))
        for value in (None, "a", [[1.0], [1.0, 2.0]])
    ],
    call(LAYER, np.array([["a"]]), boxes=SOME).says("inputs", NUMBERS, "array([['a'"),
    call(LAYER, [X[0], X[1]], boxes=SOME).says("inputs", NUMBERS, "a list. pad_batch"),
    call(LAYER, zeros(1, 3, 8), boxes=SOME).says("boxes", "hold boxes for each", "(2,"),
    call(LAYER, X.astype("complex64"), boxes=SOME).says(
        "inputs.dtype", "be an integer or a float", "complex64"
    ),
    *[
        call(mm.BoxEmbedding(kind="sinusoidal"), X, boxes=SOME + value).says(
            "boxes", "lie in", str(value)
        )
        for value in (np.nan, np.inf)
    ],
]
test_messages = checks(NO_TENSORS)


def test_boxes_in_a_list():
    by_list = LAYER(zeros(1, 3, 8), BOXES.tolist())
    by_array = LAYER(zeros(1, 3, 8), BOXES)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(by_list), ops.convert_to_numpy(by_array)
    )


def test_four_numbers_have_no_tables_of_sizes():
    layer = mm.BoxEmbedding(numbers=4, num_positions=9)
    got = encode(layer, BOXES, 8)
    assert [w.name for w in layer.weights] == ["x_embeddings", "y_embeddings"]
    x, y = (array(w) for w in layer.weights)
    x0, y0, x1, y1 = np.moveaxis(BOXES, -1, 0)
    np.testing.assert_allclose(got, x[x0] + y[y0] + x[x1] + y[y1], atol=1e-6)


@pytest.mark.parametrize("kind", ["learned", "sinusoidal", "linear"])
def test_numbers_that_a_box_lacks_are_derived(kind):
    layer = mm.BoxEmbedding(kind=kind, num_positions=9)
    six = np.stack(numbers(BOXES), axis=-1)
    np.testing.assert_array_equal(encode(layer, six, 8), encode(layer, BOXES, 8))
    layer = mm.BoxEmbedding(kind=kind, num_positions=9, numbers=8)
    corners = BOXES[..., [0, 1, 2, 1, 2, 3, 0, 3]]
    np.testing.assert_array_equal(encode(layer, corners, 8), encode(layer, BOXES, 8))


def test_fractions_of_the_page():
    fractions = np.array([[[0.0, 0.29, 0.5, 1.0], [0.999, 0.1, 1.0, 0.2]]])
    layer = mm.BoxEmbedding(num_positions=101, scale=100)
    got = encode(layer, fractions, 8)
    rows = np.floor(fractions.astype("float32") * np.float32(100)).astype("int32")
    plain = mm.BoxEmbedding(num_positions=101)
    plain.build((None, None, 8))
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(got, encode(plain, rows, 8))
    sines = mm.BoxEmbedding(kind="sinusoidal", scale=100)
    plain = mm.BoxEmbedding(kind="sinusoidal")
    expected = encode(plain, (fractions * 100).astype("float32"), 8)
    np.testing.assert_allclose(encode(sines, fractions, 8), expected, atol=1e-4)


@pytest.mark.parametrize("count", [4, 6])
def test_linear(count):
    layer = mm.BoxEmbedding(kind="linear", numbers=count, scale=0.5)
    boxes = (BOXES / 9).astype("float32")
    got = encode(layer, boxes, 8)
    kernel, bias = (array(w) for w in layer.weights)
    assert [w.path.split("/", 1)[1] for w in layer.weights] == [
        "projection/kernel",
        "projection/bias",
    ]
    values = np.stack(numbers(boxes.astype("float64")), axis=-1)[..., :count] * 0.5
    np.testing.assert_allclose(got, values @ kernel + bias, atol=1e-6)


def test_linear_boxes_are_not_rounded_to_half_precision():
    layer = mm.BoxEmbedding(kind="linear", numbers=4, dtype="mixed_bfloat16")
    layer.build((None, None, 8))
    boxes = np.array([0.501, 0.502, 0.503, 0.504], "float32")
    expected = boxes.astype("float64") @ array(layer.projection.kernel)
    np.testing.assert_allclose(array(layer.encode(boxes)), expected, atol=1e-6)


def test_projected():
    layer = mm.BoxEmbedding(
        combination="concat",
        num_positions=9,
        coordinate_width=3,
        size_width=5,
        projection={"use_bias": False},
    )
    got = encode(layer, BOXES, 8)
    tables = {w.name.split("_")[0]: array(w) for w in layer.weights}
    rows = [tables[n][v] for n, v in zip(NAMES, numbers(BOXES), strict=True)]
    assert layer.projection.kernel.shape == (22, 8)
    expected = np.concatenate(rows, axis=-1) @ tables["kernel"]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    config = layer.get_config()
    assert config["projection"] == {"use_bias": False}
    assert mm.BoxEmbedding.from_config(config).get_config() == config


def test_sinusoids_in_halves():
    layer = mm.BoxEmbedding(
        kind="sinusoidal", combination="concat", numbers=4, convention="mae"
    )
    got = encode(layer, BOXES, 16)
    parts = [halves(BOXES[..., i], 4) for i in range(4)]
    np.testing.assert_allclose(got, np.concatenate(parts, axis=-1), atol=1e-5)


def test_boxes_of_pairs_of_tokens():
    layer = mm.BoxEmbedding(kind="sinusoidal")
    layer.build((None, None, 8))
    pairs = BOXES[:, None] - BOXES[:, :, None]
    got = array(layer.encode(pairs))
    assert got.shape == (1, 3, 3, 8)
    alone = array(layer.encode(pairs[0, 1, 2]))
    np.testing.assert_allclose(got[0, 1, 2], alone, atol=1e-6)
