"""What a gate refuses, and how it says it."""

from functools import partial

import keras
import numpy as np
import pytest
from messages import assert_message, call, checks, wrong, zeros

import keras_mmembed as mm

GATE, PAIR = mm.ZeroGate, "be a list of two tensors of one shape"
NUMBERS = "be numbers, as an array, a tensor or lists of one length"
X = zeros(2, 3)
CALLS = [
    *[
        call(GATE(), inputs).says("inputs", PAIR, "")
        for inputs in (X, [X, zeros(3)], [X, zeros(1, 3)], [X], [X, X, X])
    ],
    *[
        call(GATE(), [X, X.astype(dtype)]).says(
            "inputs[1].dtype", "be an integer or a float", dtype
        )
        for dtype in ("bool", "complex64")
    ],
]
NO_TENSORS = [
    *[
        call(GATE(), inputs).says("inputs", PAIR, name)
        for inputs, name in ((None, "NoneType"), ("a", "str"), ({"a": X}, "dict"))
    ],
    *[
        call(GATE(), [X, value]).says("inputs", NUMBERS, repr(value))
        for value in (None, "a", [[1.0], [1.0, 2.0]])
    ],
    call(GATE(), [X, np.array(["a"])]).says("inputs", NUMBERS, "array(['a']"),
]
CONSTRUCTORS = [
    wrong(GATE, "be left out: it is no argument", foo=1),
    *[
        wrong(GATE, "be a float dtype or a policy of one", dtype=dtype)
        for dtype in ("int32", "nope", 3, [1, 2])
    ],
    wrong(GATE, "have only characters other than '/'", name="a/b"),
    wrong(GATE, "have only characters other than '/'", name=3),
    wrong(GATE, "be True or False", trainable="no"),
    wrong(mm.SegmentEmbedding, "be below 2 ** 31", num_segments=2**31),
    wrong(
        partial(mm.SegmentEmbedding, 2),
        "be the name, the configuration or an instance of an initializer",
        "array(",
        embeddings_initializer=np.ones((2, 8)),
    ),
    wrong(
        partial(mm.PatchEmbedding, 4, 8),
        "be one of 'channels_last', 'channels_first'",
        data_format=0,
    ),
    wrong(
        partial(mm.PatchEmbedding, 4, 8),
        "be one of 'error', 'pad', 'crop'",
        "array(",
        remainder=np.ones(2),
    ),
]


test_constructor = checks(CONSTRUCTORS)
test_eager_call = checks([*CALLS, *NO_TENSORS])
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)


def test_integers_that_would_be_cut_to_32_bits_are_told():
    layer, boxes = mm.BoxEmbedding(), np.full((1, 2, 4), 2**40)
    with pytest.raises(ValueError) as error:
        layer(zeros(1, 2, 8), boxes)
    assert_message(error, "boxes", "lie in [-2147483648, 2147483648)", f"{2**40}")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow")
def test_ragged_tensors_are_told():
    import tensorflow as tf

    ragged = tf.ragged.constant([[1.0], [1.0, 2.0]])
    with pytest.raises(TypeError) as error:
        mm.AudioEmbedding(8)(ragged)
    assert_message(error, "inputs", NUMBERS, "a RaggedTensor. pad_batch pads")
