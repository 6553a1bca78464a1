"""A model as a program without arguments, compiled or not, on the running backend.

Each backend has a module with two functions, `forward` and `step`. The programs that
they make return once their results are there. A step returns the outputs, and the
gradients of weights and inputs that follow from a given gradient of the outputs: what
a layer in the middle of a model has to do.
"""

import importlib

import keras
import numpy as np

MODES = {
    "jax": ("eager", "jit"),
    "tensorflow": ("eager", "graph", "xla"),
    "torch": ("eager", "fixed", "compile"),
}


def modes():
    """Return the ways to run a model on this backend, plainly compiled last."""
    return MODES[keras.backend.backend()]


def make_program(kind, model, arrays, mode):
    """Return a program of kind "forward", or else a training step."""
    backend = importlib.import_module(f"benchmarks.programs_{keras.backend.backend()}")
    inputs = tensors(arrays)
    if kind == "forward":
        return backend.forward(model, inputs, mode)
    return backend.step(model, inputs, cotangent(model, inputs), mode)


def tensors(arrays):
    """Return arrays by name on the device of Keras."""
    return {name: keras.ops.convert_to_tensor(x) for name, x in arrays.items()}


def cotangent(model, inputs):
    """Return what a loss would send back to the outputs of a model."""
    outputs = model(inputs)
    rng = np.random.default_rng(1)
    numbers = rng.standard_normal(tuple(outputs.shape), dtype="float32")
    return keras.ops.cast(keras.ops.convert_to_tensor(numbers), outputs.dtype)
