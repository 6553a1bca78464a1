"""Attention masks against the rule, pair by pair."""

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


def expected(valid, ids, examples=None, causal=False, prefix=(), hidden=None):
    """Return the formula of the docstring, of arrays `(batch, length)`."""
    hidden = hidden or {}
    names = (*NAMES, None)  # special tokens have the id -1
    length = valid.shape[1]
    sees = np.array(
        [
            [
                key not in hidden.get(query, ())
                and (query == key or key not in hidden.get("*", ()))
                for key in names
            ]
            for query in names
        ]
    )
    query, key = np.arange(length)[:, None], np.arange(length)
    in_prefix = np.array([name in prefix for name in names])[ids][:, None]
    allowed = valid[:, None] & sees[ids[:, :, None], ids[:, None]]
    if causal:
        allowed = allowed & ((key <= query) | in_prefix)
    if examples is not None:
        allowed = allowed & (examples[:, :, None] == examples[:, None])
    return allowed | (query == key)


@pytest.mark.parametrize("examples", [None, EXAMPLES], ids=["alone", "packed"])
@pytest.mark.parametrize("rule", RULES)
def test_rule(rule, examples):
    layer = mm.AttentionMask(NAMES, **RULES[rule])
    got = ops.convert_to_numpy(layer(FUSED, example_ids=examples))
    np.testing.assert_array_equal(got, expected(VALID, IDS, examples, **RULES[rule]))


def random_rules(rng):
    """Return arguments of the constructor."""
    some = lambda share: [name for name in NAMES if rng.random() < share]  # noqa: E731
    causal = bool(rng.random() < 0.5)
    hidden = {name: some(0.4) for name in (*some(0.6), *["*"][: rng.integers(2)])}
    return {"causal": causal, "prefix": some(0.4) if causal else [], "hidden": hidden}


@pytest.mark.parametrize("seed", range(12))
def test_random_rules(seed):
    rng = np.random.default_rng(seed)
    rules = random_rules(rng)
    ids = rng.integers(-1, 3, size=(3, 11)).astype("int32")
    valid = rng.random(ids.shape) < 0.7
    examples = rng.integers(0, 3, size=ids.shape) if seed % 2 else None
    fused = {"mask": valid, "modality_ids": ids}
    got = mm.AttentionMask(NAMES, **rules)(fused, examples)
    wanted = expected(valid, ids, examples, **rules)
    np.testing.assert_array_equal(ops.convert_to_numpy(got), wanted)


def rows_of(values, start, count):
    """Return `count` rows of each sample from `start` on, of `(batch, length, ...)`."""
    starts = np.broadcast_to(start, (len(values),))
    rows = [one[s : s + count] for one, s in zip(values, starts, strict=True)]
    return np.stack(rows)


def step_of(start, count, examples):
    """Return the arguments of a step of cached decoding."""
    query = {"modality_ids": rows_of(IDS, start, count)}
    if examples is not None:
        query["example_ids"] = rows_of(examples, start, count)
    return {"example_ids": examples, "query": query, "start_index": start}


@pytest.mark.parametrize("examples", [None, EXAMPLES], ids=["alone", "packed"])
@pytest.mark.parametrize("rule", RULES)
def test_a_step_has_the_rows_of_its_tokens(rule, examples):
    layer = mm.AttentionMask(NAMES, **RULES[rule])
    whole = expected(VALID, IDS, examples, **RULES[rule])
    for start in (0, 5, np.int32(5), np.array([1, 5]), ops.convert_to_tensor([4, 0])):
        got = layer(FUSED, **step_of(np.asarray(start), 3, examples))
        wanted = rows_of(whole, np.asarray(start), 3)
        np.testing.assert_array_equal(ops.convert_to_numpy(got), wanted)


@pytest.mark.parametrize("scalar", [False, True], ids=["per sample", "one"])
def test_a_compiled_step_of_unknown_sizes(scalar, tmp_path):
    fed = {"mask": VALID, "modality_ids": IDS, "example_ids": EXAMPLES}
    inputs = {
        name: keras.Input((None,), dtype=str(values.dtype), name=name)
        for name, values in fed.items()
    }
    step = {
        name: keras.Input((None,), dtype="int32", name=f"of_query_{name}")
        for name in ("modality_ids", "example_ids")
    }
    start = keras.Input((), dtype="int32", name="start_index")
    allowed = mm.AttentionMask(NAMES, **RULES["all"])(
        inputs,
        inputs["example_ids"],
        query=step,
        start_index=ops.max(start) if scalar else start,
    )
    assert (allowed.shape, allowed.dtype) == ((None, None, None), "bool")
    model = keras.Model([*inputs.values(), *step.values(), start], allowed)
    whole = expected(VALID, IDS, EXAMPLES, **RULES["all"])
    starts = np.array([5, 5] if scalar else [1, 4], "int32")
    queries = [rows_of(fed[name], starts, 3) for name in step]
    loaded = reloaded(model, tmp_path)
    got = loaded.predict([*fed.values(), *queries, starts], verbose=0)
    np.testing.assert_array_equal(got, rows_of(whole, starts, 3))
    no_queries = [query[:, :0] for query in queries]
    nothing = loaded([*fed.values(), *no_queries, starts])
    assert tuple(nothing.shape) == (2, 0, 8)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="reads a program of JAX")
@pytest.mark.parametrize("rule", ["hidden", "all"])
def test_no_number_for_each_pair_of_tokens(rule):
    import jax

    layer = mm.AttentionMask(NAMES, **RULES[rule])
    program = str(jax.make_jaxpr(layer)(FUSED, EXAMPLES))
    assert "bool[2,8,8]" in program
    assert "i32[2,8,8]" not in program


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
    np.testing.assert_array_equal(got, expected(VALID, IDS, **RULES["all"]))


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
    np.testing.assert_array_equal(got, expected(VALID, IDS, **RULES["all"]))
