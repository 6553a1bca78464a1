"""Attention with positions against Keras' own, and against its formula in float64."""

import keras
import numpy as np
import pytest
from keras import ops
from tensors import array, normal
from weights import randomize, reloaded

import keras_mmembed as mm

LENGTH, WIDTH, HEADS, HEAD = 6, 24, 4, 8
VALID = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], bool)
TRIANGLE = np.tril(np.ones((2, LENGTH, LENGTH), bool))
IMAGE = np.array([(r, c) for r in range(2) for c in range(3)], "int32")


def built(layer, positions=None):
    layer(normal(1, LENGTH, WIDTH), positions=positions)
    return randomize(layer)


def masked(x, mask=VALID):
    return keras.layers.Masking()(np.where(mask[..., None], x, 0.0).astype("float32"))


@pytest.mark.parametrize("mask", [None, TRIANGLE], ids=["", "mask"])
@pytest.mark.parametrize("causal", [False, True], ids=["", "causal"])
@pytest.mark.parametrize("padded", [False, True], ids=["", "padded"])
def test_without_options_it_is_that_of_keras(mask, causal, padded):
    ours = mm.MultiModalAttention(HEADS, head_dim=HEAD)
    keras_layer = keras.layers.MultiHeadAttention(HEADS, HEAD)
    x, other = normal(2, LENGTH, WIDTH), normal(2, LENGTH, 5, seed=1)
    x = masked(x) if padded else x
    options = {"attention_mask": mask, "use_causal_mask": causal}
    for tokens in ((x, x), (x, other)):
        ours, keras_layer = (
            type(layer).from_config(layer.get_config()) for layer in (ours, keras_layer)
        )
        ours(*tokens), keras_layer(*tokens)
        randomize(ours)
        paths = ["/".join(w.path.split("/")[-2:]) for w in ours.weights]
        assert paths == ["/".join(w.path.split("/")[-2:]) for w in keras_layer.weights]
        keras_layer.set_weights(ours.get_weights())
        expected = array(keras_layer(*tokens, **options))
        np.testing.assert_allclose(array(ours(*tokens, **options)), expected, atol=2e-6)
        more = {**options, "return_attention_scores": True}
        for got, wanted in zip(
            ours(*tokens, **more), keras_layer(*tokens, **more), strict=True
        ):
            np.testing.assert_allclose(array(got), array(wanted), atol=2e-6)
    alone = ours.from_config(ours.get_config())
    alone(x)
    randomize(alone)
    # that of Keras takes the mask from its inputs
    x = masked(normal(2, LENGTH, WIDTH)) if padded else x
    np.testing.assert_array_equal(
        array(alone(x, **options)), array(alone(x, x, **options))
    )
    if padded and not causal and mask is None:
        bare = array(alone(array(x).astype("float32")))
        assert np.abs(array(alone(x)) - bare).max() > 1e-2


def turned(x, positions, base=1e4):
    """Turn `(batch, length, heads, channels)` as Llama does."""
    half = x.shape[-1] // 2
    angle = positions[..., None, None] * base ** (-np.arange(half) / half)
    number = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angle)
    return np.concatenate([number.real, number.imag], axis=-1)


def normalized(x, layer):
    weight = array(layer.scale)
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * weight


