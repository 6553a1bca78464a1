"""What vectors by id, by name and the packing of tokens refuse, and how they say it."""

from functools import partial

import keras
import numpy as np
import pytest
from messages import assert_message, call, checks, flags, ids, make, wrong, zeros
from tensors import array, normal
from weights import reloaded

import keras_mmembed as mm

SEGMENTS, NAMES = mm.SegmentEmbedding(2), mm.ModalityEmbedding(["text", "image"])
# a layer, and the name of the ids that it is called with
LAYERS = [(SEGMENTS, "segment_ids"), (NAMES, "modality_ids")]
X, IDS, TOKENS = zeros(2, 3, 8), ids(2, 3), zeros(2, 3, 4)
INITIALIZER = "be the name, the configuration or an instance of an initializer"
NUMBERS = "be numbers, as an array, a tensor or lists of one length"
ONE_PER_TOKEN = "be (2, 3), or (3,) for all samples"

CONSTRUCTORS = [
    row
    for make_one in (
        partial(mm.SegmentEmbedding, num_segments=2),
        partial(mm.ModalityEmbedding, modalities=["text"]),
    )
    for row in (
        wrong(make_one, INITIALIZER, embeddings_initializer="nope"),
        wrong(make_one, INITIALIZER, embeddings_initializer=5),
        wrong(make_one, "be left out: it is no argument", width=8),
        wrong(make_one, "be a float dtype or a policy of one", dtype="int32"),
    )
]

CALLS = [
    row
    for layer, name in LAYERS
    for row in (
        *[
            call(layer, X, **{name: ids(*shape)}).says(
                f"{name}.shape", ONE_PER_TOKEN, str(shape)
            )
            for shape in ((2, 4), (5, 3), (2, 1), (1, 3), (2, 3, 1), (5, 2, 3), (4,))
        ],
        *[
            call(layer, X.astype(dtype), **{name: IDS}).says(
                "inputs.dtype", "be an integer or a float", dtype
            )
            for dtype in ("bool", "complex64")
        ],
        *[
            call(layer, X, **{name: IDS.astype(dtype)}).says(
                f"{name}.dtype", "be integer", dtype
            )
            for dtype in ("bool", "float32", "complex64")
        ],
        call(layer, zeros(8), **{name: IDS}).says(
            "inputs.shape", "be (..., length, width)", "(8,)"
        ),
        call(layer, zeros(), **{name: IDS}).says(
            "inputs.shape", "be (..., length, width)", "()"
        ),
    )
]
NO_TENSORS = [
    *[
        call(layer, value, **{name: IDS}).says("inputs", NUMBERS, repr(value))
        for layer, name in LAYERS
        for value in (None, "a")
    ],
    *[
        call(layer, X, **{name: value}).says(name, NUMBERS, repr(value))
        for layer, name in LAYERS
        for value in ("a", [[0], [0, 1]])
    ],
    *[
        call(layer, [X[0], X[1]], **{name: IDS}).says("inputs", NUMBERS, "a list. pad_")
        for layer, name in LAYERS
    ],
    call(SEGMENTS, X).says("segment_ids", NUMBERS, "None"),
    call(SEGMENTS, X, segment_ids=None).says("segment_ids", NUMBERS, "None"),
    make(NAMES.__call__, X, np.array(["text"])).says("modality", "be one of", "array("),
    call(NAMES, X, modality=["text"]).says("modality", "be one of 'text', 'image'", ""),
]
FUNCTIONS = [
    row
    for function in (mm.pack_tokens, mm.unpack_tokens)
    for row in (
        *[
            make(function, TOKENS, mask).says("mask.shape", "be (batch, length)", shape)
            for mask, shape in ((ids(2), "(2,)"), (flags(2, 3, 4), "(2, 3, 4)"))
        ],
        *[
            make(function, TOKENS, value).says("mask", NUMBERS, repr(value))
            for value in (None, "a", [["a"]], [[1], [1, 0]])
        ],
        *[
            make(function, value, flags(1, 2)).says("tensor", NUMBERS, repr(value))
            for value in (None, "a", [["a", "b"]])
        ],
        make(function, TOKENS, zeros(2, 3) + np.nan).says("mask", "hold no NaN", "nan"),
        make(function, TOKENS, np.zeros((2, 3), "complex64")).says(
            "mask.dtype", "be bool or a number", "complex64"
        ),
        make(function, zeros(2), flags(2, 3)).says("tensor.shape", "have the", "(2,)"),
        make(function, TOKENS, keras.Input((3, 4), dtype="bool")).says(
            "mask.shape", "be (batch, length)", "(None, 3, 4)"
        ),
    )
]

test_constructor = checks(CONSTRUCTORS)
test_eager_call = checks([*CALLS, *NO_TENSORS])
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)
test_functions = checks(FUNCTIONS)


@pytest.mark.parametrize("layer, name", LAYERS, ids=["segment", "modality"])
def test_another_width_is_told(layer, name):
    layer = type(layer).from_config(layer.get_config())
    layer(X, **{name: IDS})
    for inputs in (zeros(2, 3, 1), keras.Input(batch_shape=(2, 3, 1))):
        with pytest.raises(ValueError) as error:
            layer(inputs, **{name: IDS})
        rule = "be 8, as the layer was built for"
        assert_message(error, "inputs.shape[-1]", rule, "1")


@pytest.mark.parametrize("layer, name", LAYERS, ids=["segment", "modality"])
def test_an_unknown_width_is_told(layer, name):
    rule = "have a last axis of known size"
    call(
        layer, keras.Input((3, None)), **{name: keras.Input((3,), dtype="int32")}
    ).says("inputs.shape", rule, "(None, 3, None)").check()


def test_lists_and_positional_names():
    by_array = NAMES(X, modality_ids=np.array([[0, 1, -1], [1, 1, 0]]))
    by_list = NAMES(X, modality_ids=[[0, 1, -1], [1, 1, 0]])
    np.testing.assert_array_equal(array(by_list), array(by_array))
    named = NAMES(X, modality="image")
    np.testing.assert_array_equal(array(NAMES(X, "image")), array(named))
    expected = SEGMENTS(X, np.array([0, 1, 1]))
    np.testing.assert_array_equal(array(SEGMENTS(X, [0, 1, 1])), array(expected))
    packed = mm.pack_tokens([[1, 2]], [[False, True]])
    np.testing.assert_array_equal(array(packed), [[2, 1]])


def test_names_of_numpy_can_be_saved(tmp_path):
    names = np.array(["text", "image"])
    fusion = mm.MultiModalFusion({n: {"type": "1d", "dim": 8} for n in names}, 8)
    inputs = {name: keras.Input((3, 8), name=str(name)) for name in names}
    model = keras.Model(inputs, fusion(inputs))
    loaded = reloaded(model, tmp_path)
    fed = {name: normal(2, 3, 8) for name in ("text", "image")}
    np.testing.assert_array_equal(array(loaded(fed)), array(model(fed)))
