"""Lengths as inputs, against the padding of a server."""

import numpy as np
import serving_models
from weights import reloaded


def test_lengths_survive_the_padding_of_a_server(tmp_path):
    served, batch, expected = serving_models.padded_reader()
    assert set(served.input) == {"words", "sound", "words_lengths", "sound_lengths"}
    np.testing.assert_allclose(served.predict_on_batch(batch), expected, atol=1e-6)
    loaded = reloaded(served, tmp_path)
    np.testing.assert_allclose(loaded.predict_on_batch(batch), expected, atol=1e-6)
