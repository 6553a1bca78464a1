"""Whole attention layers against published modules with small random weights."""

import numpy as np
import pytest
from attention_weights import copy, projections_of, random_module
from published import array, close, models, torch, transformers

import keras_mmembed as mm

WIDTH, HEADS, HEAD, LENGTH = 32, 4, 8, 7
SMALL = {
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_hidden_layers": 1,
    "intermediate_size": 16,
    "vocab_size": 9,
    "head_dim": HEAD,
    "num_key_value_heads": 2,
    "attn_implementation": "eager",
}


def tokens(batch=2, length=LENGTH):
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, length, WIDTH)).astype("float32")


def built(layer, x=None, **call):
    layer(tokens() if x is None else x, **call)
    return layer


def causal(length=LENGTH):
    """Return a mask of ours and the same as a published module adds it."""
    mask = np.tril(np.ones((1, length, length), bool))
    return mask, torch.tensor(np.where(mask, 0.0, -1e9)[None].astype("float32"))


def test_t5():
    config = transformers.T5Config(
        d_model=WIDTH, num_heads=HEADS, d_kv=HEAD, attn_implementation="eager"
    )
    module = models.t5.modeling_t5.T5Attention(config, True, layer_idx=0)
    random_module(module)
    layer = mm.MultiModalAttention(
        HEADS, head_dim=HEAD, bias="t5", scale=1.0, use_bias=False
    )
    copy(built(layer), (module.q, module.k, module.v, module.o))
    layer.bias.embeddings.assign(array(module.relative_attention_bias.weight))
    x = tokens()
    close(array(layer(x)), module(torch.tensor(x))[0])


def test_qwen3():
    config = transformers.Qwen3Config(**SMALL)
    module = models.qwen3.modeling_qwen3
    attention = random_module(module.Qwen3Attention(config, 0))
    rotary = module.Qwen3RotaryEmbedding(config)
    layer = mm.MultiModalAttention(
        HEADS,
        head_dim=HEAD,
        num_key_value_heads=2,
        rotary={"max_wavelength": config.rope_parameters["rope_theta"]},
        qk_norm="rms",
        use_bias=False,
    )
    norms = attention.q_norm, attention.k_norm
    copy(built(layer), projections_of(attention), norms)
    x, (mask, added) = tokens(), causal()
    ids = torch.arange(LENGTH)[None]
    expected = attention(torch.tensor(x), rotary(torch.tensor(x), ids), added)[0]
    close(array(layer(x, attention_mask=mask)), expected)


def test_gemma2_with_a_soft_cap():
    config = transformers.Gemma2Config(
        **SMALL, attn_logit_softcapping=0.5, query_pre_attn_scalar=16
    )
    module = models.gemma2.modeling_gemma2
    attention = random_module(module.Gemma2Attention(config, 0))
    rotary = module.Gemma2RotaryEmbedding(config)
    layer = mm.MultiModalAttention(
        HEADS,
        head_dim=HEAD,
        num_key_value_heads=2,
        rotary="llama",
        scale=16**-0.5,
        soft_cap=0.5,
        use_bias=False,
    )
    copy(built(layer), projections_of(attention))
    x, (mask, added) = tokens(), causal()
    turns = rotary(torch.tensor(x), torch.arange(LENGTH)[None])
    expected = attention(torch.tensor(x), turns, added)[0]
    close(array(layer(x, attention_mask=mask)), expected)


def test_qwen2_vl():
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}
    config = transformers.Qwen2VLTextConfig(**SMALL, rope_parameters=rope)
    module = models.qwen2_vl.modeling_qwen2_vl
    attention = random_module(module.Qwen2VLAttention(config, 0))
    rotary = module.Qwen2VLRotaryEmbedding(config)
    positions = np.random.default_rng(0).integers(0, 9, (2, LENGTH, 3)).astype("int32")
    layer = mm.MultiModalAttention(
        HEADS,
        num_key_value_heads=2,
        rotary={"convention": "qwen2_vl", "sections": (1, 1, 2)},
        use_output_bias=False,
    )
    copy(built(layer, positions=positions), projections_of(attention))
    x, (mask, added) = tokens(), causal()
    turns = rotary(torch.tensor(x), torch.tensor(positions).permute(2, 0, 1))
    expected = attention(torch.tensor(x), added, position_embeddings=turns)[0]
    got = layer(x, attention_mask=mask, positions=positions)
    close(array(got), expected)


def test_layoutlmv3():
    config = transformers.LayoutLMv3Config(
        hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=HEADS
    )
    module = models.layoutlmv3.modeling_layoutlmv3
    attention = random_module(module.LayoutLMv3Attention(config))
    encoder = random_module(module.LayoutLMv3Encoder(config), seed=1)
    rng = np.random.default_rng(0)
    boxes = rng.integers(0, 1000, (2, LENGTH, 4))
    places = rng.integers(0, 300, (2, LENGTH))
    positions = np.stack([places, boxes[..., 0], boxes[..., 3]], -1).astype("int32")
    layer = mm.MultiModalAttention(
        HEADS, bias={"convention": "layoutlmv3", "scale": HEAD**-0.5}
    )
    own = attention.self
    linear = (own.query, own.key, own.value, attention.output.dense)
    copy(built(layer, positions=positions), linear)
    tables = (encoder.rel_pos_bias, encoder.rel_pos_x_bias, encoder.rel_pos_y_bias)
    layer.bias.set_weights([array(table.weight).T for table in tables])
    x = tokens()
    one = encoder._cal_1d_pos_emb(torch.tensor(places))
    two = encoder._cal_2d_pos_emb(torch.tensor(boxes))
    mixed = own(torch.tensor(x), rel_pos=one, rel_2d_pos=two)[0]
    expected = attention.output.dense(mixed)
    close(array(layer(x, positions=positions)), expected)


@pytest.mark.parametrize("dropout", [0.0, 0.5], ids=["kernel", "weights"])
def test_beit(dropout):
    config = transformers.BeitConfig(
        hidden_size=WIDTH,
        num_attention_heads=HEADS,
        image_size=12,
        patch_size=4,
        attn_implementation="eager",
    )
    module = models.beit.modeling_beit
    attention = random_module(module.BeitAttention(config))
    bias = random_module(module.BeitRelativePositionBias(config), seed=1)
    positions = np.stack(np.divmod(np.arange(9), 3), -1)
    positions = np.concatenate([[[-1, -1]], positions]).astype("int32")
    layer = mm.MultiModalAttention(
        HEADS, bias={"convention": "beit", "grid": (3, 3)}, dropout=dropout
    )
    x = tokens(length=10)
    copy(built(layer, x, positions=positions), projections_of(attention))
    table = array(bias.relative_position_bias_table)
    layer.bias.set_weights([table[:-3].reshape(5, 5, HEADS), table[-3:]])
    expected = attention(torch.tensor(x), bias((3, 3)))[0]
    close(array(layer(x, positions=positions, training=False)), expected)
