"""Positions in the attention of a model, and another sequence that it attends to."""

import keras
import numpy as np
import pytest
from tensors import array
from weights import reloaded

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "vocabulary_size": 30},
    "image": {"type": "2d", "dim": 12},
    "clip": {"type": "3d", "dim": 12},
}
GATED = {"mlp": "gated", "activation": "silu", "norm_type": "rms", "use_bias": False}
SECTIONS = {"convention": "qwen2_vl", "sections": (2, 1, 1)}
BEIT = {"convention": "beit", "grid": (3, 3)}
SWIN = {"convention": "swin", "grid": (3, 3)}
SMALL = {"num_layers": 1, "num_heads": 2, "hidden_dim": 24, "dropout": 0.0}
# by name, the modalities and the options
MODELS = {
    "llama": (["text"], {"rotary": "llama", "causal": True, **GATED}),
    "qwen2_vl": (
        ["text", "image"],
        {"rotary": SECTIONS, "rotary_rule": "qwen2_vl", "num_key_value_heads": 1},
    ),
    "dinov3": (["image"], {"rotary": "dinov3", "rotary_rule": "image"}),
    "pixtral": (["text", "image"], {"rotary": "pixtral", "rotary_rule": "image"}),
    "vjepa2": (["clip"], {"rotary": "vjepa2", "rotary_rule": "clip"}),
    "t5": (["text", "image"], {"relative_bias": "t5", "scale": 1.0}),
    "alibi": (["text"], {"relative_bias": "alibi", "causal": True}),
    "beit": (["image"], {"relative_bias": BEIT, "pooling": "cls"}),
    "swin": (["image"], {"relative_bias": mm.RelativePositionBias(2, **SWIN)}),
}
each = pytest.mark.parametrize("name", MODELS)
# of two samples: the length of a text, and the sizes of an image and of a clip
SIZES = {
    "text": [(5,), (3,)],
    "image": [(2, 3), (3, 2)],
    "clip": [(2, 2, 3), (1, 3, 2)],
}


def samples(names, seed=0):
    """Return two samples of different sizes, each a dict of batches of one."""
    rng = np.random.default_rng(seed)

    def one(name, sizes):
        if name == "text":
            return rng.integers(0, 30, (1, *sizes)).astype("int32")
        return rng.normal(size=(1, *sizes, 12)).astype("float32")

    return [{n: one(n, SIZES[n][index]) for n in names} for index in range(2)]


def padded(parts, axes):
    """Return arrays as one batch, and which entries are those of a sample."""
    largest = np.max([part.shape[1 : axes + 1] for part in parts], axis=0)
    batch, mask = [], []
    for part in parts:
        sizes = part.shape[1 : axes + 1]
        ends = [(0, int(n - size)) for n, size in zip(largest, sizes, strict=True)]
        rest = [(0, 0)] * (part.ndim - 1 - axes)
        # what stands in the padding must not matter
        batch.append(np.pad(part, [(0, 0), *ends, *rest], constant_values=3))
        mask.append(np.pad(np.ones((1, *sizes), bool), [(0, 0), *ends]))
    return np.concatenate(batch), np.concatenate(mask)


def batched(parts):
    """Return the inputs of all samples in one batch, and their masks."""
    pairs = {n: padded([p[n] for p in parts], len(SIZES[n][0])) for n in parts[0]}
    return {n: x for n, (x, _) in pairs.items()}, {n: m for n, (_, m) in pairs.items()}


def random_weights(model, seed=1):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        weight.assign(rng.normal(size=shape) / np.sqrt(shape[0] if shape else 1))
    return model


def made(name, **more):
    """Return a model with random weights, and samples for it."""
    names, options = MODELS[name]
    # a layer belongs to one model
    options = {
        key: type(value).from_config(value.get_config())
        if isinstance(value, keras.layers.Layer)
        else value
        for key, value in options.items()
    }
    configs = {n: CONFIGS[n] for n in names}
    model = mm.MultiModalTransformer(
        configs, 16, **{"pooling": "mean", **SMALL, **options, **more}
    )
    parts = samples(names)
    model.build({n: x.shape for n, x in parts[0].items()})
    return random_weights(model), parts


@each
def test_a_padded_batch_equals_each_sample_alone(name):
    model, parts = made(name)
    inputs, mask = batched(parts)
    alone = np.concatenate([array(model(part)) for part in parts])
    assert np.abs(alone[0] - alone[1]).max() > 1e-2
    np.testing.assert_allclose(array(model(inputs, mask=mask)), alone, atol=1e-5)


@each
def test_positions_are_those_of_the_fused_sequence(name):
    model, (sample, _) = made(name, pooling="tokens", causal=False)
    fused = model.fusion(sample)
    names = model.fusion.modalities
    grids = [n for n in names if n != "text"]
    call = {}
    if model.rotary is not None:
        rule = MODELS[name][1].get("rotary_rule", "sequence")
        named = {"modalities": names, "grids": grids} if rule != "sequence" else {}
        call["positions"] = mm.rotary_positions(fused, rule, **named)
    elif name in ("beit", "swin"):
        call["positions"] = mm.rotary_positions(fused, "image")
    if name in ("t5", "alibi", "swin"):
        positions = call.pop("positions", np.arange(fused["mask"].shape[1]))
        call["attention_bias"] = model.relative_bias(positions)
    tokens = fused["embeddings"]
    for block in model.blocks:
        tokens = block(tokens, **call)
    expected = array(model.norm(tokens))
    np.testing.assert_allclose(array(model(sample)), expected, atol=1e-5)


