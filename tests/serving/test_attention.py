"""Position ids and attention with positions in a SavedModel of unknown length."""

import keras
import numpy as np
import pytest
from mixed_sequences import MODALITIES, padded, random_sample
from tensors import array, normal
from weights import randomize, reloaded

import keras_mmembed as mm


@pytest.mark.serving
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rule", ["qwen2_vl", "hunyuan_vl"])
def test_in_a_saved_model_of_unknown_length(rule, tmp_path):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() == "torch":
        pytest.skip("Keras exports no SavedModel of dicts from PyTorch")
    rng = np.random.default_rng(4)
    fused, _, _ = padded([random_sample(rng) for _ in range(3)], ("left", "right"))
    fed = {**fused, "examples": np.cumsum(rng.random(fused["mask"].shape) < 0.1, 1)}
    fed["examples"] = fed["examples"].astype("int32")
    inputs = {
        name: keras.Input((None, *values.shape[2:]), dtype=str(values.dtype), name=name)
        for name, values in fed.items()
    }
    named = {name: inputs[name] for name in fused}
    more = {**MODALITIES, "example_ids": inputs["examples"]}
    model = keras.Model(inputs, mm.rotary_positions(named, rule, **more))
    model.export(tmp_path, format="tf_saved_model", verbose=False)
    served = tf.saved_model.load(tmp_path)
    for length in (160, 31):
        some = {name: tf.constant(values[:, :length]) for name, values in fed.items()}
        more["example_ids"] = fed["examples"][:, :length]
        short = {name: values[:, :length] for name, values in fused.items()}
        expected = array(mm.rotary_positions(short, rule, **more))
        np.testing.assert_array_equal(served.serve(some).numpy(), expected)


def model_of(rotary, bias, rule):
    """Return a model of text and an image, from the fusion to one attention layer."""
    fusion = mm.MultiModalFusion(
        {
            "text": {"type": "1d", "dim": 16},
            "image": {"type": "2d", "dim": 8, "into": "text"},
        },
        16,
        dropout=0.0,
        return_dict=True,
    )
    inputs = {
        "text": keras.Input((None, 16), name="text"),
        "image": keras.Input((None, None, 8), name="image"),
        "places": keras.Input((None,), dtype="bool", name="places"),
    }
    fused = fusion(
        {"text": inputs["text"], "image": inputs["image"]},
        placeholders={"image": inputs["places"]},
    )
    options = {"modalities": fusion.modalities, "grids": ["image"]}
    positions = mm.rotary_positions(
        fused, rule, **({} if rule == "sequence" else options)
    )
    attention = mm.MultiModalAttention(
        4, num_key_value_heads=2, rotary=rotary, bias=bias, qk_norm="rms"
    )
    mask = mm.AttentionMask(fusion.modalities, causal=True)(fused)
    outputs = attention(fused["embeddings"], attention_mask=mask, positions=positions)
    return randomize(keras.Model(inputs, outputs))


def inputs_of(length):
    places = np.zeros((2, length), bool)
    places[:, 1:7] = True
    image = normal(2, 2, 3, 8)
    return {"text": normal(2, length, 16), "image": image, "places": places}


SECTIONS = {"convention": "qwen2_vl", "sections": [1, 1, 0]}


@pytest.mark.serving
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "rotary, bias, rule",
    [(SECTIONS, None, "qwen2_vl"), ("llama", "t5", "sequence")],
    ids=["rotary", "bias"],
)
def test_attention_in_a_saved_model_of_unknown_length(rotary, bias, rule, tmp_path):
    tf = pytest.importorskip("tensorflow")
    model = model_of(rotary, bias, rule)
    expected = {
        length: model.predict(inputs_of(length), verbose=0) for length in (9, 20)
    }
    again = reloaded(model, tmp_path)
    for length, outputs in expected.items():
        got = again.predict(inputs_of(length), verbose=0)
        np.testing.assert_allclose(got, outputs, atol=1e-6 * np.abs(outputs).max())
    mm.export_for_serving(model, tmp_path / "served", warmup=[inputs_of(9)])
    served = tf.saved_model.load(tmp_path / "served" / "1")
    for length, outputs in expected.items():
        fed = {name: tf.constant(value) for name, value in inputs_of(length).items()}
        (got,) = served.signatures["serving_default"](**fed).values()
        scale = np.abs(outputs).max()
        np.testing.assert_allclose(got / scale, outputs / scale, atol=1e-5)
