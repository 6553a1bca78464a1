"""The transformer block, from its formula in float64."""

import keras
import numpy as np
import pytest
from tensors import array
from weights import reloaded, weights_by_path

import keras_mmembed as mm

WIDTH, HEADS = 16, 4
SILU = {"mlp": "gated", "activation": "silu", "norm_type": "rms", "use_bias": False}
OPTIONS = {
    "pre-norm": {},
    "post-norm": {"norm_first": False},
    "llama": {**SILU, "rotary": "llama", "num_key_value_heads": 2},
    "qwen2": {**SILU, "rotary": "llama", "use_bias": "qkv"},
    "t5": {"norm_type": "rms", "relative_bias": "t5", "scale": 1.0, "use_bias": False},
    "scaled": {"layer_scale": 0.5, "qk_norm": "layer", "head_dim": 6},
    "decoder": {"cross_attention": True, "layer_scale": 0.5},
    "post-norm decoder": {"cross_attention": True, "norm_first": False},
    "resampler": {"cross_attention": "only", "mlp": "gated"},
}


def randomized(layer, seed=1):
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        shape = tuple(weight.shape)
        weight.assign(rng.normal(size=shape) / np.sqrt(shape[0]))
    return layer


def tokens(length=5, width=WIDTH, seed=0):
    return np.random.default_rng(seed).normal(size=(2, length, width)).astype("float32")


def made(name, **more):
    """Return options, a built block with random weights, and its call."""
    options = {"activation": "relu", **OPTIONS[name], **more}
    call = {"tokens": tokens()}
    if "cross_attention" in options:
        call["encoded"] = tokens(7, 12, seed=2)
    block = mm.TransformerBlock(HEADS, 24, **{"dropout": 0.0, **options})
    block(**call)
    return options, randomized(block), call


def weights_of(block):
    """Return the weights in float64, by their path below the block."""
    start = len(block.path) + 1
    return {w.path[start:]: array(w).astype("float64") for w in block.weights}


def norm(x, values, name, options):
    gamma = values.get(f"{name}/gamma", values.get(f"{name}/scale"))
    center = options.get("norm_type") != "rms" or name.startswith(("attention/", "c"))
    center = f"{name}/beta" in values
    x = x - x.mean(axis=-1, keepdims=True) if center else x
    x = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + 1e-6)
    return x * gamma + values.get(f"{name}/beta", 0.0)


def dense(x, values, name):
    return x @ values[f"{name}/kernel"] + values.get(f"{name}/bias", 0.0)


def heads(x, values, name):
    kernel = values[f"{name}/kernel"]
    return np.einsum("bld,dhc->bhlc", x, kernel) + np.expand_dims(
        values.get(f"{name}/bias", np.zeros(kernel.shape[1:])), 1
    )


def turned(x, options):
    """Return heads turned by positions 0, 1, 2, ... as Llama does."""
    if options.get("rotary") is None:
        return x
    half = x.shape[-1] // 2
    angles = np.arange(x.shape[2])[:, None] * 10000.0 ** (-np.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate(
        [first * cos - second * sin, second * cos + first * sin], axis=-1
    )


def attention(x, y, values, name, options, bias=0.0):
    query, key, value = (
        heads(z, values, f"{name}/{part}")
        for z, part in ((x, "query"), (y, "key"), (y, "value"))
    )
    if options.get("qk_norm"):
        query = norm(query, values, f"{name}/query_norm", options)
        key = norm(key, values, f"{name}/key_norm", options)
    if name == "attention":
        query, key = turned(query, options), turned(key, options)
    times = query.shape[1] // key.shape[1]
    key, value = np.repeat(key, times, axis=1), np.repeat(value, times, axis=1)
    scale = options.get("scale") or query.shape[-1] ** -0.5
    scores = scale * query @ key.swapaxes(2, 3) + bias
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
    outputs = np.einsum(
        "bhlc,hcd->bld", mixed, values[f"{name}/attention_output/kernel"]
    )
    return outputs + values.get(f"{name}/attention_output/bias", 0.0)


def formula(block, options, call):
    """Return what a block computes, from its docstring."""
    values, x = weights_of(block), call["tokens"].astype("float64")
    functions = {
        "silu": lambda x: x / (1 + np.exp(-x)),
        "relu": lambda x: np.maximum(x, 0),
    }
    activate = functions[options.get("activation", "relu")]
    bias = 0.0
    if block.relative_bias is not None:
        bias = array(block.relative_bias(np.arange(x.shape[1])))

    def mlp(x):
        hidden = activate(dense(x, values, "hidden"))
        if options.get("mlp") == "gated":
            hidden = hidden * dense(x, values, "up")
        return dense(hidden, values, "output")

    parts = {"mlp": mlp}
    if options.get("cross_attention"):
        y = call["encoded"].astype("float64")
        cross = lambda x: attention(x, y, values, "cross_attention", options)  # noqa: E731
        parts = {"cross": cross, **parts}
    if options.get("cross_attention") != "only":
        own = lambda x: attention(x, x, values, "attention", options, bias)  # noqa: E731
        parts = {"attention": own, **parts}
    for name, part in parts.items():
        first = options.get("norm_first", True)
        mixed = part(norm(x, values, f"{name}_norm", options) if first else x)
        mixed = mixed * values.get(f"{name}_scale/scale", 1.0)
        x = x + mixed if first else norm(x + mixed, values, f"{name}_norm", options)
    return x


@pytest.mark.parametrize("name", OPTIONS)
def test_formula(name):
    options, block, call = made(name)
    expected = formula(block, options, call)
    np.testing.assert_allclose(array(block(**call)), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "t5", "decoder"])
