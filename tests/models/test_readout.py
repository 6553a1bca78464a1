"""From tokens to outputs: pooling, pooler, norm of what is pooled, and heads."""

import math

import keras
import numpy as np
import pytest
import reference
from compiled_call import outputs_of
from tensors import array
from weights import randomize, reloaded, weights_by_path

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 16, "vocabulary_size": 30},
    "image": {"type": "2d", "dim": 12},
}
OPTIONS = {"num_layers": 1, "num_heads": 2, "hidden_dim": 24, "dropout": 0.0}
RNG = np.random.default_rng(0)
INPUTS = {
    "text": RNG.integers(0, 30, (3, 5)).astype("int32"),
    "image": RNG.normal(size=(3, 2, 2, 12)).astype("float32"),
}
# the last sample has no text
CALL = {"mask": {"text": np.arange(5) < np.array([[5], [2], [0]])}}
SPECIAL = 3


def make(configs=CONFIGS, **options):
    options = {"cls_token": True, "num_registers": SPECIAL - 1, **OPTIONS, **options}
    model = mm.MultiModalTransformer(configs, 16, **options)
    model.build({name: INPUTS[name].shape for name in configs})
    return randomize(model)


def copied(model, **options):
    """Return a model with other options, and the weights that both have."""
    other, values = make(**options), weights_by_path(model)
    for path, weight in weights_by_path(other).items():
        if path in values:
            weight.assign(values[path])
    return other


TOKENS_MODEL = {}


def tokens_of(final_norm=True):
    """Return a model that leaves all tokens, these, and which of them are valid."""
    if final_norm not in TOKENS_MODEL:
        model = make(pooling="tokens", final_norm=final_norm)
        valid = array(model.fusion(INPUTS, **CALL)["mask"]).astype(bool)
        TOKENS_MODEL[final_norm] = (
            model,
            array(outputs_of(model, INPUTS, **CALL)),
            valid,
        )
    return TOKENS_MODEL[final_norm]


@pytest.mark.parametrize("pooling", ["first", "last", "special", "cls"])
def test_a_token_or_a_mean_of_them(pooling):
    model, tokens, valid = tokens_of()
    last = valid.shape[1] - 1 - np.argmax(valid[:, ::-1], axis=1)
    expected = {
        "cls": tokens[:, 0],
        "first": tokens[:, 0],
        "last": tokens[np.arange(3), last],
        "special": tokens[:, :SPECIAL].mean(axis=1),
    }[pooling]
    got = outputs_of(copied(model, pooling=pooling), INPUTS, **CALL)
    np.testing.assert_allclose(array(got), expected, atol=1e-5)


def test_the_first_valid_token_is_not_padding():
    left = {"mask": {"text": np.arange(5) >= np.array([[0], [3], [4]])}}
    options = {"configs": {"text": CONFIGS["text"]}, "num_registers": 0}
    inputs = {"text": INPUTS["text"]}
    model = make(**options, pooling="tokens", cls_token=False)
    expected = array(outputs_of(model, inputs, **left))[[0, 1, 2], [0, 3, 4]]
    model = copied(model, **options, pooling="first", cls_token=False)
    got = outputs_of(model, inputs, **left)
    np.testing.assert_allclose(array(got), expected, atol=1e-5)


