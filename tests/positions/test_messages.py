"""What the position layers refuse, and how they say it."""

from functools import partial

import keras
import numpy as np
import pytest
from messages import call, checks, flags, ids, in_a_compiled_step, zeros

import keras_mmembed as mm

ONE, TWO = mm.PositionEmbedding1D, mm.PositionEmbedding2D
THREE, BOX = mm.PositionEmbedding3D, mm.BoxEmbedding
GRID = partial(TWO, 2, 2, kind="learned")
TABLE_3D = partial(THREE, 2, 2, 2, kind="learned")
INITIALIZER = "be the name, the configuration or an instance of an initializer"
KERNELS = "be one of 'nearest', 'bilinear', 'bicubic'"

INTERPOLATED = ONE(9, kind="learned", interpolation="bilinear", out_of_range="clip")
ROBERTA = ONE(6, kind="learned", convention="roberta")
TABLE, SHAPE = ONE(4, kind="learned"), "inputs.shape"
X, FLAT, IMAGE = zeros(2, 3, 8), zeros(2, 12, 8), zeros(2, 3, 4, 8)
NO_INTERPOLATION = "be integer, because the table is read without interpolation"

CALLS = [
    call(TABLE, zeros(2, 5, 8)).says("length", "be at most max_length=4", "5"),
    call(TABLE, X, start_index=2).says("start_index", "lie in [0, 2)", "2"),
    call(ONE(4), zeros(2, 5, 8)).says("length", "be at most max_length=4", "5"),
    call(ONE(), zeros(8)).says(SHAPE, "be (..., length, width)", "(8,)"),
    call(TWO(), zeros(2, 2, 3, 4, 8)).says(
        SHAPE,
        "be (batch, tokens, width) or (batch, height, width, width)",
        "(2, 2, 3, 4, 8)",
    ),
    call(TWO(), FLAT).says("height", "be given for inputs of shape", "None"),
    call(TWO(3, 4), zeros(2, 11, 8)).says(
        "inputs.shape[1]", "be 12, for 0 prefix tokens and a grid of (3, 4)", "11"
    ),
    call(TWO(3, 4, num_prefix_tokens=1), FLAT).says(
        "inputs.shape[1]", "be 13, for 1 prefix tokens and a grid of (3, 4)", "12"
    ),
    call(TWO(3, 4, num_prefix_tokens=1), IMAGE).says(
        "num_prefix_tokens", "be 0 for inputs that have a grid of axes", "1"
    ),
    call(TWO(3, 4, kind="learned"), zeros(2, 4, 4, 8)).says(
        "grid", "be that of the layer, (3, 4)", "(4, 4)"
    ),
    call(TWO(), IMAGE, grid=(3, 4)).says(
        "grid", "be None for inputs that have a grid of axes", "(3, 4)"
    ),
    call(TWO(), FLAT, grid=(12,)).says("grid", "have 2 sizes", "(12,)"),
    call(TWO(), zeros(2, 12, 1), grid=(3, 4)).says(
        "inputs.shape[-1]", "be at least 2 with convention='transformer'", "1"
    ),
    call(TWO(convention="mae"), zeros(2, 3, 4, 6)).says(
        "inputs.shape[-1]", "be divisible by 4 with convention='mae'", "6"
    ),
    call(TWO(convention="perceiver"), IMAGE).says(
        "inputs.shape[-1]", "be 2 * (2 * bands + 1) with convention='perceiver'", "8"
    ),
    call(TABLE, X, positions=zeros(2, 3)).says(
        "positions.dtype", NO_INTERPOLATION, "float32"
    ),
    call(ONE(), X, positions=ids(2, 4)).says(
        "positions.shape", "end with the axes of the tokens, (3,)", "(2, 4)"
    ),
    call(ONE(), X, positions=ids(3, 3)).says(
        "positions.shape",
        "have no axis before those of the tokens, or that of 2 samples",
        "(3, 3)",
    ),
    call(ONE(convention="detr"), X, positions=ids(2, 3)).says(
        "max_length", "be given, because convention='detr' counts with it", "None"
    ),
    call(THREE(convention="videomae", height=4), X, positions=ids(2, 3, 3)).says(
        "width", "be given, because convention='videomae' counts with it", "None"
    ),
    call(ONE(num_prefix_tokens=4), X).says(
        "inputs.shape[-2]", "be at least 4, for 4 prefix tokens", "3"
    ),
    call(TWO(), X, positions=ids(2, 3, 3)).says(
        "positions.shape", "have a last axis of 2", "(2, 3, 3)"
    ),
    call(
        BOX(combination="concat", coordinate_width=4),
        zeros(2, 3, 16),
        boxes=ids(2, 3, 4),
    ).says(
        "coordinate_width",
        "leave an even number of the 16 channels for height and width",
        "4",
    ),
    call(BOX(), X, boxes=ids(2, 3, 5)).says(
        "boxes", "have the shape (batch, length, 4) or (length, 4)", "(2, 3, 5)"
    ),
    call(BOX(), X, boxes=ids(2, 5, 4)).says(
        "boxes", "hold one box for each of the 3 tokens", "(2, 5, 4)"
    ),
    call(BOX(), X, boxes=zeros(2, 3, 4)).says("boxes.dtype", "be integer", "float32"),
    call(BOX(), X, boxes=ids(5, 3, 4)).says(
        "boxes", "hold boxes for each of the 2 samples", "(5, 3, 4)"
    ),
    call(BOX(kind="sinusoidal"), X, boxes=flags(2, 3, 4)).says(
        "boxes.dtype", "be an integer or a float", "bool"
    ),
    call(BOX(), flags(2, 3, 8), boxes=ids(2, 3, 4)).says(
        "inputs.dtype", "be an integer or a float", "bool"
    ),
    call(BOX(), zeros(3, 8), boxes=ids(3, 4)).says(
        "inputs.shape", "be (batch, length, width)", "(3, 8)"
    ),
    call(ONE(), flags(2, 3, 8)).says(
        "inputs.dtype", "be an integer or a float", "bool"
    ),
    call(ONE(), X, positions=flags(2, 3)).says(
        "positions.dtype", "be an integer or a float", "bool"
    ),
    call(TABLE, X, positions=flags(2, 3)).says(
        "positions.dtype", "be an integer or a float", "bool"
    ),
    # starts: an integer, an array and a tensor are told alike
    call(TABLE, X, start_index=-1).says("start_index", "lie in [0, 2)", "-1"),
    call(ONE(4), X, start_index=-1).says("start_index", "lie in [0, 2)", "-1"),
    call(ROBERTA, X, start_index=4).says("start_index", "lie in [0, 2)", "4"),
    call(ONE(), X, start_index=2**40).says(
        "start_index", "lie in [-2147483648, 2147483648)", f"{2**40}"
    ),
    call(GRID(), zeros(2, 2, 2, 8), start_index=1).says(
        "start_index", "lie in [0, 1)", "1"
    ),
    call(TWO(2, 2), zeros(2, 2, 2, 8), start_index=5).says(
        "start_index", "lie in [0, 1)", "5"
    ),
    call(TWO(5, 2), zeros(2, 2, 2, 8), start_index=4).says(
        "start_index", "lie in [0, 4)", "4"
    ),
    *[
        call(ONE(), X, start_index=start).says(
            "start_index", "be an integer or a tensor", repr(start)
        )
        for start in (1.5, True, None, "1")
    ],
    call(ONE(), X, start_index=zeros(2)).says(
        "start_index.dtype", "be integer", "float32"
    ),
    call(ONE(), X, start_index=ids(2, 3)).says(
        "start_index.shape", "be () or (batch,)", "(2, 3)"
    ),
    call(ONE(), X, start_index=ids(5)).says(
        "start_index.shape", "be () or (batch,), for 2 samples", "(5,)"
    ),
    call(ONE(), X, start_index=5, positions=ids(2, 3)).says(
        "start_index", "be 0 beside `positions`", "5"
    ),
    # grids
    *[
        call(TWO(), FLAT, grid=grid).says(
            "grid", "be an integer for each of 2 axes", repr(grid)
        )
        for grid in (4, "22", (2, None), (2.5, 1.0), (True, True))
    ],
    call(TWO(), FLAT, grid=(-3, -4)).says(
        "grid", "have sizes of at least 0", "(-3, -4)"
    ),
    call(TWO(), FLAT, grid=zeros(2, 2)).says("grid.dtype", "be integer", "float32"),
    call(TWO(), FLAT, grid=flags(2, 2)).says("grid.dtype", "be integer", "bool"),
    call(TWO(), FLAT, grid=ids(1, 2, 2)).says(
        "grid.shape", "be (axes,) or (batch, axes)", "(1, 2, 2)"
    ),
    call(TWO(), FLAT, grid=ids(3, 2)).says(
        "grid.shape", "be (axes,) or (batch, axes), for 2 samples", "(3, 2)"
    ),
    # masks of conventions that count with them
    call(ONE(convention="detr"), X, mask=flags(2, 4)).says(
        "mask.shape", "be (2, 3)", "(2, 4)"
    ),
    call(ONE(convention="detr"), X, mask=flags(3, 3)).says(
        "mask.shape", "be (2, 3)", "(3, 3)"
    ),
    call(TWO(3, 4, out_of_range="resize"), IMAGE, mask=flags(2, 4, 3)).says(
        "mask.shape", "be (2, 3, 4)", "(2, 4, 3)"
    ),
]
VALUES = [
    # what only values tell; symbolic tensors do not have them
    call(TABLE, X, positions=[0.0, 0.5, 1.0]).says(
        "positions.dtype", NO_INTERPOLATION, "float"
    ),
    call(TABLE, X, positions=ids(2, 3) - 1).says("positions", "lie in [0, 4)", "-1"),
    call(TABLE, X, start_index=np.array([0, 2], "int32")).says(
        "start_index", "lie in [0, 2)", "2"
    ),
    call(BOX(num_positions=9), X, boxes=ids(2, 3, 4) + 9).says(
        "boxes", "lie in [0, 9)", "9"
    ),
    *[
        call(layer, inputs, **{argument: zeros(*shape) + value}).says(
            argument, "lie in [-2147483648, 2147483648)", repr(value)
        )
        for value in (np.nan, np.inf, -np.inf)
        for layer, inputs, argument, shape in (
            (ONE(), X, "positions", (2, 3)),
            (ONE(9, out_of_range="clip"), X, "positions", (3,)),
            (TWO(), X, "positions", (2, 3, 2)),
            (INTERPOLATED, X, "positions", (2, 3)),
            (BOX(kind="sinusoidal"), X, "boxes", (2, 3, 4)),
        )
    ],
    call(ONE(), X, positions=zeros(3) + 2.0**40).says(
        "positions", "lie in [-2147483648, 2147483648)", f"{2.0**40}"
    ),
    call(ONE(), X, positions=[["a"]]).says("positions", "be numbers", "[['a']]"),
    call(ONE(), X, positions=[[1, 2, 3], [1, 2]]).says(
        "positions", "be numbers", "[[1, 2, 3], [1, 2]]"
    ),
    call(TABLE, X, start_index=ids(2) - 1).says("start_index", "lie in [0, 2)", "-1"),
    call(ROBERTA, X, start_index=ids(2) + 4).says("start_index", "lie in [0, 2)", "4"),
    call(GRID(), zeros(2, 2, 2, 8), start_index=ids(2) + 5).says(
        "start_index", "lie in [0, 1)", "5"
    ),
    call(TWO(), FLAT, grid=ids(2, 2) - 2).says("grid", "lie in [0, 2147483648)", "-2"),
    call(TWO(), FLAT, grid=ids(2, 2) + 4).says("grid", "have at most 12 cells", "(4"),
    call(TWO(), FLAT, grid=ids(2, 4, 2) + 2).says(
        "grid", "have at most 12 cells", "([2"
    ),
    call(GRID(), FLAT, grid=ids(2, 2) + 3).says("grid", "be that of the layer", "(3"),
]

