"""What every layer owes, run over the table of cases."""

import inspect

import keras
import ml_dtypes
import numpy as np
import pytest
from case_models import functional, model_inputs, symbolic
from cases import CASES, inputs_of
from keras import ops
from tensors import array
from weights import randomize, reloaded

import keras_mmembed as mm

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def shapes_of(x):
    return {k: v.shape for k, v in x.items()} if isinstance(x, dict) else x.shape


def test_every_public_layer_has_a_case():
    public = {
        name
        for name in mm.__all__
        if inspect.isclass(getattr(mm, name))
        and issubclass(getattr(mm, name), keras.layers.Layer)
    }
    # takes what the fusion returns: tests/attention/test_mask.py has its laws
    public.remove("AttentionMask")
    # takes two tensors: tests/common/test_zero_gate.py has its laws
    public.remove("ZeroGate")
    assert public == {type(case.make()).__name__ for case in CASES}


@each_case
def test_build_makes_every_weight(case):
    x, extra = inputs_of(case)
    layer = case.make()
    layer.build(shapes_of(x))
    # Keras runs a model that holds an unbuilt layer once eagerly before it compiles
    assert all(sublayer.built for sublayer in layer._flatten_layers())
    before = [weight.path for weight in layer.weights]
    layer(x, **extra, **case.call)
    assert [weight.path for weight in layer.weights] == before


@each_case
def test_config_round_trip(case):
    layer = case.make()
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    arguments = {
        name
        for owner in type(layer).__mro__[:2]
        if owner.__module__.startswith("keras_mmembed") and "__init__" in vars(owner)
        for name in inspect.signature(owner).parameters
    }
    assert arguments - {"kwargs", "options", "sizes"} <= set(config)


@each_case
def test_declared_shape_and_dtype_are_real(case):
    x, extra = inputs_of(case)
    layer = case.make()
    declared = layer.compute_output_shape(shapes_of(x))
    outputs = layer(x, **extra, **case.call)
    assert tuple(outputs.shape) == declared
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"


@each_case
def test_eager_symbolic_and_compiled_agree(case):
    x, extra = inputs_of(case)
    layer = case.make()
    eager = array(layer(x, **extra, **case.call))
    model = functional(case, layer)
    fed = model_inputs(case)
    np.testing.assert_allclose(array(model(fed)), eager, atol=2e-6)
    np.testing.assert_allclose(model.predict(fed, verbose=0), eager, atol=2e-6)


@each_case
def test_inside_a_layer_of_the_user(case):
    class Wrapper(keras.layers.Layer):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def call(self, inputs):
            x = inputs["x"] if "x" in inputs else inputs
            known = case.shape if isinstance(case.shape, dict) else ()
            ids = {k: v for k, v in inputs.items() if k not in known and k != "x"}
            x = {k: inputs[k] for k in known} if known else x
            extra = {}
            for argument, spec in case.ids.items():
                many = spec if isinstance(spec, dict) else [argument]
                made = {name: ids[f"{argument}_{name}"] for name in many}
                extra[argument] = made if isinstance(spec, dict) else made[argument]
            return self.inner(x, **extra, **case.call)

    x, extra, flat = symbolic(case)
    inputs = {**(x if isinstance(x, dict) else {"x": x}), **flat}
    layer = case.make()
    model = keras.Model(inputs, Wrapper(layer)(inputs))
    fed = model_inputs(case)
    x, extra = inputs_of(case)
    expected = array(layer(x, **extra, **case.call))
    np.testing.assert_allclose(model.predict(fed, verbose=0), expected, atol=2e-6)


@each_case
def test_save_and_load(case, tmp_path):
    layer = case.make()
    model = functional(case, layer)
    randomize(model)
    loaded = reloaded(model, tmp_path)
    fed = model_inputs(case)
    expected = model.predict(fed, verbose=0)
    np.testing.assert_allclose(loaded.predict(fed, verbose=0), expected, atol=1e-6)


