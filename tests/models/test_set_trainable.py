"""Parts of a model that train alone, by patterns of weight paths, and their files."""

import keras
import numpy as np
import pytest
from messages import Mistake, checks
from tensors import array, normal
from weights import reloaded

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 8, "start_token": True},
    "audio": {"type": "1d", "dim": 6, "end_token": True},
}
AUDIO = {
    "fusion/modality/audio",
    "fusion/audio/end",
    "fusion/audio/projection/kernel",
    "fusion/audio/projection/bias",
}


def make(name="model", **options):
    model = mm.MultiModalTransformer(
        CONFIGS, 8, num_layers=2, num_heads=2, num_outputs=2, name=name, **options
    )
    model(inputs())
    return model


def inputs():
    return {"text": normal(2, 3, 8), "audio": normal(2, 2, 6)}


def trained(model):
    return {w.path.removeprefix("model/") for w in model.trainable_weights}


def test_a_new_modality_trains_alone_with_its_vector(tmp_path):
    model = make()
    mm.set_trainable(model, "audio")
    assert trained(model) == AUDIO
    before = {w.path: array(w) for w in model.weights}
    model.compile(keras.optimizers.AdamW(0.1), "mse")
    model.fit(inputs(), np.ones((2, 2)), verbose=0)
    moved = {w.path for w in model.weights if (array(w) != before[w.path]).any()}
    moved = {path.split("model/", 1)[1] for path in moved if "seed" not in path}
    assert moved == AUDIO
    loaded = reloaded(model, tmp_path)
    assert trained(loaded) == AUDIO
    # the state of the optimizer is that of the weights that train
    pairs = zip(model.optimizer.variables, loaded.optimizer.variables, strict=True)
    for mine, theirs in pairs:
        np.testing.assert_array_equal(array(mine), array(theirs))


@pytest.mark.parametrize(
    "patterns, expected",
    [
        (
            ["fusion/modality", "head"],
            {"fusion/modality/text", "fusion/modality/audio"},
        ),
        (["block_*/attention_norm"], {"block_0/attention_norm/gamma"}),
        (["bias"], {"block_1/attention/query/bias", "head/bias"}),
        (["cls_embedding"], {"fusion/cls_embedding"}),
        ([], set()),
    ],
)
def test_patterns(patterns, expected, tmp_path):
    model = make()
    mm.set_trainable(model, patterns)
    got = trained(model)
    assert expected <= got
    for path in got:
        names = [pattern.replace("*", "") for pattern in patterns]
        assert any(all(part in path for part in name.split("/")) for name in names)
    assert trained(reloaded(model, tmp_path)) == got
    # the last call counts
    mm.set_trainable(model, ["*"])
    assert trained(model) == trained(reloaded(model, tmp_path)) == trained(make())


@pytest.mark.parametrize("pattern", ["box", "audio"])
def test_layers_of_a_configuration_train_alone(pattern, tmp_path):
    config = {
        "type": "1d",
        "dim": 8,
        "position": mm.ConvPositionEmbedding(3, groups=2),
        "terms": {"box": mm.BoxEmbedding(kind="linear")},
    }
    fusion = mm.MultiModalFusion(
        {"text": config, "audio": {"type": "1d", "dim": 8}}, 8, name="model"
    )
    inputs = {name: keras.Input((None, 8), name=name) for name in ("text", "audio")}
    model = keras.Model(inputs, fusion(inputs))
    for one in (pattern, "text"):
        mm.set_trainable(model, one)
        expected = {w.path for w in model.weights if f"/{one}" in w.path}
        for again in (model, reloaded(model, tmp_path)):
            assert {w.path for w in again.trainable_weights} == expected
    fusion.trainable = False
    assert not reloaded(model, tmp_path).trainable_weights


def test_in_a_functional_model(tmp_path):
    symbols = {
        "text": keras.Input((None, 8), name="text"),
        "audio": keras.Input((None, 6), name="audio"),
    }
    fusion = mm.MultiModalFusion(CONFIGS, 8, name="fusion")
    outputs = keras.layers.Dense(3, name="head")(fusion(symbols))
    model = keras.Model(symbols, outputs)
    mm.set_trainable(model, ["audio", "head"])
    assert trained(model) == AUDIO | {"head/kernel", "head/bias"}
    assert trained(reloaded(model, tmp_path)) == trained(model)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize")
def test_kernels_under_lora_stay_frozen(tmp_path):
    model = make()
    model.fusion.branch("audio").projection.enable_lora(2)
    mm.set_trainable(model, ["projection"])
    expected = {"bias", "lora_kernel_a", "lora_kernel_b"}
    assert trained(model) == {f"fusion/audio/projection/{name}" for name in expected}
    assert trained(reloaded(model, tmp_path)) == trained(model)


@pytest.mark.skipif(
    not hasattr(keras.optimizers, "MultiOptimizer"), reason="a newer Keras has it"
)
def test_parts_at_different_learning_rates():
    model = make(dropout=0.0)
    rates = keras.optimizers.OptimizerMap(keras.optimizers.SGD(1.0))
    rates[".*/(audio|head)/.*"] = keras.optimizers.SGD(0.0)
    before = {w.path: array(w) for w in model.weights}
    model.compile(keras.optimizers.MultiOptimizer(rates), "mse")
    model.fit(inputs(), np.ones((2, 2)), verbose=0)
    for weight in model.trainable_weights:
        path = weight.path
        if "/audio/" in path or "/head/" in path:
            np.testing.assert_array_equal(array(weight), before[path], path)
    vector = next(w for w in model.weights if w.path.endswith("modality/text"))
    assert (array(vector) != before[vector.path]).any()


def mistake(model, patterns):
    return Mistake("set_trainable", lambda: mm.set_trainable(model(), patterns))


def dense():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="d")])


MISTAKES = [
    mistake(lambda: "model", "a").says("model", "be a Keras layer", "'model'"),
    mistake(keras.Sequential, "a").says("model", "be built", "sequential"),
    mistake(make, None).says("patterns", "be a list of patterns", "None"),
    mistake(make, [3]).says("patterns", "be a list of patterns", "[3]"),
    mistake(make, ["video"]).says("patterns", "match the path", "'video'"),
    mistake(make, ["audi"]).says("patterns", "match the path", "'audi'"),
    mistake(dense, ["kernel"]).says(
        "patterns", "match all weights of the layer 'd' or none", "['kernel']"
    ),
]

test_messages = checks(MISTAKES)
