"""Initializers that several weights of a layer share."""

from keras import initializers


def default_initializer(initializer):
    """Return the initializer that was asked for, or a normal one of 0.02."""
    return initializers.get(initializer or initializers.RandomNormal(stddev=0.02))


def clone_initializer(initializer):
    """Return an initializer that draws other values, unless its seed is set."""
    return initializer.clone() if hasattr(initializer, "clone") else initializer