def ulp(values, dtype):
    """The distance between neighbours of the dtype at each value."""
    bits = {"float16": (11, -24), "bfloat16": (8, -133)}[dtype]
    exponent = np.frexp(np.abs(values) + 1e-300)[1]
    return 2.0 ** np.maximum(exponent - bits[0], bits[1])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@each_case
def test_mixed_precision_is_the_float32_result_rounded(case, dtype):
    x, extra = inputs_of(case)
    exact = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[dtype]
    rounded = (
        {k: v.astype(exact).astype("float32") for k, v in x.items()}
        if isinstance(x, dict)
        else x.astype(exact).astype("float32")
    )
    layer, half = case.make(), case.make(dtype=f"mixed_{dtype}")
    expected = array(layer(rounded, **extra, **case.call))
    half.build(shapes_of(x))
    half.set_weights(layer.get_weights())
    outputs = half(rounded, **extra, **case.call)
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    tolerance = ulp(expected, dtype)
    if case.projects:
        # matrix products in half precision
        tolerance = 8 * ulp(np.abs(expected).max(), dtype)
    assert np.all(np.abs(array(outputs) - expected) <= tolerance)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@each_case
def test_pure_half_precision_runs(case, dtype):
    x, extra = inputs_of(case)
    outputs = case.make(dtype=dtype)(x, **extra, **case.call)
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    assert np.isfinite(array(outputs)).all()


# no sample lacks a modality here, and all tokens are of one modality by name
UNREAD = ("/missing", "modality_embedding/text")


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@each_case
def test_one_step_moves_every_weight(case):
    layer = case.make()
    model = functional(case, layer)
    if not model.trainable_weights:
        pytest.skip("the layer has no weights")
    model.compile(keras.optimizers.SGD(1.0), "mse")
    fed = model_inputs(case)
    rng = np.random.default_rng(2)
    targets = rng.normal(size=model.predict(fed, verbose=0).shape)
    before = {w.path: array(w) for w in model.trainable_weights}
    model.fit(fed, targets, verbose=0)
    for weight in model.trainable_weights:
        assert np.isfinite(array(weight)).all()
        if not weight.path.endswith(UNREAD):
            assert (array(weight) != before[weight.path]).any(), weight.path


@each_case
def test_masks_pass(case):
    if not case.has_tokens:
        pytest.skip("the mask of raw input is another: test_patch.py, test_audio.py")
    x, extra = inputs_of(case)
    layer = case.make()
    tokens = {k: v.shape[:-1] for k, v in x.items()} if isinstance(x, dict) else None
    rng = np.random.default_rng(3)
    if tokens:
        mask = {k: rng.random(s) < 0.5 for k, s in tokens.items()}
        outputs = layer(x, mask=mask, **extra, **case.call)
        layout = getattr(layer, "fusion", layer).layout
        sides = [layout.borders[name] for name in mask]
        rows = {name: mask[name].any(axis=-1, keepdims=True) for name in layout.rows}
        mask.update({n: np.concatenate([mask[n], m], -1) for n, m in rows.items()})
        flat = [
            np.pad(m.reshape(2, -1), ((0, 0), side), constant_values=True)
            for m, side in zip(mask.values(), sides, strict=True)
        ]
        special = np.ones((2, layout.num_special), bool)
        expected = np.concatenate([special, *flat], axis=1)
    else:
        expected = rng.random(x.shape[:-1]) < 0.5
        masked = keras.layers.Masking(mask_value=0.0)(
            np.where(expected[..., None], x, 0.0)
        )
        outputs = layer(masked, **extra, **case.call)
    got = ops.convert_to_numpy(outputs._keras_mask)
    np.testing.assert_array_equal(got, expected)


@each_case
def test_two_instances_do_not_share_state(case):
    x, extra = inputs_of(case)
    one, other = case.make(), case.make()
    before = array(one(x, **extra, **case.call))
    other(x, **extra, **case.call)
    other.set_weights([w + 1.0 for w in other.get_weights()])
    np.testing.assert_array_equal(array(one(x, **extra, **case.call)), before)
