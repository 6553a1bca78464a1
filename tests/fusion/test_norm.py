"""The norm of the fusion against the formula, and its derivatives of two orders."""

import functools

import keras
import numpy as np
import pytest
import reference
from keras import ops
from weights import randomize

import keras_mmembed as mm

BACKEND = keras.backend.backend()
WIDTH, EPSILON = 16, 1e-6


def make(dtype=None):
    """Return the norm of a fusion."""
    configs = {"tokens": {"type": "none", "dim": WIDTH}}
    fusion = mm.MultiModalFusion(configs, WIDTH, epsilon=EPSILON, dtype=dtype)
    fusion.build({"tokens": (None, None, WIDTH)})
    return randomize(fusion.norm)


def formula(x, gamma, beta):
    return reference.layer_norm(x, gamma, beta, EPSILON)


def derivatives(function, x, direction):
    """Return the gradient of a scalar function, and that gradient's along `direction`.

    The second is the gradient of the gradient times the direction.
    """
    x, direction = ops.convert_to_tensor(x), ops.convert_to_tensor(direction)
    if BACKEND == "jax":
        import jax

        gradient = jax.grad(function)
        slope = jax.grad(lambda x: ops.sum(gradient(x) * direction))
        return gradient(x), slope(x)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = function(x)
            gradient = inner.gradient(value, x)
            slope = ops.sum(gradient * direction)
        return gradient, outer.gradient(slope, x)
    import torch

    x.requires_grad_()
    (gradient,) = torch.autograd.grad(function(x), x, create_graph=True)
    (second,) = torch.autograd.grad(torch.sum(gradient * direction), x)
    return gradient.detach(), second


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_formula(mean, training):
    """A mean far above the deviation takes no digits from the result."""
    x = np.random.default_rng(1).normal(mean, 1.0, size=(2, 5, WIDTH))
    x = x.astype("float32")
    layer = make()
    expected = formula(x, *layer.get_weights())
    outputs = ops.convert_to_numpy(layer(x, training=training))
    np.testing.assert_allclose(outputs, expected, atol=2e-4)


@pytest.mark.parametrize("training", [False, True])
def test_derivatives_of_two_orders(training):
    rng = np.random.default_rng(2)
    x, direction = rng.normal(1.0, 1.0, size=(2, 2, 3, WIDTH))
    layer = make()
    gamma, beta = layer.get_weights()

    def loss(x):
        return np.sum(formula(x, gamma, beta) ** 3)

    def slope(function, x, direction, h=1e-3):
        return (function(x + h * direction) - function(x - h * direction)) / (2 * h)

    got = derivatives(
        lambda x: ops.sum(layer(x, training=training) ** 3),
        x.astype("float32"),
        direction.astype("float32"),
    )
    first, second = (ops.convert_to_numpy(tensor) for tensor in got)
    assert np.sum(first * direction) == pytest.approx(
        slope(loss, x, direction), rel=1e-4
    )
    along = slope(lambda x: slope(loss, x, direction), x, direction)
    assert np.sum(second * direction) == pytest.approx(along, rel=1e-3)


def pushed_forward(function, x, direction):
    """Return the derivative of a function along `direction`, by forward mode."""
    x, direction = ops.convert_to_tensor(x), ops.convert_to_tensor(direction)
    if BACKEND == "jax":
        import jax

        return jax.jvp(function, (x,), (direction,))[1]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.autodiff.ForwardAccumulator(x, direction) as accumulator:
            outputs = function(x)
        return accumulator.jvp(outputs)
    import torch

    return torch.func.jvp(function, (x,), (direction,))[1]


@pytest.mark.parametrize("training", [False, True])
def test_forward_mode(training):
    layer = make()
    rng = np.random.default_rng(3)
    x, direction = rng.normal(size=(2, 2, 3, WIDTH)).astype("float32")
    call = functools.partial(layer, training=training)
    pushed = ops.convert_to_numpy(pushed_forward(call, x, direction))
    h, weights = 1e-4, layer.get_weights()
    ahead, behind = (formula(x + s * h * direction, *weights) for s in (1.0, -1.0))
    np.testing.assert_allclose(pushed, (ahead - behind) / (2 * h), atol=1e-3)


@pytest.mark.skipif(BACKEND == "jax", reason="it has none without a flag of its own")
def test_float64_is_kept():
    layer = make(dtype="float64")
    x = np.random.default_rng(4).normal(size=(2, 3, WIDTH))
    outputs = ops.convert_to_numpy(layer(ops.convert_to_tensor(x, dtype="float64")))
    assert outputs.dtype == "float64"
    expected = formula(x, *layer.get_weights())
    # Keras on PyTorch computes the norm of a float64 in float32
    exact = 1e-6 if BACKEND == "torch" else 1e-12
    np.testing.assert_allclose(outputs, expected, atol=exact)
