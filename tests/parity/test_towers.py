"""A whole vision tower, built of attention layers, against the published one."""

import keras
import numpy as np
from attention_weights import copy, random_module
from keras import ops
from published import array, close, models, torch, transformers
from transformers.vision_utils import get_vision_position_ids

import keras_mmembed as mm

WIDTH, HEADS, DEPTH = 32, 4, 2


def dense(linear, x):
    """Return what a published linear layer makes of tokens, by one of Keras."""
    layer = keras.layers.Dense(linear.out_features)
    layer.build(x.shape)
    layer.set_weights([array(linear.weight).T, array(linear.bias)])
    return layer(x)


def normalized(norm, x):
    layer = keras.layers.LayerNormalization(epsilon=norm.eps)
    layer.build(x.shape)
    layer.set_weights([array(norm.weight), array(norm.bias)])
    return layer(x)


def built(rotary, x, positions):
    layer = mm.MultiModalAttention(HEADS, rotary=rotary)
    layer(x, positions=positions)
    return layer


class Linear:
    """Rows of a published linear layer that holds several."""

    def __init__(self, linear, part):
        self.weight, self.bias = (
            one.chunk(3)[part] for one in (linear.weight, linear.bias)
        )


def test_vision_tower_of_qwen2_vl():
    config = transformers.models.qwen2_vl.configuration_qwen2_vl.Qwen2VLVisionConfig(
        depth=DEPTH,
        embed_dim=WIDTH,
        hidden_size=24,
        num_heads=HEADS,
        mlp_ratio=2,
        patch_size=4,
        attn_implementation="eager",
    )
    module = models.qwen2_vl.modeling_qwen2_vl.Qwen2VisionTransformerPretrainedModel
    module = random_module(module(config))
    # an image of 4x6 patches and a clip of two frames of 4x4
    grids = torch.tensor([[1, 4, 6], [2, 4, 4]])
    pixels = np.random.default_rng(0).normal(size=(56, 3 * 2 * 4 * 4)).astype("float32")
    expected = module(torch.tensor(pixels), grids).pooler_output
    kernel = array(module.patch_embed.proj.weight).reshape(WIDTH, -1).T
    x = ops.matmul(pixels[None], kernel.astype("float32"))
    positions = get_vision_position_ids(grids, 2).numpy().astype("int32")
    frame = np.repeat([0, 1, 2], [24, 16, 16])
    mask = frame[None, :, None] == frame[None, None, :]
    for block in module.blocks:
        inputs = normalized(block.norm1, x)
        attention = built("qwen2_vl_vision", inputs, positions)
        parts = [Linear(block.attn.qkv, part) for part in range(3)]
        copy(attention, [*parts, block.attn.proj])
        mixed = attention(inputs, positions=positions, attention_mask=mask)
        x = x + mixed
        hidden = dense(block.mlp.fc1, normalized(block.norm2, x))
        x = x + dense(block.mlp.fc2, hidden * ops.sigmoid(1.702 * hidden))
    merged = ops.reshape(normalized(module.merger.ln_q, x), (14, 4 * WIDTH))
    hidden = ops.gelu(dense(module.merger.mlp[0], merged), approximate=False)
    close(array(dense(module.merger.mlp[2], hidden)), expected)