def test_all_blocks_share_a_bias_or_each_has_its_own():
    count = {
        name: sum(
            "relative_bias" in w.path for w in made(name, num_layers=2)[0].weights
        )
        for name in ("t5", "beit")
    }
    # a table, and its rows of special tokens
    assert count == {"t5": 1, "beit": 2 * 2}


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize")
@pytest.mark.parametrize("change", ["adapted", "int8"])
@pytest.mark.parametrize("name", ["t5", "beit"])
def test_changes_of_sublayers_come_back_from_a_file(name, change, tmp_path):
    model, (sample, _) = made(name, num_layers=1 if change == "int8" else 2)
    if change == "int8":
        model.quantize("int8")
    else:
        model.blocks[0].hidden.enable_lora(2)
        model.blocks[1].attention.trainable = False
        if name == "t5":
            model.relative_bias.trainable = False
    loaded = reloaded(model, tmp_path)
    trained = [
        [w.path.split("/")[-2:] for w in one.trainable_weights]
        for one in (loaded, model)
    ]
    assert trained[0] == trained[1]
    np.testing.assert_allclose(array(loaded(sample)), array(model(sample)), atol=1e-5)


@pytest.mark.parametrize("name", ["qwen2_vl", "beit"])
def test_half_precision(name):
    model, (sample, _) = made(name, num_outputs=3)
    half, _ = made(name, num_outputs=3, dtype="mixed_bfloat16")
    expected = array(model(sample))
    got = array(half(sample))
    np.testing.assert_allclose(got, expected, atol=0.05 * np.abs(expected).max())


def decoder(**more):
    """Return a model of a text that attends to another sequence, and its call."""
    model = mm.MultiModalTransformer(
        {"text": CONFIGS["text"]},
        16,
        **{**SMALL, "pooling": "tokens", "causal": True, "relative_bias": "t5"},
        cross_attention=True,
        **more,
    )
    encoded = np.random.default_rng(2).normal(size=(2, 4, 10)).astype("float32")
    text = np.random.default_rng(3).integers(0, 30, (2, 5)).astype("int32")
    model({"text": text}, encoded=encoded)
    return random_weights(model), {"text": text}, encoded


def test_the_mask_of_the_other_sequence_is_used():
    model, text, encoded = decoder()
    alone = array(model(text, encoded=encoded[:, :3]))
    assert np.abs(array(model(text, encoded=encoded)) - alone).max() > 1e-3
    mask = np.broadcast_to(np.arange(4) < 3, (2, 4))
    masked = array(model(text, encoded=encoded, encoded_mask=mask))
    np.testing.assert_allclose(masked, alone, atol=1e-5)
    zeros = np.where(mask[..., None], encoded, 0.0)
    masked = array(model(text, encoded=keras.layers.Masking()(zeros)))
    np.testing.assert_allclose(masked, alone, atol=1e-5)


def test_the_other_sequence_may_be_in_lists():
    model, text, encoded = decoder()
    expected = array(model(text, encoded=encoded))
    mask = [[True] * 4] * 2
    got = model(text, encoded=encoded.tolist(), encoded_mask=mask)
    np.testing.assert_allclose(array(got), expected, atol=1e-6)
    # behind the nine other arguments of a fusion
    got = model(text, *[None] * 9, encoded)
    np.testing.assert_allclose(array(got), expected, atol=1e-6)
    scores, _ = model.attention_scores(text, encoded=encoded.tolist())
    assert tuple(scores[0].shape) == (2, 2, 5, 5)


def test_a_functional_model_of_an_encoder_and_a_decoder(tmp_path):
    model, text, _ = decoder()
    words = keras.Input((None,), dtype="int32", name="words")
    captions = keras.Input((None,), dtype="int32", name="captions")
    embed = keras.layers.Embedding(9, 10, mask_zero=True)
    outputs = model({"text": captions}, encoded=embed(words))
    assert tuple(outputs.shape) == (None, None, 16)
    whole = keras.Model({"words": words, "captions": captions}, outputs)
    ids = np.array([[1, 2, 3, 0], [4, 5, 0, 0]], "int32")
    fed = {"words": ids, "captions": text["text"]}
    expected = [
        array(
            model({"text": text["text"][i : i + 1]}, encoded=embed(ids[i : i + 1, :n]))
        )
        for i, n in enumerate((3, 2))
    ]
    for one in (whole, reloaded(whole, tmp_path)):
        got = one.predict(fed, verbose=0)
        np.testing.assert_allclose(got, np.concatenate(expected), atol=1e-5)


@pytest.mark.parametrize("backward", ["encoded", "bias"])
def test_remat_has_the_gradients_of_the_bias_and_of_the_other_sequence(backward):
    weights = []
    for remat in (False, True):
        model, text, _ = decoder(remat=remat, seed=5)
        ids = np.array([[1, 2, 3, 4], [4, 5, 6, 7]], "int32")
        embed = keras.layers.Embedding(9, 10, name="embed")
        inputs = {"words": keras.Input((None,), dtype="int32", name="words")}
        inputs["text"] = keras.Input((None,), dtype="int32", name="text")
        outputs = model({"text": inputs["text"]}, encoded=embed(inputs["words"]))
        whole = keras.Model(inputs, outputs)
        embed.set_weights([np.random.default_rng(4).normal(size=(9, 10))])
        whole.compile(keras.optimizers.SGD(0.1), "mse")
        targets = np.random.default_rng(5).normal(size=(2, 5, 16))
        whole.fit({"words": ids, **text}, targets, epochs=1, verbose=0)
        layer = embed if backward == "encoded" else model.relative_bias
        weights.append(array(layer.weights[0]))
    np.testing.assert_allclose(weights[1], weights[0], atol=1e-5)
