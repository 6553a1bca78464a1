"""Attention masks against the rule, pair by pair."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from weights import reloaded

import keras_mmembed as mm

NAMES = ("text", "image", "audio")
IDS = np.array([[-1, 0, 0, 0, 1, 1, 2, 2], [-1, 0, 0, 0, 1, 1, 2, 2]], "int32")
VALID = np.array([[1, 1, 1, 0, 1, 1, 1, 0], [1, 1, 0, 0, 1, 0, 1, 1]], bool)
EXAMPLES = np.array([[1, 1, 1, 1, 2, 2, 2, 2], [1, 2, 3, 1, 2, 3, 1, 2]], "int32")
FUSED = {"mask": VALID, "modality_ids": IDS}
RULES = {
    "padding": {},
    "causal": {"causal": True},
    "prefix": {"causal": True, "prefix": ["image"]},
    "hidden": {"hidden": {"audio": ["text"], "text": ["image", "audio"]}},
    "alone": {"hidden": {"*": ["audio"], "audio": ["text"]}},
    "all": {"causal": True, "prefix": ["audio"], "hidden": {"text": ["audio"]}},
}


def expected(examples=None, causal=False, prefix=(), hidden=None):
    batch, length = VALID.shape
    result = np.zeros((batch, length, length), bool)
    for b, q, k in itertools.product(range(batch), range(length), range(length)):
        names = [NAMES[i] if i >= 0 else None for i in (IDS[b, q], IDS[b, k])]
        seen = names[1] not in (hidden or {}).get(names[0], ())
        if names[0] != names[1]:
            seen = seen and names[1] not in (hidden or {}).get("*", ())
        before = not causal or k <= q or names[1] in prefix
        same = examples is None or examples[b, q] == examples[b, k]
        result[b, q, k] = (VALID[b, k] and seen and before and same) or q == k
    return result


@pytest.mark.parametrize("examples", [None, EXAMPLES], ids=["alone", "packed"])
@pytest.mark.parametrize("rule", RULES)
def test_rule(rule, examples):
    layer = mm.AttentionMask(NAMES, **RULES[rule])
    got = ops.convert_to_numpy(layer(FUSED, example_ids=examples))
    np.testing.assert_array_equal(got, expected(examples, **RULES[rule]))


def model(**rules):
    words = keras.Input((None,), dtype="int32", name="words")
    image = keras.Input((3, 8), name="image")
    fusion = mm.MultiModalFusion(
        {"image": {"type": "none", "dim": 8}, "text": {"type": "1d", "dim": 8}},
        8,
        dropout=0.0,
        return_dict=True,
    )
    embed = keras.layers.Embedding(9, 8, mask_zero=True)
    fused = fusion({"text": embed(words), "image": image})
    attention_mask = mm.AttentionMask(fusion.modalities, **rules)(fused)
    tokens = fused["embeddings"]
    for _ in range(2):
        attention = keras.layers.MultiHeadAttention(2, 4)
        mixed = attention(tokens, tokens, attention_mask=attention_mask)
        tokens = keras.layers.Add()([tokens, mixed])
    return keras.Model(
        {"words": words, "image": image},
        fusion.split(tokens, like={"text": embed(words), "image": image}),
    )


def predict(model, words, image):
    return model.predict({"words": np.array(words, "int32"), "image": image}, verbose=0)


def test_padding_and_later_words_change_nothing_after_two_blocks(tmp_path):
    causal = model(causal=True, prefix=["image"])
    image = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
    short = predict(causal, [[3, 4]], image)
    padded = predict(causal, [[3, 4, 0, 0]], image)
    longer = predict(causal, [[3, 4, 5, 6]], image)
    for other in (padded, longer):
        np.testing.assert_allclose(other["text"][:, :2], short["text"], atol=1e-5)
        np.testing.assert_allclose(other["image"], short["image"], atol=1e-5)
    loaded = reloaded(causal, tmp_path)
    again = predict(loaded, [[3, 4]], image)
    np.testing.assert_allclose(again["text"], short["text"], atol=1e-6)


def test_gradients_stay_finite_and_equal_with_padding():
    results = []
    image = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
    for words in ([[3, 4]], [[3, 4, 0, 0]]):
        keras.utils.set_random_seed(0)
        whole = model()
        last = whole.output["image"][:, 0]
        trained = keras.Model(whole.input, last)
        trained.compile(keras.optimizers.SGD(0.1), "mse")
        inputs = {"words": np.array(words, "int32"), "image": image}
        trained.train_on_batch(inputs, np.ones((1, 8), "float32"))
        results.append([ops.convert_to_numpy(w) for w in trained.trainable_weights])
    for short, padded in zip(*results, strict=True):
        assert np.isfinite(padded).all()
        np.testing.assert_allclose(padded, short, atol=1e-5)


def test_config_round_trip():
    layer = mm.AttentionMask(NAMES, **RULES["all"], name="allowed")
    again = mm.AttentionMask.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_unknown_sizes():
    fused = {
        "mask": keras.Input((None,), dtype="bool", name="mask"),
        "modality_ids": keras.Input((None,), dtype="int32", name="ids"),
    }
    allowed = mm.AttentionMask(NAMES, **RULES["all"])(fused)
    assert (allowed.shape, allowed.dtype) == ((None, None, None), "bool")
    model = keras.Model([fused["mask"], fused["modality_ids"]], allowed)
    got = model.predict([VALID, IDS], verbose=0)
    np.testing.assert_array_equal(got, expected(**RULES["all"]))


def test_ids_of_no_modality_in_a_compiled_step_are_those_of_the_nearest():
    inputs = [keras.Input((8,), dtype="bool"), keras.Input((8,), dtype="int32")]
    fused = {"mask": inputs[0], "modality_ids": inputs[1]}
    model = keras.Model(inputs, mm.AttentionMask(NAMES, **RULES["all"])(fused))
    outside = np.where(IDS == 2, 9, np.where(IDS < 0, -7, IDS))
    if keras.backend.backend() == "torch":  # whose steps know the values
        with pytest.raises(ValueError, match=r"must lie in \[-1, 3\)"):
            model.predict([VALID, outside], verbose=0)
        return
    got = model.predict([VALID, outside], verbose=0)
    np.testing.assert_array_equal(got, expected(**RULES["all"]))
