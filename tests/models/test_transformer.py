"""The model of a fusion, an encoder and a head."""

import json

import keras
import numpy as np
import pytest
import reference
from tensors import array
from weights import reloaded, weights_by_path

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 16, "vocabulary_size": 30},
    "image": {"type": "2d", "dim": 12},
}
SMALL = {"num_layers": 2, "num_heads": 4, "hidden_dim": 24, "dropout": 0.0}


def inputs(batch=3, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "text": rng.integers(0, 30, (batch, 5)).astype("int32"),
        "image": rng.normal(size=(batch, 2, 3, 12)).astype("float32"),
    }


def make(configs=CONFIGS, **kwargs):
    model = mm.MultiModalTransformer(configs, 16, **{**SMALL, **kwargs})
    model.build({n: x.shape for n, x in inputs().items() if n in configs})
    rng = np.random.default_rng(1)
    for weight in model.weights:
        shape = tuple(weight.shape)
        weight.assign(rng.normal(size=shape) / np.sqrt(shape[0] if shape else 1))
    return model


def layer_norm(x, layer):
    return reference.layer_norm(x, array(layer.gamma), array(layer.beta), layer.epsilon)


def dense(x, layer):
    return x @ array(layer.kernel) + array(layer.bias)


def attention(x, layer, valid):
    """Attention of every token to the valid ones, head by head."""
    values = [array(weight) for weight in layer.weights]
    (qk, qb), (kk, kb), (vk, vb), (ok, ob) = zip(*[iter(values)] * 2, strict=True)
    outputs = np.zeros_like(x) + ob
    for head in range(layer.num_heads):
        query, key = x @ qk[:, head] + qb[head], x @ kk[:, head] + kb[head]
        scores = query @ key.swapaxes(1, 2) / np.sqrt(layer.key_dim)
        scores = np.where(valid[:, None, :], scores, -1e30)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights = weights / weights.sum(axis=-1, keepdims=True)
        outputs = outputs + weights @ (x @ vk[:, head] + vb[head]) @ ok[head]
    return outputs


def encoded(model, tokens, valid):
    """The blocks from their formula, in float64."""
    for block in model.blocks:
        if model.norm_first:
            normed = layer_norm(tokens, block.attention_norm)
            tokens = tokens + attention(normed, block.attention, valid)
            hidden = dense(layer_norm(tokens, block.mlp_norm), block.hidden)
            tokens = tokens + dense(np.maximum(hidden, 0), block.output_dense)
        else:
            mixed = attention(tokens, block.attention, valid)
            tokens = layer_norm(tokens + mixed, block.attention_norm)
            hidden = np.maximum(dense(tokens, block.hidden), 0)
            tokens = layer_norm(
                tokens + dense(hidden, block.output_dense), block.mlp_norm
            )
    return layer_norm(tokens, model.norm) if model.norm_first else tokens


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("pooling", ["cls", "mean", "tokens", "modalities"])
def test_formula(pooling, norm_first):
    model = make(
        pooling=pooling, norm_first=norm_first, activation="relu", num_outputs=4
    )
    lengths = np.array([5, 2, 4])
    call = {"mask": {"text": lengths}}
    fused = model.fusion(inputs(), **call)
    valid = array(fused["mask"]).astype(bool)
    tokens = encoded(model, array(fused["embeddings"]), valid)
    special = int(pooling == "cls")
    expected = {
        "cls": tokens[:, 0],
        "mean": np.stack(
            [t[v].mean(axis=0) for t, v in zip(tokens, valid, strict=True)]
        ),
        "tokens": tokens,
        "modalities": {"text": tokens[:, :5], "image": tokens[:, 5:]},
    }[pooling]
    assert tokens.shape[1] == special + 5 + 6
    got = model(inputs(), **call)
    if pooling == "modalities":
        for name in expected:
            np.testing.assert_allclose(
                array(got[name]), dense(expected[name], model.head), atol=1e-4
            )
    else:
        np.testing.assert_allclose(array(got), dense(expected, model.head), atol=1e-4)


def test_padding_and_absent_modalities_change_nothing():
    model = make(pooling="mean", num_outputs=3)
    x = inputs()
    short = {"text": x["text"][:, :3], "image": x["image"]}
    masked = model(x, mask={"text": np.full(3, 3)})
    np.testing.assert_allclose(array(masked), array(model(short)), atol=1e-5)
    present = {"image": np.array([True, False, True])}
    some = array(model(x, present=present))
    alone = array(model({"text": x["text"]}))
    np.testing.assert_allclose(some[1], alone[1], atol=1e-5)
    np.testing.assert_allclose(some[[0, 2]], array(model(x))[[0, 2]], atol=1e-5)


