"""Arithmetic of positions and boxes, and sums, keep what the caller means."""

import numpy as np
import pytest
from messages import zeros
from tensors import array, encoding

import keras_mmembed as mm

ONE, TWO, BOX = mm.PositionEmbedding1D, mm.PositionEmbedding2D, mm.BoxEmbedding
SWAPPED = np.array([[[9, 9, 3, 4]]])
GRID = np.stack(np.divmod(np.arange(400), 20), axis=-1)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int64"])
@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_boxes_with_swapped_corners(kind, dtype):
    layer = BOX(kind=kind, num_positions=256)
    expected = array(layer(zeros(1, 1, 8), SWAPPED.astype("int32")))
    got = array(layer(zeros(1, 1, 8), SWAPPED.astype(dtype)))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16"])
@pytest.mark.parametrize("convention", ["transformer", "videomae", "mocov3"])
def test_positions_on_a_grid(convention, dtype):
    layer = TWO(20, 20, convention=convention)
    expected = encoding(layer, 1, 400, 8, positions=GRID.astype("int32"))
    got = encoding(layer, 1, 400, 8, positions=GRID.astype(dtype))
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize(
    "layer, arguments",
    [
        (ONE(5, kind="learned"), ()),
        (ONE(), ()),
        (BOX(), (np.zeros((2, 3, 4), "int32"),)),
    ],
    ids=["learned", "sinusoidal", "boxes"],
)
@pytest.mark.parametrize("width", [1, 4])
def test_another_width_than_the_layer_was_built_for(layer, arguments, width):
    layer(zeros(2, 3, 8), *arguments)
    rule = r"`inputs.shape\[-1\]` must be 8, as the layer was built for"
    with pytest.raises(ValueError, match=rule):
        layer(zeros(2, 3, width), *arguments)


@pytest.mark.parametrize(
    "layer, arguments",
    [
        (mm.ModalityEmbedding(["a", "b"]), {"modality_ids": np.zeros((2, 3), "int32")}),
        (mm.SegmentEmbedding(2), {"segment_ids": np.zeros((2, 3), "int32")}),
    ],
    ids=["modality", "segment"],
)
def test_no_term_enlarges_the_inputs(layer, arguments):
    layer(zeros(2, 3, 8), **arguments)
    for shape in ((2, 3, 1), (1, 3, 8)):
        with pytest.raises(ValueError, match=r"`(inputs|\w+_ids).*` must "):
            layer(zeros(*shape), **arguments)


@pytest.mark.parametrize("start", [2, np.array([2, 2], "int32")], ids=["int", "array"])
def test_a_part_of_the_rows_of_a_table(start):
    layer = TWO(5, 2, kind="learned")
    whole = encoding(layer, 1, 5, 2, 8)[0]
    got = encoding(layer, 2, 3, 2, 8, start_index=start)
    np.testing.assert_allclose(got, [whole[2:]] * 2, atol=1e-6)


def test_positions_just_outside_a_resized_table():
    options = {"interpolation": "bicubic", "out_of_range": "resize"}
    layer = ONE(4, kind="learned", **options)
    expected = encoding(layer, 1, 8, 8)
    places = (np.arange(8, dtype="float32") + 0.5) / 2 - 0.5
    got = encoding(layer, 1, 8, 8, positions=places)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["clip", "zero"])
def test_conventions_that_start_behind_0_have_all_their_positions(policy):
    whole = encoding(ONE(convention="kosmos2"), 1, 5, 8)
    got = encoding(ONE(5, convention="kosmos2", out_of_range=policy), 1, 5, 8)
    np.testing.assert_allclose(got, whole, atol=1e-6)
