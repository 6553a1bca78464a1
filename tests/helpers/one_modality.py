"""A fusion of one modality, its weights by path, and its embeddings."""

from tensors import array
from weights import randomize, weights_by_path

import keras_mmembed as mm

WIDTH, EPSILON = 8, 1e-3


def make(config, shape=(None, None, WIDTH), **options):
    """Return a fusion of one modality with random weights, and these by path."""
    options = {"normalization": None, "dropout": 0.0, "return_dict": True, **options}
    layer = mm.MultiModalFusion({"x": config}, WIDTH, **options)
    layer.build({"x": shape})
    weights = weights_by_path(randomize(layer))
    return layer, {path: array(weight) for path, weight in weights.items()}


def embeddings(layer, x, **call):
    named = {argument: {"x": value} for argument, value in call.items()}
    return array(layer({"x": x}, **named)["embeddings"])
