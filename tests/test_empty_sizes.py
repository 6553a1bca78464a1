"""Batches without samples and samples without tokens, eager and compiled."""

import dataclasses

import keras
import numpy as np
import pytest
from case_models import functional, model_inputs
from cases import CASES
from keras import ops

import keras_mmembed as mm

BACKEND = keras.backend.backend()


def compiled(model):
    """Return a model as a function that is compiled for all sizes."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        specs = {n: tf.TensorSpec(x.shape, x.dtype, n) for n, x in model.input.items()}
        return tf.function(model, input_signature=[specs])
    if BACKEND == "jax":
        import jax

        state = (
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
        )
        return jax.jit(lambda inputs: model.stateless_call(*state, inputs)[0])
    return model


def without_tokens(case):
    """Return the case with a size of 0 on every axis that is unknown."""

    def empty(shape, unknown):
        pairs = zip(shape, unknown, strict=True)
        return tuple(0 if axis is None else size for size, axis in pairs)

    def empty_ids(spec):
        if isinstance(spec, dict):
            return {name: empty_ids(one) for name, one in spec.items()}
        (_, *rest), count = spec
        return (0, *rest), count

    shape = case.shape
    if isinstance(shape, dict):
        shape = {name: empty(s, case.unknown[name]) for name, s in shape.items()}
    else:
        shape = empty(shape, case.unknown)
    ids = {name: empty_ids(spec) for name, spec in case.ids.items()}
    return dataclasses.replace(case, shape=shape, ids=ids)


def may_be_empty(case):
    """Whether the axes of a case may be of any size."""
    layer = case.make()
    is_flat = isinstance(case.shape, tuple) and len(case.shape) == 2
    if is_flat and isinstance(layer, (mm.PositionEmbedding2D, mm.PositionEmbedding3D)):
        return False
    return getattr(layer, "remainder", "pad") == "pad"


def assert_shapes(outputs, model, inputs):
    """Assert that outputs have the shapes that the model declares."""
    shapes = {name: x.shape for name, x in inputs.items()}
    declared = keras.tree.flatten(model.compute_output_spec(inputs))
    for got, spec in zip(keras.tree.flatten(outputs), declared, strict=True):
        assert tuple(got.shape) == tuple(spec.shape), shapes


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_batch_without_samples(case):
    model = functional(case, case.make())
    inputs = model_inputs(case, batch=0)
    assert_shapes(compiled(model)(inputs), model, inputs)
    assert_shapes(model(inputs), model, inputs)


@pytest.mark.parametrize(
    "case", list(filter(may_be_empty, CASES)), ids=lambda case: case.name
)
def test_samples_without_tokens(case):
    model = functional(case, case.make())
    inputs = model_inputs(without_tokens(case), batch=2)
    outputs = compiled(model)(inputs)
    assert_shapes(outputs, model, inputs)
    assert np.isfinite(ops.convert_to_numpy(keras.tree.flatten(outputs)[0])).all()
