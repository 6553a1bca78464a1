"""Every message of `with_lengths` and of a model with lengths."""

import functools

import keras
import numpy as np
import whole_models
from messages import Mistake, checks

import keras_mmembed as mm

fused = functools.cache(whole_models.fused)


def lengths(model, sequences):
    """Return the mistake to add lengths to what `model` makes."""
    return Mistake("with_lengths", lambda: mm.with_lengths(model(), sequences))


def without_sequences():
    x = keras.Input((), name="x")
    return keras.Model(x, x + 1)


def with_lengths():
    inputs = [keras.Input((None,), name="x"), keras.Input((), name="x_lengths")]
    return keras.Model(inputs, inputs)


LENGTHS = [
    lengths(fused, []).says("sequences", "be a list of names", "[]"),
    lengths(fused, "words").says("sequences", "be a list of names", "'words'"),
    lengths(fused, ["sound"]).says(
        "sequences", "name inputs of the model, ['words', 'valid', 'image']", "'sound'"
    ),
    lengths(fused, {"words": "sound"}).says(
        "sequences", "name inputs of the model", "'sound'"
    ),
    lengths(fused, {"words": "image"}).says(
        "sequences", "name masks of the shape (batch, length)", "'image' of"
    ),
    lengths(without_sequences, ["x"]).says(
        "sequences", "name inputs of the shape (batch, length, ...)", "'x' of (None,)"
    ),
    lengths(with_lengths, ["x"]).says(
        "sequences", "name sequences without lengths", "'x'"
    ),
]


LENGTHS += [
    lengths(fused, [["words"]]).says("sequences", "name inputs of the", "['words']"),
    lengths(fused, ["words", "words"]).says(
        "sequences", "name an input once", "['words', 'words']"
    ),
    lengths(fused, {"words": "valid", "valid": None}).says(
        "sequences", "name an input once", "{'words': 'valid', 'valid': None}"
    ),
]


def call(values, sequence=None):
    """Return the mistake to call a model with such lengths."""
    sequence = np.ones((2, 3, 2), "float32") if sequence is None else sequence

    def act():
        x = keras.Input((None, 2), name="x")
        served = mm.with_lengths(keras.Model(x, x * 2), ["x"])
        served({"x": sequence, "x_lengths": values})

    return Mistake("with_lengths", act)


READ = "inputs['x_lengths']"
LENGTHS += [
    call(np.array([-1, 2])).says(READ, "lie in [0, 4)", "-1"),
    call(np.array([1, 4])).says(READ, "lie in [0, 4)", "4"),
    call(np.array([1, 2, 3])).says(f"{READ}.shape", "be (batch,), with the", "(3,)"),
    call(np.array([[1], [2]])).says(f"{READ}.shape", "be (batch,)", "(2, 1)"),
    *(
        call(np.array(values)).says(f"{READ}.dtype", "be integer", dtype)
        for values, dtype in (
            ([1.0, 1.9], "float64"),
            ([np.nan, 1], "float64"),
            ([True, True], "bool"),
            (["1", "2"], "<U1"),
        )
    ),
    call(keras.Input(()), keras.Input((3, 2))).says(
        f"{READ}.dtype", "be integer", "float32"
    ),
]

test_lengths = checks(LENGTHS)
