"""What the position layers refuse, and how they say it."""

from functools import partial

import keras
import numpy as np
import pytest
from messages import call, checks, ids, in_a_compiled_step, make, wrong, zeros

import keras_mmembed as mm

ONE, TWO = mm.PositionEmbedding1D, mm.PositionEmbedding2D
THREE, BOX = mm.PositionEmbedding3D, mm.BoxEmbedding
GRID = partial(TWO, 2, 2, kind="learned")
KERNELS = "be one of 'nearest', 'bilinear', 'bicubic'"

CONSTRUCTORS = [
    wrong(ONE, "be at least 1", max_length=0),
    wrong(ONE, "be an integer or None", max_length=2.5),
    wrong(ONE, "be given with kind='learned'", kind="learned", max_length=None),
    wrong(TWO, "be given with kind='learned'", height=3, kind="learned", width=None),
    wrong(ONE, "be one of 'sinusoidal', 'learned'", kind="sine"),
    wrong(ONE, "be one of 'transformer', 'whisper', 'mae', 'detr'", convention="bert"),
    wrong(ONE, "be one of 'transformer', 'whisper'", convention="roberta"),
    wrong(TWO, "be one of None, 'concat', 'sum'", combination="product"),
    wrong(ONE, "be greater than 0", max_wavelength=-1),
    wrong(ONE, "be a number", max_wavelength="long"),
    wrong(ONE, "be one of 'error', 'clip', 'zero', 'resize'", out_of_range="wrap"),
    wrong(GRID, KERNELS, interpolation="cubic"),
    wrong(GRID, KERNELS, out_of_range="resize", interpolation=None),
    wrong(
        partial(GRID, interpolation="nearest"),
        "be False with nearest interpolation",
        antialias=True,
    ),
    wrong(
        partial(GRID, interpolation="bicubic", antialias=True),
        "be False with antialias=True",
        align_corners=True,
    ),
    wrong(
        partial(ONE, 9, kind="learned", convention="roberta", interpolation="bilinear"),
        "not be 'resize' with convention='roberta'",
        out_of_range="resize",
    ),
    wrong(ONE, "be at least 0", num_prefix_tokens=-1),
    make(ONE().build, (None, 5, None)).says(
        "inputs.shape", "have a last axis of known size", "(None, 5, None)"
    ),
    wrong(BOX, "be one of 'learned', 'sinusoidal'", kind="fixed"),
    wrong(BOX, "be one of 'sum', 'concat'", combination="product"),
    wrong(BOX, "be at least 1", num_positions=0),
    wrong(BOX, "be an integer or None", coordinate_width=2.5),
    wrong(BOX, "be greater than 0", max_wavelength=0),
]

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
    call(BOX(), X, boxes=ids(2, 3, 6)).says(
        "boxes", "have the shape (batch, length, 4) or (length, 4)", "(2, 3, 6)"
    ),
    call(BOX(), X, boxes=ids(2, 5, 4)).says(
        "boxes", "hold one box for each of the 3 tokens", "(2, 5, 4)"
    ),
    call(BOX(), X, boxes=zeros(2, 3, 4)).says("boxes.dtype", "be integer", "float32"),
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
]

SQUARE = partial(mm.resize_positions, zeros(2, 2, 8))
ROWS = partial(mm.resize_positions, sizes=(3, 3), grid=(2, 2))
RESIZED = [
    wrong(SQUARE, "have one integer for each axis", sizes=(3,)),
    wrong(SQUARE, "be a list of integers", sizes=3),
    wrong(SQUARE, "be 0 without `grid`", sizes=(3, 3), num_prefix_tokens=1),
    wrong(SQUARE, "be at least 1", "0", sizes=(3, 0)),
    wrong(SQUARE, KERNELS, sizes=(3, 3), interpolation="area"),
    make(ROWS, table=zeros(2, 2, 8)).says(
        "table.shape", "be (tokens, channels)", "(2, 2, 8)"
    ),
    make(ROWS, table=zeros(4, 8), num_prefix_tokens=1).says(
        "table.shape", "have 5 rows", "(4, 8)"
    ),
]


test_constructor = checks([*CONSTRUCTORS, *RESIZED])
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
