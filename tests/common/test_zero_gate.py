"""The gate that starts closed."""

import keras
import numpy as np
import pytest
from keras import ops
from tensors import array, normal
from weights import randomize, reloaded

import keras_mmembed as mm


def pair():
    return normal(2, 5, 4), normal(2, 5, 4, seed=1)


def test_closed_at_first_and_open_in_the_end():
    layer, (without, more) = mm.ZeroGate(), pair()
    np.testing.assert_array_equal(array(layer([without, more])), without)
    layer.set_weights([np.float32(20.0)])
    np.testing.assert_allclose(array(layer([without, more])), more, atol=1e-6)
    layer.set_weights([np.float32(0.3)])
    expected = without + np.tanh(0.3) * (more.astype("float64") - without)
    np.testing.assert_allclose(array(layer([without, more])), expected, atol=1e-6)


def test_in_a_model_it_opens_by_training(tmp_path):
    inputs = [keras.Input((None, 4)) for _ in range(2)]
    model = keras.Model(inputs, mm.ZeroGate(name="gate")(inputs))
    without, more = pair()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit([without, more], more, epochs=5, verbose=0)
    assert array(model.get_layer("gate").gate) > 0.1
    loaded = reloaded(model, tmp_path)
    expected = model.predict([without, more], verbose=0)
    np.testing.assert_allclose(
        loaded.predict([without, more], verbose=0), expected, atol=1e-6
    )


def test_half_precision_and_mask():
    without, more = pair()
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    masked = keras.layers.Masking()(np.where(mask[..., None], without, 0.0))
    layer = mm.ZeroGate(dtype="mixed_bfloat16")
    outputs = layer([masked, more])
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs._keras_mask), mask)


def attention_model(with_audio):
    """A model of text, into which audio is let through a gate around attention."""
    configs = {"text": {"type": "1d", "dim": 8}, "audio": {"type": "1d", "dim": 8}}
    fusion = mm.MultiModalFusion(
        configs, 8, dropout=0.0, cls_token=True, return_dict=True, name="fusion"
    )
    inputs = {
        n: keras.Input((None, 8), name=n) for n in (configs if with_audio else ["text"])
    }
    fused = fusion(inputs)
    tokens = fused["embeddings"]
    everything = mm.AttentionMask(fusion.modalities)(fused)
    attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
    mixed = attention(tokens, tokens, attention_mask=everything)
    if with_audio:
        hidden = mm.AttentionMask(fusion.modalities, hidden={"*": ["audio"]})(fused)
        without = attention(tokens, tokens, attention_mask=hidden)
        mixed = mm.ZeroGate(name="gate")([without, mixed])
    return keras.Model(inputs, keras.layers.Add()([tokens, mixed]))


def test_a_modality_added_to_a_trained_model_changes_nothing_at_first():
    old, new = attention_model(False), attention_model(True)
    for layer in ("fusion", "attention"):
        values = randomize(old.get_layer(layer)).get_weights()
        new.get_layer(layer).set_weights(values)
    text, audio = normal(2, 4, 8), normal(2, 6, 8, seed=1)
    expected = array(old({"text": text}))
    got = array(new({"text": text, "audio": audio}))
    np.testing.assert_allclose(got[:, :5], expected, atol=1e-5)
    new.get_layer("gate").set_weights([np.float32(0.1)])
    assert np.abs(
        array(new({"text": text, "audio": audio}))[:, :5] - expected
    ).max() > (1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_closed_gate_lets_nothing_through(value):
    without, more = normal(2, 3), normal(2, 3, seed=1)
    more[0, 1] = value
    layer = mm.ZeroGate()
    np.testing.assert_array_equal(array(layer([without, more])), without)
    layer.set_weights([np.float32(0.5)])
    assert not np.isfinite(array(layer([without, more]))[0, 1])
