"""Tensors to call layers with, and their results as NumPy arrays."""

import keras
import numpy as np
from keras import ops


def array(x):
    """Return a tensor in float64."""
    return np.asarray(ops.convert_to_numpy(x)).astype("float64")


def numpy(tree):
    """Return nested tensors as arrays of the same dtype."""
    return keras.tree.map_structure(ops.convert_to_numpy, tree)


def normal(*shape, seed=0):
    """Return normally distributed features."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomize(layer, seed=0):
    """Give every weight of a built layer random values."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def features(batch=2, seed=0, **shapes):
    """Return normally distributed features by name, of shapes without the batch."""
    rng = np.random.default_rng(seed)
    made = {name: rng.normal(size=(batch, *shape)) for name, shape in shapes.items()}
    return {name: x.astype("float32") for name, x in made.items()}
