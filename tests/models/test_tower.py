"""A model as the embedding of a modality of another one."""

import numpy as np
import pytest
from tensors import array
from weights import reloaded, weights_by_path

import keras_mmembed as mm


@pytest.mark.parametrize("pooling", ["cls", "tokens", "modalities"])
def test_a_tower_makes_the_features_of_a_modality(pooling, tmp_path):
    text = {"type": "1d", "vocabulary_size": 30, "padding_id": 0}
    options = {"num_layers": 1, "num_heads": 2, "dropout": 0.0}
    tower = mm.MultiModalTransformer({"words": text}, 8, **options, pooling=pooling)
    title = {"type": "none" if pooling == "cls" else "1d", "dim": 8}
    image = {"type": "2d", "dim": 12}
    ids = np.array([[3, 4, 5], [6, 0, 0], [7, 8, 0]])
    images = np.random.default_rng(0).normal(size=(3, 2, 3, 12))
    others = {"image": images.astype("float32")}
    configs = {"title": {**title, "embedding": tower}, "image": image}
    model = mm.MultiModalTransformer(configs, 16, **options)
    got = model({"title": ids, **others})
    features = tower({"words": ids})
    features = features["words"] if pooling == "modalities" else features
    plain = mm.MultiModalTransformer({"title": title, "image": image}, 16, **options)
    plain.build({"title": features.shape, "image": images.shape})
    weights = weights_by_path(model)
    for path, weight in weights_by_path(plain).items():
        weight.assign(weights[path])
    mask = {} if pooling == "cls" else {"title": ids > 0}
    expected = plain({"title": array(features), **others}, mask=mask)
    np.testing.assert_allclose(array(got), array(expected), atol=1e-5)
    same = reloaded(model, tmp_path)
    np.testing.assert_array_equal(array(same({"title": ids, **others})), array(got))