def expected_of(layer, x, positions, mask, scale, bias=0.0, cap=None):
    """Return outputs and attention weights in float64, from the formula."""
    x = x.astype("float64")
    kernels = {
        name: array(getattr(layer, f"_{name}_dense").kernel)
        for name in ("query", "key", "value", "output")
    }
    query, key, value = (
        np.einsum("btw,wnh->btnh", x, kernels[name])
        for name in ("query", "key", "value")
    )
    if layer.qk_norm:
        query, key = (
            normalized(query, layer.query_norm),
            normalized(key, layer.key_norm),
        )
    if layer.rotary is not None:
        query, key = turned(query, positions), turned(key, positions)
    groups = query.shape[2] // key.shape[2]
    # each head of keys serves neighbouring heads of queries
    key, value = (np.repeat(one, groups, axis=2) for one in (key, value))
    scores = scale * np.einsum("btnh,bsnh->bnts", query, key)
    scores = cap * np.tanh(scores / cap) if cap else scores
    scores = np.where(mask[:, None], scores + bias, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    mixed = np.einsum("bnts,bsnh->btnh", weights, value)
    return np.einsum("btnh,nhw->btw", mixed, kernels["output"]), weights


OPTIONS = {
    "rotary": {"rotary": "llama"},
    "groups": {"rotary": "llama", "num_key_value_heads": 2},
    "one-group": {"num_key_value_heads": 1},
    "norm": {"qk_norm": "rms", "rotary": "llama"},
    "scale": {"scale": 1.0, "rotary": "llama", "soft_cap": 2.0},
    "bias": {"bias": "alibi", "scale": 0.25},
    "all": {
        "rotary": "llama",
        "bias": "alibi",
        "num_key_value_heads": 2,
        "qk_norm": "rms",
        "soft_cap": 3.0,
    },
}


@pytest.mark.parametrize("dropout", [0.0, 0.5], ids=["", "dropout"])
@pytest.mark.parametrize("name", OPTIONS)
def test_formula(name, dropout):
    options = OPTIONS[name]
    layer = mm.MultiModalAttention(
        HEADS, head_dim=HEAD, use_bias=False, dropout=dropout, **options
    )
    x, positions = normal(2, LENGTH, WIDTH), np.array([[5, 0, 9, 2, 3, 1], [*range(6)]])
    built(layer)
    # a query may see itself, so no row is empty
    mask = (VALID[:, None] & TRIANGLE) | np.eye(LENGTH, dtype=bool)
    distance = np.abs(positions[:, None] - positions[:, :, None])[:, None]
    slopes = 2.0 ** (-8 * np.arange(1, HEADS + 1) / HEADS)[:, None, None]
    expected, weights = expected_of(
        layer,
        x,
        positions,
        mask,
        options.get("scale", HEAD**-0.5),
        -slopes * distance if "bias" in options else 0.0,
        options.get("soft_cap"),
    )
    call = {"positions": positions.astype("int32"), "attention_mask": mask}
    got = array(layer(x, **call, training=False))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got / scale, expected / scale, atol=3e-6)
    got, scores = layer(x, **call, return_attention_scores=True, training=False)
    np.testing.assert_allclose(array(got) / scale, expected / scale, atol=3e-6)
    np.testing.assert_allclose(array(scores), weights, atol=3e-6)


POSITIONED = {
    "llama": ({"rotary": "llama"}, np.arange(LENGTH, dtype="int32")),
    "pixtral": ({"rotary": "pixtral"}, IMAGE),
    "t5": ({"bias": "t5"}, np.arange(LENGTH, dtype="int32")),
    "both": (
        {"rotary": "qwen2_vl_vision", "bias": {"convention": "swin", "grid": (9, 9)}},
        IMAGE,
    ),
}


@pytest.mark.parametrize("name", POSITIONED)
def test_outputs_depend_on_differences_of_positions(name):
    options, positions = POSITIONED[name]
    layer = built(mm.MultiModalAttention(HEADS, head_dim=HEAD, **options), positions)
    x = normal(2, LENGTH, WIDTH)
    here = array(layer(x, positions=positions))
    there = array(layer(x, positions=positions + 6))
    scale = np.abs(here).max()
    np.testing.assert_allclose(here / scale, there / scale, atol=1e-5)
    other = array(layer(x, positions=positions[::-1].copy()))
    assert np.abs(here - other).max() > 1e-3 * scale


def test_positions_of_a_sequence_are_counted():
    layer = built(mm.MultiModalAttention(HEADS, rotary="llama", bias="t5"))
    x = normal(2, LENGTH, WIDTH)
    counted = array(layer(x, positions=np.arange(LENGTH, dtype="int32")))
    np.testing.assert_allclose(array(layer(x)), counted, atol=1e-6)


def test_rotations_are_shared_between_layers():
    rotary = mm.RotaryEmbedding("pixtral")
    layers = [mm.MultiModalAttention(HEADS, head_dim=HEAD, rotary=rotary) for _ in "ab"]
    x = normal(2, LENGTH, WIDTH)
    expected = [array(built(one, IMAGE)(x, positions=IMAGE)) for one in layers]
    rotations = rotary.rotations(IMAGE)
    for layer, wanted in zip(layers, expected, strict=True):
        np.testing.assert_array_equal(array(layer(x, rotations=rotations)), wanted)


def test_a_bias_of_the_call_is_added():
    x, more = normal(2, LENGTH, WIDTH), normal(1, HEADS, LENGTH, LENGTH)
    layer = built(mm.MultiModalAttention(HEADS, head_dim=HEAD, bias="t5"))
    own = array(layer.bias(np.arange(LENGTH)))
    plain = mm.MultiModalAttention(HEADS, head_dim=HEAD)
    plain(x)
    plain.set_weights([w for w in layer.get_weights() if w.shape != (32, HEADS)])
    expected = array(plain(x, attention_bias=own + more))
    got = array(layer(x, attention_bias=more))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got / scale, expected / scale, atol=3e-6)
    assert np.abs(got - array(layer(x))).max() > 1e-2


