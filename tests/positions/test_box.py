"""Boxes against the formula."""

import numpy as np
import pytest
from keras import ops
from messages import call, checks, ids, zeros
from reference import interleaved

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
