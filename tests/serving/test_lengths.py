"""Lengths as inputs, against the padding of a server."""

import keras
import numpy as np
import pytest
import serving_models
from weights import reloaded

import keras_mmembed as mm


def test_lengths_survive_the_padding_of_a_server(tmp_path):
    served, batch, expected = serving_models.padded_reader()
    assert set(served.input) == {"words", "sound", "words_lengths", "sound_lengths"}
    np.testing.assert_allclose(served.predict_on_batch(batch), expected, atol=1e-6)
    loaded = reloaded(served, tmp_path)
    np.testing.assert_allclose(loaded.predict_on_batch(batch), expected, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="it compiles no step")
def test_a_compiled_step_takes_the_nearest_right_length():
    x = keras.Input((3,), name="x")
    served = mm.with_lengths(keras.Model(x, x * 2), ["x"])
    batch = {"x": np.ones((3, 3), "float32"), "x_lengths": np.array([-4, 2, 99])}
    right = [[0, 0, 0], [2, 2, 0], [2, 2, 2]]
    np.testing.assert_array_equal(served.predict(batch, verbose=0), right)