test_eager_call = checks([*CALLS, *VALUES])
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)


def test_a_length_that_only_a_compiled_step_knows_warns_and_keeps_the_weights():
    inputs = keras.Input((None, 8))
    model = keras.Model(inputs, ONE(4, kind="learned")(inputs))
    before = model.get_weights()[0]
    rule = "be at most max_length=4"
    outputs = in_a_compiled_step(model, zeros(2, 6, 8), rule, "nearest")
    if outputs is not None:
        np.testing.assert_array_equal(outputs[0, 4:], before[[3, 3]])
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_a_formula_goes_on_in_a_compiled_step():
    inputs = keras.Input((None, 8))
    model = keras.Model(inputs, ONE(4)(inputs))
    rule = "be at most max_length=4"
    outputs = in_a_compiled_step(model, zeros(1, 6, 8), rule, "formula goes on")
    if outputs is None:
        pytest.skip("sizes are known, so that it is an error")
    expected = keras.ops.convert_to_numpy(ONE()(zeros(1, 6, 8)))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="a constant while tracing")
def test_a_traced_step_warns_of_a_constant_that_is_too_long():
    import jax

    x, layer = jax.numpy.ones((1, 9, 8)), ONE(6)
    layer.build(x.shape)
    with pytest.warns(UserWarning, match="A compiled step cannot raise"):
        jax.jit(lambda: layer(x))()
