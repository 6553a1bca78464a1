"""Subjects of the sweep: position layers."""

import functools

from bad_input_subject import FLAT, GRID, LAYER, Subject, X, bools, floats, ids

import keras_mmembed as mm

POSITIONS = {
    "kind": "sinusoidal",
    "convention": "transformer",
    "combination": None,
    "axis_order": None,
    "cosine_first": False,
    "offset": 0.5,
    "scale": 0.5,
    "max_wavelength": 100.0,
    "interpolation": None,
    "antialias": False,
    "align_corners": False,
    "out_of_range": "error",
    "num_prefix_tokens": 0,
    "embeddings_initializer": "normal",
    **LAYER,
}
LEARNED = {
    "kind": "learned",
    "cosine_first": None,
    "offset": None,
    "scale": 1.0,
    "interpolation": "bilinear",
}


def position_subjects():
    one, two, three = (
        mm.PositionEmbedding1D,
        mm.PositionEmbedding2D,
        mm.PositionEmbedding3D,
    )

    def subject(name, layer, call, arguments=None, **fixed):
        name = f"{layer.__name__}{name}"
        make = functools.partial(layer, **fixed)
        return Subject(name, make, arguments or {}, call)

    table = {**LEARNED, "out_of_range": "resize", "embeddings_initializer": "normal"}
    clip = {**table, "out_of_range": "resize"}
    return [
        subject(
            "", one, {"inputs": X}, {"max_length": 9, "block_size": 1, **POSITIONS}
        ),
        subject(
            "-learned",
            one,
            {"inputs": X},
            {**POSITIONS, "max_length": 3, **table, "antialias": True},
        ),
        subject("-positions", one, {"inputs": X, "positions": ids(2, 3)}, max_length=9),
        subject(
            "-rows",
            one,
            {"inputs": X, "positions": ids(2, 3)},
            max_length=9,
            kind="learned",
        ),
        subject("-start", one, {"inputs": X, "start_index": ids(2)}, max_length=9),
        subject("-number", one, {"inputs": X, "start_index": 3}, max_length=9),
        subject(
            "-mask",
            one,
            {"inputs": X, "mask": bools(2, 3)},
            max_length=9,
            kind="learned",
            convention="roberta",
        ),
        subject(
            "-extent",
            one,
            {"inputs": X, "mask": bools(2, 3)},
            None,
            max_length=4,
            **clip,
        ),
        subject("-none", one, {"inputs": X, "grid": None}),
        subject(
            "",
            two,
            {"inputs": FLAT},
            {"height": 2, "width": 2, "block_size": 2, **POSITIONS},
        ),
        subject(
            "-learned",
            two,
            {"inputs": GRID},
            {**POSITIONS, "height": 2, "width": 3, **table, "combination": "sum"},
        ),
        subject("-grid", two, {"inputs": FLAT, "grid": (2, 2)}, height=2, width=2),
        subject("-unsized", two, {"inputs": FLAT, "grid": (2, 2)}),
        subject("-grids", two, {"inputs": FLAT, "grid": ids(2, 2) + 1}),
        subject(
            "-table",
            two,
            {"inputs": FLAT, "grid": ids(2, 2) + 1},
            height=3,
            width=3,
            **table,
        ),
        subject(
            "-positions",
            two,
            {"inputs": GRID, "positions": ids(2, 2, 2, 2)},
            height=2,
            width=2,
            kind="learned",
        ),
        subject(
            "-mask", two, {"inputs": GRID, "mask": bools(2, 2, 2)}, convention="detr"
        ),
        subject("-start", two, {"inputs": GRID, "start_index": ids(2)}),
        subject(
            "",
            three,
            {"inputs": floats(2, 8, 8)},
            {"frames": 2, "height": 2, "width": 2, "block_size": 2, **POSITIONS},
        ),
        subject(
            "-learned",
            three,
            {"inputs": floats(2, 1, 2, 2, 8)},
            {**POSITIONS, "frames": 2, "height": 2, "width": 2, **table},
        ),
        subject("-grid", three, {"inputs": floats(2, 8, 8), "grid": (2, 2, 2)}),
        subject("-grids", three, {"inputs": floats(2, 8, 8), "grid": ids(2, 3) + 1}),
        subject("-positions", three, {"inputs": FLAT, "positions": ids(2, 4, 3)}),
        subject(
            "-mask",
            three,
            {"inputs": floats(2, 2, 1, 2, 8), "mask": bools(2, 2, 1, 2)},
            convention="detr",
        ),
        subject(
            "-start",
            three,
            {"inputs": floats(2, 2, 1, 2, 8), "start_index": ids(2)},
        ),
    ]
