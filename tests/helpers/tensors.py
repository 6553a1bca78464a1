"""Inputs of layers, and what comes out, as NumPy arrays."""

import keras
import numpy as np
from keras import ops


def array(x):
    """Return a tensor in float64."""
    return np.asarray(ops.convert_to_numpy(x)).astype("float64")


def numpy(tree):
    """Return nested tensors as arrays of their own dtypes."""
    return keras.tree.map_structure(ops.convert_to_numpy, tree)


def normal(*shape, seed=0):
    """Return normally distributed features."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def features(batch=2, seed=0, **shapes):
    """Return normally distributed features by name, of shapes without the batch."""
    rng = np.random.default_rng(seed)
    made = {name: rng.normal(size=(batch, *shape)) for name, shape in shapes.items()}
    return {name: x.astype("float32") for name, x in made.items()}


def permuted(x):
    """Return a dict in another order."""
    return dict(reversed(x.items()))


def encoding(layer, *shape, **call):
    """Return what a position layer adds to inputs of a shape."""
    return array(layer(np.zeros(shape, "float32"), **call))