def test_a_block_comes_back_from_a_file(name, tmp_path):
    _, block, call = made(name)
    inputs = {k: keras.Input((None, x.shape[-1]), name=k) for k, x in call.items()}
    model = keras.Model(inputs, block(**inputs))
    loaded = reloaded(model, tmp_path)
    np.testing.assert_array_equal(array(loaded(call)), array(block(**call)))


def test_padding_is_not_attended_to():
    _, block, call = made("decoder")
    x, encoded = call["tokens"], call["encoded"]
    mask, other = np.arange(5) < 3, np.arange(7) < 4
    pairs = np.broadcast_to(mask, (2, 5, 5))
    got = block(x, pairs, encoded=encoded, encoded_mask=np.broadcast_to(other, (2, 7)))
    alone = block(x[:, :3], encoded=encoded[:, :4])
    np.testing.assert_allclose(array(got)[:, :3], array(alone), atol=1e-5)


def test_keras_masks_of_both_sequences_are_used():
    _, block, _ = made("decoder")
    rng = np.random.default_rng(0)
    ids, others = rng.integers(1, 9, (2, 5)), rng.integers(1, 9, (2, 7))
    ids[:, 3:], others[:, 4:] = 0, 0
    embed = keras.layers.Embedding(9, WIDTH, mask_zero=True)
    wide = keras.layers.Embedding(9, 12, mask_zero=True)
    got = block(embed(ids), encoded=wide(others))
    alone = block(embed(ids[:, :3]), encoded=wide(others[:, :4]))
    np.testing.assert_allclose(array(got)[:, :3], array(alone), atol=1e-5)


def test_a_causal_block_sees_no_later_tokens():
    _, block, call = made("llama")
    x = call["tokens"]
    whole = array(block(x, use_causal_mask=True))
    part = array(block(x[:, :3], use_causal_mask=True))
    np.testing.assert_allclose(whole[:, :3], part, atol=1e-5)


@pytest.mark.parametrize("first", [1, 3])
@pytest.mark.parametrize("name", ["llama", "t5", "decoder"])
def test_a_cache_gives_what_the_whole_sequence_does(name, first):
    options, block, call = made(name)
    x, encoded = call["tokens"], call.get("encoded")
    more = {} if encoded is None else {"encoded": encoded}
    expected = array(block(x, use_causal_mask=True, **more))
    cache, found, start = block.make_cache(2, 6, 7), [], 0
    for end in (first, *range(first + 1, 6)):
        places = {"positions": np.arange(start, end)}
        if options.get("relative_bias"):
            places["key_positions"] = np.arange(6)
        tokens, cache = block(
            x[:, start:end], cache=cache, cache_index=start, **places, **more
        )
        found.append(array(tokens))
        # the other sequence is in the cache now
        start, more = end, {}
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, atol=1e-5)


def test_a_gated_block_starts_with_the_narrower_mask():
    wide, narrow = np.ones((1, 5, 5), bool), np.tril(np.ones((1, 5, 5), bool))
    x, seed = tokens(), {"dropout": 0.0, "seed": 1}
    block = mm.TransformerBlock(HEADS, gated=True, **seed)
    block(x, wide, narrow)
    plain = mm.TransformerBlock(HEADS, **seed)
    plain(x)
    values = {path: w for path, w in weights_by_path(block).items()}
    for path, weight in weights_by_path(plain).items():
        weight.assign(values[path])
    got = array(block(x, wide, narrow))
    np.testing.assert_allclose(got, array(plain(x, narrow)), atol=1e-6)
    block.gate.gate.assign(20.0)
    got = array(block(x, wide, narrow))
    np.testing.assert_allclose(got, array(plain(x, wide)), atol=1e-5)


def test_scores_are_those_of_the_attention_of_the_call():
    _, block, call = made("llama")
    scores = array(block.attention_scores(call["tokens"], use_causal_mask=True))
    assert scores.shape == (2, HEADS, 5, 5)
    np.testing.assert_allclose(scores.sum(axis=-1), 1.0, atol=1e-6)
    assert not np.triu(scores, 1).any()
