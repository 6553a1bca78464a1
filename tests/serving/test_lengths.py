"""Lengths as inputs, against the padding of a server."""

import keras
import numpy as np
import serving_models


def test_lengths_survive_the_padding_of_a_server(tmp_path):
    served, batch, expected = serving_models.padded_reader()
    assert set(served.input) == {"words", "sound", "words_lengths", "sound_lengths"}
    np.testing.assert_allclose(served.predict_on_batch(batch), expected, atol=1e-6)
    served.save(tmp_path / "served.keras")
    loaded = keras.models.load_model(tmp_path / "served.keras")
    np.testing.assert_allclose(loaded.predict_on_batch(batch), expected, atol=1e-6)