def test_an_empty_text_is_no_text():
    model = make(num_outputs=3)
    x = inputs()
    expected = array(model({"image": x["image"]}))
    masked = array(model(x, mask={"text": np.array([0, 5, 0])}))
    np.testing.assert_allclose(masked[[0, 2]], expected[[0, 2]], atol=1e-5)
    without = {"text": np.zeros((3, 0), "int32"), "image": x["image"]}
    np.testing.assert_allclose(array(model(without)), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean", "tokens"])
def test_a_gated_modality_changes_nothing_at_first(pooling):
    old = make({"text": CONFIGS["text"]}, pooling=pooling)
    new = make(pooling=pooling, gated=["image"])
    values = weights_by_path(old)
    for path, weight in weights_by_path(new).items():
        if path in values:
            weight.assign(values[path])
        elif path.endswith("gate/gate"):
            weight.assign(0.0)
    x = inputs()
    expected = array(old({"text": x["text"]}))
    got = array(new(x))
    got = got[:, :5] if pooling == "tokens" else got
    np.testing.assert_allclose(got, expected, atol=2e-5)
    new.blocks[0].gate.gate.assign(0.5)
    moved = array(new(x))
    moved = moved[:, :5] if pooling == "tokens" else moved
    assert np.abs(moved - expected).max() > 1e-3


def test_rules_of_attention():
    rules = {"causal": True, "prefix": ["image"], "hidden": {"image": ["text"]}}
    model = make(pooling="tokens", **rules)
    x = inputs()
    changed = {**x, "text": np.where(np.arange(5) < 3, x["text"], 7).astype("int32")}
    before, after = array(model(x)), array(model(changed))
    np.testing.assert_allclose(after[:, :3], before[:, :3], atol=1e-5)
    np.testing.assert_allclose(after[:, 5:], before[:, 5:], atol=1e-5)
    assert np.abs(after[:, 3:5] - before[:, 3:5]).max() > 1e-3


def test_remat_is_the_same_training_with_dropout():
    weights = []
    for remat in (False, True):
        model = make(num_outputs=3, dropout=0.3, seed=5, remat=remat)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss)
        model.fit(inputs(), np.array([0, 1, 2]), epochs=3, verbose=0, shuffle=False)
        weights.append([array(w) for w in model.weights])
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5)


def test_trained_saved_and_loaded(tmp_path):
    model = make(num_outputs=3, output_activation="softmax", modality_dropout=0.2)
    answers = np.array([0, 1, 2])
    model.compile("adam", "sparse_categorical_crossentropy")
    first = model.evaluate(inputs(), answers, verbose=0)
    model.fit(inputs(), answers, epochs=20, verbose=0)
    assert model.evaluate(inputs(), answers, verbose=0) < first
    expected = model.predict(inputs(), verbose=0)
    np.testing.assert_allclose(expected.sum(axis=-1), 1.0, atol=1e-5)
    loaded = reloaded(model, tmp_path)
    np.testing.assert_allclose(loaded.predict(inputs(), verbose=0), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize")
def test_quantised_and_saved(tmp_path):
    model = make(num_outputs=3, num_layers=1)
    exact = model.predict(inputs(), verbose=0)
    model.quantize("int8")
    expected = model.predict(inputs(), verbose=0)
    assert 0 < np.abs(expected - exact).max() < 0.3
    loaded = reloaded(model, tmp_path)
    np.testing.assert_allclose(loaded.predict(inputs(), verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "modalities"])
def test_inside_a_functional_model(pooling, tmp_path):
    symbolic = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "image": keras.Input((None, None, 12), name="image"),
    }
    inner = make(num_outputs=3, pooling=pooling)
    model = keras.Model(symbolic, inner(symbolic))
    loaded = reloaded(model, tmp_path)
    expected, got = inner(inputs()), loaded.predict(inputs(), verbose=0)
    for one, two in zip(
        keras.tree.flatten(expected), keras.tree.flatten(got), strict=True
    ):
        np.testing.assert_allclose(two, array(one), atol=1e-5)


def test_the_head_works_in_float32():
    model = make(num_outputs=3, dtype="mixed_bfloat16")
    outputs = model(inputs())
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    np.testing.assert_allclose(
        array(outputs), array(make(num_outputs=3)(inputs())), atol=0.2
    )


def test_an_embedding_works_once():
    class Counted(keras.layers.Dense):
        calls = 0

        def call(self, inputs):
            self.calls += 1
            return super().call(inputs)

    embedding = Counted(12)
    configs = {"image": {"type": "2d", "dim": 12, "embedding": embedding}}
    model = mm.MultiModalTransformer(
        configs, 16, num_layers=1, num_heads=2, pooling="modalities"
    )
    images = np.ones((2, 3, 4, 5), "float32")
    model({"image": images})
    embedding.calls = 0
    assert tuple(model({"image": images})["image"].shape) == (2, 12, 16)
    assert embedding.calls == 1


@pytest.mark.parametrize("pooling", ["cls", "tokens", "modalities"])
def test_the_declared_shape_takes_ids_and_absent_modalities(pooling):
    model = mm.MultiModalTransformer(CONFIGS, 16, **SMALL, pooling=pooling)
    shapes = {"text": (2, 5), "image": None}
    words = np.zeros((2, 5), "int32")
    real = keras.tree.map_structure(lambda x: tuple(x.shape), model({"text": words}))
    assert model.compute_output_shape(shapes) == real


def test_attention_scores():
    model = make(pooling="cls")
    scores, fused = model.attention_scores(inputs(), mask={"text": np.array([5, 2, 4])})
    assert len(scores) == 2
    for one in scores:
        assert tuple(one.shape) == (3, 4, 12, 12)
        np.testing.assert_allclose(array(one).sum(axis=-1), 1.0, atol=1e-5)
        hidden = ~array(fused["mask"]).astype(bool)
        assert array(one).transpose(0, 3, 1, 2)[hidden].max() < 1e-6


def test_a_configuration_is_plain_data():
    model = make(gated=["image"], hidden={"text": ["image"]}, num_outputs=2)
    config = json.loads(json.dumps(model.get_config()))
    assert mm.MultiModalTransformer.from_config(config).get_config() == config


@pytest.mark.parametrize("pooling", ["cls", "mean", "tokens"])
def test_the_summary_shows_the_shape_of_the_head(pooling):
    model, lines = make(pooling=pooling, num_outputs=3), []
    model(inputs())
    model.summary(print_fn=lines.append, line_length=100)
    rows = {
        line.split()[1]: line
        for text in lines
        for line in text.splitlines()
        if "(" in line
    }
    assert ("(None, None, 3)" in rows["head"]) == (pooling == "tokens")
    assert not [name for name in rows if "mask" in name]
