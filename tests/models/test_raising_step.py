"""A step that raises: a model of ours keeps its weights, on JAX too."""

import keras
import numpy as np
import pytest

import keras_mmembed as mm

GOOD = {"text": np.ones((2, 3, 8), "float32")}
BAD = {
    "misspelt": {"txt": np.ones((2, 3, 8), "float32")},
    "width": {"text": np.ones((2, 3, 7), "float32")},
    "integers": {"text": np.ones((2, 3, 8), "int32")},
}
TARGETS = np.ones((2, 2), "float32")


@pytest.fixture(scope="module")
def model():
    model = mm.MultiModalTransformer(
        {"text": {"type": "1d", "dim": 8}}, 8, num_heads=2, num_layers=1, num_outputs=2
    )
    model.compile("adam", "mse")
    model.fit(GOOD, TARGETS, verbose=0)
    model.evaluate(GOOD, TARGETS, verbose=0)
    model.predict(GOOD, verbose=0)
    return model


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_weights_survive(model, method, name, tmp_path):
    before = model.get_weights()
    # arrays are looked into before a step
    batches = iter([(BAD[name], TARGETS)])
    with pytest.raises(Exception):  # noqa: B017 - TensorFlow raises its own
        getattr(model, method)(batches, verbose=0)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    model.fit(GOOD, TARGETS, verbose=0)
    model.save(tmp_path / "model.keras")


def test_steps_before_the_one_that_raises_count(model):
    def batches():
        yield GOOD, TARGETS
        yield GOOD, TARGETS
        yield BAD["width"], TARGETS

    before = model.get_weights()
    with pytest.raises(Exception):  # noqa: B017 - TensorFlow raises its own
        model.fit(batches(), steps_per_epoch=3, shuffle=False, verbose=0)
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    model.fit(GOOD, TARGETS, verbose=0)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="only JAX loses weights")
def test_a_stock_model_of_keras_loses_them():
    """What README says of models of Keras that hold layers of ours."""
    layer = keras.layers.Dense(3)
    inputs = keras.Input((None, 8))
    stock = keras.Model(inputs, layer(mm.PositionEmbedding1D(4)(inputs)))
    with pytest.raises(ValueError):
        stock.predict_on_batch(np.ones((1, 2, 7), "float32"))
    stock.get_weights()
    with pytest.raises(ValueError):
        stock.predict(np.ones((1, 2, 7), "float32"), verbose=0)
    with pytest.raises(TypeError):
        stock.get_weights()
