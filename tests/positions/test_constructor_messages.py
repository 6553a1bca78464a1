"""What the constructors of position layers refuse, and how they say it."""

from functools import partial

from messages import checks, make, wrong

import keras_mmembed as mm

ONE, TWO = mm.PositionEmbedding1D, mm.PositionEmbedding2D
THREE, BOX = mm.PositionEmbedding3D, mm.BoxEmbedding
GRID = partial(TWO, 2, 2, kind="learned")
TABLE_3D = partial(THREE, 2, 2, 2, kind="learned")
INITIALIZER = "be the name, the configuration or an instance of an initializer"
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
    wrong(ONE, "be finite", max_wavelength=float("inf")),
    wrong(ONE, "be finite", max_wavelength=10**400),
    wrong(GRID, "be True or False", antialias="no"),
    wrong(GRID, "be True or False", align_corners=1),
    wrong(ONE, "be None with kind='sinusoidal'", interpolation="bilinear"),
    wrong(ONE, "be False with kind='sinusoidal'", antialias=True),
    wrong(ONE, "be False with kind='sinusoidal'", align_corners=True),
    *[
        wrong(ONE, "be 'error' without max_length", out_of_range=policy)
        for policy in ("clip", "zero", "resize", "resize_longer")
    ],
    wrong(GRID, "be one of 'transformer', 'florence2'", convention="roberta"),
    wrong(TABLE_3D, "be one of 'transformer', 'florence2'", convention="roberta"),
    wrong(
        partial(TABLE_3D, convention="florence2"),
        "concatenate axes with convention='florence2'",
        combination="joint",
    ),
    wrong(
        TWO,
        "have a kind for each of ('height', 'width')",
        "['learned']",
        kind=("learned",),
    ),
    wrong(TWO, "have a kind for each of", kind={"height": "learned"}),
    wrong(TWO, "be one of 'sinusoidal', 'learned'", "'sine'", kind=("learned", "sine")),
    wrong(TWO, "encode one axis at least", "[None, None]", kind=(None, None)),
    make(TWO, 3, kind=("sinusoidal", "learned")).says(
        "width", "be given with kind='learned'", "None"
    ),
    wrong(
        partial(TWO, 2, 2, kind=("sinusoidal", "learned")),
        "be one of 'transformer', 'whisper', 'mae', 'simple_vit'",
        convention="detr",
    ),
    wrong(ONE, "have each of ('max_length',) once", axis_order=("max_length",)),
    wrong(TWO, "have each of ('height', 'width') once", axis_order=("x", "y")),
    wrong(TWO, "have each of ('height', 'width') once", axis_order="width"),
    wrong(
        GRID, "be None where no axes are concatenated", axis_order=("width", "height")
    ),
    wrong(GRID, "be None without pairs of a sine and a cosine", cosine_first=True),
    wrong(TWO, "be True or False", cosine_first="cosine"),
    wrong(ONE, "be a number", offset="half"),
    wrong(ONE, "lie in [0, 2147483648]", offset=-1),
    wrong(GRID, "be whole with learned tables", "0.5", offset=0.5),
    wrong(
        partial(TWO, convention="mocov3"),
        "be None with convention='mocov3'",
        offset=1,
    ),
    wrong(
        partial(GRID, interpolation="bilinear", offset=2),
        "not be 'resize' with offset=2, which skips rows",
        out_of_range="resize",
    ),
    wrong(ONE, "be greater than 0", scale=0),
    wrong(TWO, "have a number for each of", "[1, 2, 3]", scale=(1, 2, 3)),
    wrong(
        partial(TWO, convention="detr"), "be 1 with convention='detr'", "2.0", scale=2
    ),
    wrong(
        partial(ONE, 9, out_of_range="resize"),
        "be 1 with out_of_range='resize'",
        "2.0",
        scale=2,
    ),
    wrong(GRID, "be 1 along learned axes without interpolation", "2.0", scale=2),
    wrong(ONE, INITIALIZER, embeddings_initializer="nope"),
    wrong(ONE, INITIALIZER, embeddings_initializer=False),
    wrong(ONE, "be a float dtype", "'int32'", dtype="int32"),
    wrong(BOX, INITIALIZER, embeddings_initializer=5),
    wrong(BOX, "be a float dtype", "'int32'", dtype="int32"),
    wrong(BOX, "be finite", max_wavelength=float("inf")),
    wrong(BOX, "be left out: it is no argument", boxes=4),
    make(BOX().build, (None, 3, None)).says(
        "inputs.shape", "have a last axis of known size", "(None, 3, None)"
    ),
    make(ONE().build, None).says("inputs", "be one tensor", "None"),
    make(ONE().build, ()).says("inputs", "be one tensor", "()"),
    make(ONE().build, [(3, 8), (2, 8)]).says("inputs", "be one tensor", "[(3, 8)"),
    wrong(BOX, "be one of 'learned', 'sinusoidal', 'linear'", kind="fixed"),
    wrong(BOX, "be one of 4, 6, 8", numbers=5),
    wrong(BOX, "be greater than 0", scale=0),
    wrong(BOX, "be one of 'transformer', 'whisper', 'mae'", convention="detr"),
    wrong(BOX, "be 'transformer' with kind='learned'", convention="mae"),
    wrong(partial(BOX, kind="linear"), "be 'sum' with", combination="concat"),
    wrong(partial(BOX, numbers=4), "be None without height and width", size_width=3),
    wrong(BOX, "be True, False or a dict of arguments of keras", projection=3),
    wrong(BOX, "have no key 'units'", "'units'", projection={"units": 3}),
    wrong(BOX, "hold arguments of keras.layers.Dense", projection={"bias": True}),
    make(BOX(combination="concat", numbers=4).build, (None, 3, 9)).says(
        "coordinate_width", "share the 9 channels among 4 numbers", "None"
    ),
    make(
        BOX(combination="concat", coordinate_width=2, size_width=2).build,
        (None, 3, 24),
    ).says("coordinate_width", "add up to the 24 channels", "2"),
    wrong(BOX, "be one of 'sum', 'concat'", combination="product"),
    wrong(BOX, "be at least 1", num_positions=0),
    wrong(BOX, "be an integer or None", coordinate_width=2.5),
    wrong(BOX, "be greater than 0", max_wavelength=0),
]

test_constructor = checks(CONSTRUCTORS)
