"""A fused sequence, taken apart."""

import keras
import numpy as np
from tensors import array, features
from weights import reloaded

import keras_mmembed as mm


def test_split_restores_grids(tmp_path):
    configs = {"video": {"type": "3d", "dim": 8}, "text": {"type": "1d", "dim": 8}}
    fusion = mm.MultiModalFusion(configs, 8, dropout=0.0, cls_token=True)
    text = keras.Input((None, 8), name="text")
    video = keras.Input((None, None, None, 8), name="video")
    inputs = {"text": text, "video": video}
    parts = fusion.split(fusion(inputs), like=inputs, grids=True)
    assert parts["video"].shape == (None, None, None, None, 8)
    model = keras.Model(inputs, parts)
    model = reloaded(model, tmp_path)
    fed = features(text=(5, 8), video=(3, 2, 4, 8))
    got = model.predict(fed, verbose=0)
    assert got["text"].shape == (2, 5, 8)
    whole = array(model.get_layer(fusion.name)(fed))
    np.testing.assert_allclose(
        got["video"], whole[:, 1:25].reshape(2, 3, 2, 4, 8), atol=1e-6
    )
