"""Quantisation and LoRA of a fusion, and files of both."""

import keras
import numpy as np
import pytest
from tensors import array
from weights import reloaded

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 16, "vocabulary_size": 30},
    "image": {"type": "2d", "dim": 12, "position": "learned", "height": 2, "width": 3},
}
QUIET = pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize")


def make_model():
    inputs = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "image": keras.Input((2, 3, 12), name="image"),
    }
    fusion = mm.MultiModalFusion(CONFIGS, 16, dropout=0.0, name="fusion")
    return keras.Model(inputs, keras.layers.Dense(4)(fusion(inputs)))


def inputs():
    rng = np.random.default_rng(0)
    return {
        "text": rng.integers(0, 30, (2, 5)).astype("int32"),
        "image": rng.normal(size=(2, 2, 3, 12)).astype("float32"),
    }


@QUIET
@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantised_and_saved(mode, tmp_path):
    model = make_model()
    exact = model.predict(inputs(), verbose=0)
    model.quantize(mode)
    fusion = model.get_layer("fusion")
    assert fusion.branch("image").projection.quantization_mode == mode
    assert fusion.branch("text").embedding.quantization_mode == mode
    got = model.predict(inputs(), verbose=0)
    bound = {"int8": 0.05, "int4": 0.6}[mode]
    assert 0 < np.abs(got - exact).max() < bound
    loaded = reloaded(model, tmp_path)
    np.testing.assert_allclose(loaded.predict(inputs(), verbose=0), got, atol=1e-6)
    twice = reloaded(loaded, tmp_path)
    np.testing.assert_allclose(twice.predict(inputs(), verbose=0), got, atol=1e-6)


@QUIET
@pytest.mark.parametrize("change", ["int8", "lora"])
def test_embeddings_of_raw_inputs(change, tmp_path):
    patches = mm.PatchEmbedding(2, 12)
    words = keras.layers.Embedding(30, 16, mask_zero=True)
    words.build()  # outside of the fusion, which its path shows
    configs = {
        "text": {"type": "1d", "embedding": words},
        "image": {"type": "2d", "dim": 12, "embedding": patches},
    }
    symbols = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "image": keras.Input((4, 6, 3), name="image"),
    }
    fusion = mm.MultiModalFusion(configs, 16, dropout=0.0)
    tokens = fusion(symbols)
    model = keras.Model(symbols, fusion.split(tokens, symbols, grids=True))
    rng = np.random.default_rng(0)
    if change == "int8":
        model.quantize("int8")
    else:
        for layer in (words, patches.projection, fusion.branch("image").projection):
            layer.enable_lora(2)
        for weight in model.weights:
            if "lora" in weight.name:
                weight.assign(rng.normal(size=weight.shape))
    fed = {
        "text": inputs()["text"],
        "image": rng.normal(size=(2, 4, 6, 3)).astype("float32"),
    }
    expected = model.predict(fed, verbose=0)
    assert expected["image"].shape == (2, 2, 3, 16)
    loaded = reloaded(model, tmp_path)
    twice = reloaded(loaded, tmp_path)
    for other in (loaded, twice):
        assert len(other.weights) == len(model.weights)
        got = other.predict(fed, verbose=0)
        for name in expected:
            np.testing.assert_allclose(got[name], expected[name], atol=1e-5)


def test_lora_trains_and_is_saved(tmp_path):
    model = make_model()
    fusion = model.get_layer("fusion")
    projection = fusion.branch("image").projection
    kernel = projection.weights[0]
    before = array(kernel)
    fusion.trainable = False
    projection.trainable = True
    projection.enable_lora(2)
    names = {w.name for w in projection.trainable_weights}
    assert {"lora_kernel_a", "lora_kernel_b"} <= names
    model.compile(keras.optimizers.SGD(0.1), "mse")
    targets = np.random.default_rng(1).normal(size=(2, 11, 4))
    model.fit(inputs(), targets, epochs=3, verbose=0)
    np.testing.assert_array_equal(array(kernel), before)
    expected = model.predict(inputs(), verbose=0)
    loaded = reloaded(model, tmp_path)
    assert loaded.get_layer("fusion").branch("image").projection.lora_rank == 2
    got = loaded.predict(inputs(), verbose=0)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@QUIET
def test_lora_of_a_quantised_projection_is_saved(tmp_path):
    model = make_model()
    model.quantize("int8")
    projection = model.get_layer("fusion").branch("image").projection
    projection.enable_lora(2, lora_alpha=4)
    projection.lora_kernel_b.assign(np.random.default_rng(2).normal(0, 0.5, (2, 16)))
    expected = model.predict(inputs(), verbose=0)
    loaded = reloaded(model, tmp_path)
    got = loaded.predict(inputs(), verbose=0)
    # Keras merges both in one int8 kernel
    np.testing.assert_allclose(got, expected, atol=0.05)
    projection.lora_kernel_b.assign(np.zeros((2, 16)))
    assert np.abs(model.predict(inputs(), verbose=0) - expected).max() > 0.1
