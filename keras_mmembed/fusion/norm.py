"""Layer normalization of the tokens, in as few passes over them as can be."""

from typing import Any

import keras
from keras import ops

from keras_mmembed.common.types import Tensor


class TokenNorm(keras.layers.LayerNormalization):
    """`LayerNormalization` over the last axis, with less work on JAX and TensorFlow.

    Keras scales `(batch, length, 1)` by `(width,)` before it meets the tokens, which
    writes a tensor of their size. PyTorch has a kernel of its own.

    Args:
        has_dropout: Whether dropout follows; `False` by default.
        **options: As for `keras.layers.LayerNormalization`.
    """

    def __init__(self, has_dropout: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.has_dropout: bool = has_dropout

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        backend = keras.backend.backend()
        if backend == "torch":
            return super().call(inputs)
        method = standardize
        # XLA draws the numbers of a dropout anew for every reader of its gradient
        if backend == "jax" and training and not self.has_dropout:
            method = standardize_for_gradients
        unit = method(inputs, self.epsilon)
        gamma, beta = map(ops.convert_to_tensor, (self.gamma, self.beta))
        return ops.cast(unit * gamma + beta, self.compute_dtype)


def make_norm(
    norm_type: str, *, has_dropout: bool, **options: Any
) -> keras.layers.Layer:
    """Return the norm of tokens, `"layer"` or `"rms"`, with the options of Keras."""
    if norm_type == "rms":
        return keras.layers.RMSNormalization(**options)
    return TokenNorm(has_dropout=has_dropout, **options)


def standardize(x: Tensor, epsilon: float) -> Tensor:
    """Return `(x - mean) / sqrt(variance + epsilon)` over the last axis.

    XLA makes one kernel of it.
    """
    x = x - ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(variance + epsilon)


def standardize_for_gradients(x: Tensor, epsilon: float) -> Tensor:
    """Return the same in more passes, whose gradients take fewer and less memory.

    What is subtracted as a constant changes no derivative of any order. The gradient
    of the variance then does not wait for that of the mean.
    """
    x = x - ops.stop_gradient(ops.mean(x, axis=-1, keepdims=True))
    mean = ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(x), axis=-1, keepdims=True) - ops.square(mean)
    scale = ops.rsqrt(variance + epsilon)
    return x * scale - mean * scale


def normalize(norm: keras.layers.Layer | None, x: Tensor) -> Tensor:
    """Return normalized tokens, or the tokens as they are without a norm."""
    return x if norm is None else norm(x)


def normalize_inside(
    norm: keras.layers.Layer | None, x: Tensor, exempt: tuple[int, int]
) -> Tensor:
    """Return a sequence of which the first and last tokens are not normalized.

    Args:
        norm: The norm, or `None`.
        x: `(batch, length, width)`.
        exempt: How many tokens are exempt at the start, and at the end.
    """
    if norm is None or not any(exempt):
        return normalize(norm, x)
    first, last = exempt
    inner = x[:, first:-last] if last else x[:, first:]
    parts = [x[:, :first], norm(inner), x[:, -last:] if last else None]
    parts = [part for part in parts if part is not None]
    return ops.concatenate(parts, axis=1)