def test_attention_reads_the_valid_tokens():
    model, tokens, valid = tokens_of()
    model = copied(model, pooling="attention")
    layer = model.attention_pooling
    qk, qb, kk, kb, vk, vb, ok, ob = (array(w) for w in layer.attention.weights)
    probe = array(layer.probe)[0]
    expected = np.zeros((3, 16)) + ob
    for head in range(2):
        query = probe @ qk[:, head] + qb[head]
        scores = (tokens @ kk[:, head] + kb[head]) @ query / np.sqrt(8)
        scores = np.where(valid, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        values = tokens @ vk[:, head] + vb[head]
        expected += np.einsum("bl,blc->bc", weights, values) @ ok[head]
    norm, hidden, output = layer.norm, layer.hidden, layer.output_dense
    x = reference.layer_norm(expected, array(norm.gamma), array(norm.beta), 1e-6)
    x = x @ array(hidden.kernel) + array(hidden.bias)
    x = x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2
    expected += x @ array(output.kernel) + array(output.bias)
    np.testing.assert_allclose(
        array(outputs_of(model, INPUTS, **CALL)), expected, atol=1e-4
    )


def test_a_norm_of_what_is_pooled_and_a_pooler():
    model, tokens, valid = tokens_of(final_norm=False)
    model = copied(model, pooling="mean", final_norm="pooled", pooler=True)
    counts = valid & (np.arange(tokens.shape[1]) >= SPECIAL)
    pooled = np.stack([t[c].mean(axis=0) for t, c in zip(tokens, counts, strict=True)])
    gamma, beta = array(model.norm.gamma), array(model.norm.beta)
    pooled = reference.layer_norm(pooled, gamma, beta, 1e-6)
    dense = model.pooler_dense
    expected = np.tanh(pooled @ array(dense.kernel) + array(dense.bias))
    np.testing.assert_allclose(
        array(outputs_of(model, INPUTS, **CALL)), expected, atol=1e-5
    )


@pytest.mark.parametrize("pooling", ["attention", "tokens", "modalities"])
def test_a_head_of_ones_own_is_saved(pooling, tmp_path):
    layers = keras.layers
    head = keras.Sequential(
        [layers.Dense(6, activation="relu"), layers.Dropout(0.5), layers.Dense(4)]
    )
    model = make(pooling=pooling, head=head, activation="quick_gelu")
    shapes = {name: x.shape for name, x in INPUTS.items()}
    got = outputs_of(model, INPUTS, **CALL)
    declared = model.compute_output_shape(shapes)
    real = keras.tree.map_structure(lambda x: tuple(x.shape), got)
    assert declared == real
    loaded = outputs_of(reloaded(model, tmp_path), INPUTS, **CALL)
    pairs = zip(keras.tree.flatten(loaded), keras.tree.flatten(got), strict=True)
    for one, two in pairs:
        np.testing.assert_array_equal(array(one), array(two))


@pytest.mark.parametrize("name", ["quick_gelu", "gelu_tanh"])
def test_an_activation_that_keras_has_not_is_known_by_its_name(name, tmp_path):
    block = mm.TransformerBlock(2, 24, activation=name)
    x = RNG.normal(size=(2, 3, 8)).astype("float32")
    assert block.get_config()["activation"] == name
    model = keras.Sequential([keras.Input((3, 8)), block])
    expected = array(model(x))
    np.testing.assert_array_equal(array(reloaded(model, tmp_path)(x)), expected)
    values = array(block.activation(keras.ops.convert_to_tensor(x)))
    wide = x.astype("float64")
    formula = {
        "quick_gelu": wide / (1 + np.exp(-1.702 * wide)),
        "gelu_tanh": 0.5
        * wide
        * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3))),
    }[name]
    np.testing.assert_allclose(values, formula, atol=1e-6)


@pytest.mark.parametrize("pooling", ["tokens", "cls", "modalities"])
def test_a_model_of_one_modality_is_a_tower(pooling, tmp_path):
    tower = make({"image": CONFIGS["image"]}, pooling=pooling)
    direct = tower({"image": INPUTS["image"]})
    direct = direct["image"] if pooling == "modalities" else direct
    bare = tower(INPUTS["image"])
    np.testing.assert_allclose(array(bare), array(direct), atol=1e-6)
    assert tuple(tower.compute_output_shape(INPUTS["image"].shape)) == bare.shape
    configs = {
        "image": {"type": "none", "dim": 16, "embedding": tower},
        "text": CONFIGS["text"],
    }
    model = make(configs, pooling="mean", num_outputs=2)
    expected = array(outputs_of(model, INPUTS))
    got = array(outputs_of(reloaded(model, tmp_path), INPUTS))
    np.testing.assert_array_equal(got, expected)
