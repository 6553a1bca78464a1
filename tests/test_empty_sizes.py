"""Batches without samples and samples without tokens, eager and compiled."""

import dataclasses

import keras
import numpy as np
import pytest
from backend_exports import export
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


EMPTY_GRIDS = np.array([[2, 0], [0, 2], [0, 0], [2, 2]], "int32")
TABLE = {"kind": "learned", "embeddings_initializer": "random_normal"}
OPTIONS = [
    {},
    {"convention": "mocov3"},
    {"convention": "detr"},
    {"height": 3, "width": 3, **TABLE, "out_of_range": "clip"},
    {
        "height": 3,
        "width": 3,
        **TABLE,
        "out_of_range": "resize",
        "interpolation": "bilinear",
    },
    {
        "height": 3,
        "width": 3,
        **TABLE,
        "out_of_range": "resize",
        "interpolation": "bicubic",
        "antialias": True,
    },
]


@pytest.mark.parametrize("options", OPTIONS, ids=range(len(OPTIONS)))
def test_a_grid_per_sample_with_a_side_of_0(options):
    layer = mm.PositionEmbedding2D(**options)
    x = keras.Input((None, 8), name="x")
    grid = keras.Input((2,), dtype="int32", name="grid")
    model = keras.Model({"x": x, "grid": grid}, layer(x, grid=grid))
    inputs = {"x": np.zeros((4, 4, 8), "float32"), "grid": EMPTY_GRIDS}
    alone = layer(inputs["x"][:1, :4], grid=np.array([[2, 2]], "int32"))
    for outputs in (compiled(model)(inputs), layer(inputs["x"], grid=EMPTY_GRIDS)):
        outputs = ops.convert_to_numpy(outputs)
        np.testing.assert_array_equal(outputs[:3], np.zeros((3, 4, 8)))
        np.testing.assert_allclose(outputs[3:], ops.convert_to_numpy(alone), atol=1e-6)


COUNTING = [
    (mm.PositionEmbedding1D, {"convention": "detr"}),
    (mm.PositionEmbedding1D, {"convention": "kosmos2"}),
    (
        mm.PositionEmbedding1D,
        {"convention": "roberta", "kind": "learned", "max_length": 9},
    ),
    (mm.PositionEmbedding2D, {"convention": "detr"}),
    (mm.PositionEmbedding2D, {"convention": "kosmos2"}),
]


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize(
    "make, options", COUNTING, ids=[f"{m}-{o}" for m, o in COUNTING]
)
def test_no_tokens_with_a_mask_that_is_counted(make, options, batch):
    layer, axes = make(**options), 1 if make is mm.PositionEmbedding1D else 2
    x = keras.Input((*(None,) * axes, 8), name="x")
    mask = keras.Input((None,) * axes, dtype="bool", name="mask")
    model = keras.Model({"x": x, "mask": mask}, layer(x, mask=mask))
    for sizes in {(0,) * axes, (3,) * axes, (0, 3)[-axes:], (3, 0)[:axes]}:
        shape = (batch, *sizes)
        inputs = {"x": np.zeros((*shape, 8), "float32"), "mask": np.zeros(shape, bool)}
        for outputs in (compiled(model)(inputs), model(inputs)):
            outputs = ops.convert_to_numpy(outputs)
            assert outputs.shape == (*shape, 8)
            assert np.isfinite(outputs).all()


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="others fix sizes of 0 in an export"
)
def test_an_export_takes_sizes_of_0(tmp_path):
    configs = {
        "text": {"type": "1d", "dim": 8},
        "image": {"type": "2d", "dim": 8, "embedding": mm.PatchEmbedding(2, 8)},
        "audio": {"type": "1d", "dim": 8, "embedding": mm.AudioEmbedding(8)},
    }
    shapes = {"text": (None, 8), "image": (None, None, 3), "audio": (None,)}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    model = keras.Model(inputs, mm.MultiModalFusion(configs, 8)(inputs))
    call = export(model, None, tmp_path / "model")
    for batch, text, image, audio, tokens in (
        (2, 3, (0, 0), 0, 3),
        (2, 3, (0, 4), 800, 3 + 5),
        (2, 0, (4, 4), 0, 4),
        (0, 3, (4, 4), 800, 3 + 4 + 5),
    ):
        fed = {
            "text": np.ones((batch, text, 8), "float32"),
            "image": np.ones((batch, *image, 3), "float32"),
            "audio": np.ones((batch, audio), "float32"),
        }
        assert call(fed).shape == (batch, tokens, 8)
