"""Weights of layers: by their path, with random values, and out of a file."""

import keras
import numpy as np


def weights_by_path(layer):
    """Return the weights by their path below the layer."""
    return {weight.path.split("/", 1)[1]: weight for weight in layer.weights}


def randomize(layer, seed=1):
    """Give a built layer random weights, and return it."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def reloaded(model, folder):
    """Return what a file of the model holds."""
    path = folder / "model.keras"
    model.save(path)
    return keras.models.load_model(path)
