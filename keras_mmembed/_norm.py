"""The norm of the tokens, in as few passes over them as can be."""

import keras
from keras import ops


class TokenNorm(keras.layers.LayerNormalization):
    """`LayerNormalization` over the last axis, with less work on JAX and TensorFlow.

    Keras scales `(batch, length, 1)` by `(width,)` before it meets the tokens, which
    writes a tensor of their size. PyTorch has a kernel of its own.
    """

    def call(self, inputs):
        if keras.backend.backend() == "torch":
            return super().call(inputs)
        unit = standardize(inputs, self.epsilon)
        gamma, beta = map(ops.convert_to_tensor, (self.gamma, self.beta))
        return ops.cast(unit * gamma + beta, self.compute_dtype)


def standardize(x, epsilon):
    """Return `(x - mean) / sqrt(variance + epsilon)` over the last axis."""
    center = ops.mean(x, axis=-1, keepdims=True)
    if keras.backend.backend() == "jax":
        # What is taken off as a constant changes no derivative of any order. Then the
        # gradients of mean and variance need one pass, and not one after the other.
        x = x - ops.stop_gradient(center)
        mean = ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(x), axis=-1, keepdims=True) - ops.square(mean)
        scale = ops.rsqrt(variance + epsilon)
        return x * scale - mean * scale
    x = x - center
    variance = ops.mean(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(variance + epsilon)
