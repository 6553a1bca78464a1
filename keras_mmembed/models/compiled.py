"""Functions of a model's weights, compiled by the backend."""

from collections.abc import Callable
from typing import Any

import keras


def compiled(
    model: keras.Model, function: Callable[..., Any], num_owned: int = 0
) -> Callable[..., Any]:
    """Return a function that computes the same, compiled on JAX and TensorFlow.

    PyTorch runs it eagerly, without gradients: `torch.compile` takes minutes where a
    step takes milliseconds.

    Args:
        model: The model whose variables the function reads.
        function: Takes and returns structures of tensors. It is traced once for each
            shape of them.
        num_owned: How many of its first arguments are used nowhere else, so that JAX
            may write its results there. Defaults to 0.
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
    return _compiled_by_jax(model, function, num_owned)


def _compiled_by_jax(
    model: keras.Model, function: Callable[..., Any], num_owned: int
) -> Callable[..., Any]:
    import jax

    def of_values(values: list[Any], *arguments: Any) -> Any:
        mapping = list(zip(model.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    # the first are the weights
    traced = jax.jit(of_values, donate_argnums=range(1, 1 + num_owned))

    def call(*arguments: Any) -> Any:
        return traced([variable.value for variable in model.variables], *arguments)

    return call
