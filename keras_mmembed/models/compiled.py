"""Functions of a model's weights, compiled by the backend."""

from collections.abc import Callable
from typing import Any

import keras


def compiled(model: keras.Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that computes the same, compiled on JAX and TensorFlow.

    PyTorch runs it eagerly, without gradients: `torch.compile` takes minutes where a
    step takes milliseconds.

    Args:
        model: The model whose variables the function reads.
        function: Takes and returns structures of tensors. It is traced once for each
            shape of them.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.no_grad()(function)
    if getattr(model, "run_eagerly", False):
        return function
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=False)
    return _compiled_by_jax(model, function)


def _compiled_by_jax(
    model: keras.Model, function: Callable[..., Any]
) -> Callable[..., Any]:
    import jax

    def of_values(values: list[Any], *arguments: Any) -> Any:
        mapping = list(zip(model.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    traced = jax.jit(of_values)

    def call(*arguments: Any) -> Any:
        return traced([variable.value for variable in model.variables], *arguments)

    return call