@pytest.mark.parametrize("options", [{"rotary": "llama"}, {"bias": "t5"}])
def test_a_step_is_a_row_of_the_whole(options):
    layer = built(mm.MultiModalAttention(HEADS, head_dim=HEAD, **options))
    x, at = normal(2, LENGTH, WIDTH), np.arange(LENGTH, dtype="int32")
    whole = array(layer(x, positions=at, use_causal_mask=True))
    step = layer(x[:, -1:], x, positions=at[-1:], key_positions=at)
    scale = np.abs(whole).max()
    np.testing.assert_allclose(array(step) / scale, whole[:, -1:] / scale, atol=3e-6)


def test_a_row_without_a_key_is_finite():
    mask = np.zeros((2, LENGTH, LENGTH), bool)
    for options in ({}, {"bias": "t5"}, {"soft_cap": 2.0}):
        for dtype in ("float32", "float16", "bfloat16"):
            layer = mm.MultiModalAttention(HEADS, dtype=dtype, **options)
            got = array(layer(normal(2, LENGTH, WIDTH), attention_mask=mask))
            assert np.isfinite(got).all()


def test_the_mask_is_that_of_the_query():
    layer = mm.MultiModalAttention(HEADS, rotary="llama")
    x = normal(2, LENGTH, WIDTH)
    got = layer(masked(x))
    np.testing.assert_array_equal(ops.convert_to_numpy(got._keras_mask), VALID)
    outputs, _ = layer(masked(x), return_attention_scores=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs._keras_mask), VALID)
    # what stands in padding changes nothing
    noise = np.where(VALID[..., None], x, 9.0).astype("float32")
    mask = np.broadcast_to(VALID[:, None], (2, LENGTH, LENGTH))
    one, other = (array(layer(v, attention_mask=mask)) for v in (x, noise))
    np.testing.assert_allclose(one[VALID], other[VALID], atol=1e-5)


def test_positions_are_exact_in_half_precision():
    layer = mm.MultiModalAttention(HEADS, rotary="llama", dtype="mixed_bfloat16")
    built(layer)
    x = normal(1, LENGTH, WIDTH)
    here, there = (
        array(layer(x, positions=start + np.arange(LENGTH))) for start in (0, 2**20)
    )
    scale = np.abs(here).max()
    assert np.abs(here - there).max() < 0.02 * scale


@pytest.mark.parametrize("name", ["t5", "both"])
def test_saved_with_low_rank_adapters_or_in_int8(name, tmp_path):
    options, positions = POSITIONED[name]
    options = {**options, "num_key_value_heads": 2, "qk_norm": "rms"}

    def model_of():
        x = keras.Input((None, WIDTH), name="x")
        at = keras.Input((None, *positions.shape[1:]), dtype="int32", name="at")
        layer = mm.MultiModalAttention(HEADS, head_dim=HEAD, name="layer", **options)
        return keras.Model([x, at], layer(x, positions=at))

    fed = [normal(2, LENGTH, WIDTH), np.stack([positions] * 2)]

    def same_again(model):
        expected = model.predict(fed, verbose=0)
        loaded = reloaded(model, tmp_path)
        got = loaded.predict(fed, verbose=0)
        np.testing.assert_allclose(got, expected, atol=2e-6 * np.abs(expected).max())
        return loaded

    same_again(randomize(model_of()))
    adapted = randomize(model_of())
    for dense in ("_query_dense", "_value_dense"):
        getattr(adapted.get_layer("layer"), dense).enable_lora(2)
    query = adapted.get_layer("layer")._query_dense
    query.lora_kernel_b.assign(normal(*query.lora_kernel_b.shape))
    again = same_again(adapted).get_layer("layer")
    assert again._query_dense.lora_enabled
    assert not again._key_dense.lora_enabled
    quantized = randomize(model_of())
    for part in quantized.get_layer("layer")._flatten_layers(include_self=False):
        if isinstance(part, keras.layers.EinsumDense):
            part.quantize("int8")
    again = same_again(quantized).get_layer("layer")
    assert again._key_dense.quantization_mode == "int8"


def test_no_tokens_and_no_samples():
    layer = built(mm.MultiModalAttention(HEADS, rotary="llama"))
    for shape in ((0, LENGTH, WIDTH), (2, 0, WIDTH)):
        assert tuple(layer(np.zeros(shape, "float32")).shape) == shape
