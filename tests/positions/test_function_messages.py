"""What the functions on positions and their tables refuse, and how they say it."""

from functools import partial

import numpy as np
from messages import checks, ids, make, wrong, zeros

import keras_mmembed as mm

KERNELS = "be one of 'nearest', 'bilinear', 'bicubic'"
SQUARE = partial(mm.resize_positions, zeros(2, 2, 8))
RESIZE = partial(mm.resize_positions, sizes=(2,))
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


FROM_MASK, FROM_IDS = mm.positions_from_mask, mm.positions_from_ids
FUNCTIONS = [
    *[
        make(function, value).says(argument, "be numbers", received)
        for function, argument in ((FROM_MASK, "mask"), (FROM_IDS, "ids"))
        for value, received in (
            (None, "None"),
            ("a", "'a'"),
            ([[1, 2], [1]], "[[1, 2], [1]]"),
            (np.array([["a"]]), "array([['a']]"),
        )
    ],
    *[
        make(function, ids(*shape)).says(
            f"{argument}.shape", "be (batch, length)", shape
        )
        for function, argument, last in (
            (FROM_MASK, "mask", (2, 3, 4)),
            (FROM_IDS, "ids", (2, 3, 4, 5)),
        )
        for shape in ((), (3,), last)
    ],
    make(FROM_MASK, zeros(1, 2) * np.nan).says("mask", "lie in", "nan"),
    make(FROM_IDS, zeros(1, 2)).says("ids.dtype", "be integer", "float32"),
    make(FROM_MASK, ids(1, 2), "1").says("first_index", "be an integer", "'1'"),
    make(FROM_MASK, ids(1, 2), 1.5).says("first_index", "be an integer", "1.5"),
    make(FROM_MASK, ids(1, 2), -3).says("first_index", "be at least 0", "-3"),
    make(RESIZE, table="a").says("table", "be numbers", "'a'"),
    make(RESIZE, table=None).says("table", "be numbers", "None"),
    make(RESIZE, table=zeros(0, 8)).says("table.shape", "have no axis of size 0", "(0"),
    make(RESIZE, table=zeros(4, 8) + 1j).says(
        "table.dtype", "be an integer or a float", "complex64"
    ),
    make(RESIZE, table=zeros(4, 8), antialias="no").says(
        "antialias", "be True or False", "'no'"
    ),
    make(RESIZE, table=zeros(4, 8), grid="ab").says("grid", "be a list of", "'ab'"),
    make(RESIZE, table=zeros(4, 8), grid=4).says("grid", "be a list of", "4"),
    make(RESIZE, table=zeros(4, 8), grid=(4.0,)).says("grid", "be an integer", "4.0"),
    make(RESIZE, table=zeros(4, 8), grid=(-4,)).says("grid", "be at least 1", "-4"),
    make(RESIZE, table=zeros(4, 8), grid=()).says("sizes", "have one integer", "(2,)"),
]


test_functions = checks([*RESIZED, *FUNCTIONS])
