"""Rotary position embeddings against published modules."""

import numpy as np
import pytest
from published import array, models, torch, transformers
from published_rotary import (
    HEAD,
    HEADS,
    config_of,
    heads_first,
    module_of,
    positions_of,
    queries,
    turned,
    vision_config,
)

import keras_mmembed as mm


def text(name, config, rotary, axes=1, **layer):
    def case():
        module, x, positions = module_of(name), queries(), positions_of(axes)
        ids = torch.tensor(positions)
        ids = ids.permute(2, 0, 1) if axes > 1 else ids
        expected = turned(module, getattr(module, rotary)(config()), ids, x)
        return mm.RotaryEmbedding(**layer), x, positions, expected

    return case


def vision(name, config, rotary, apply, **layer):
    """Return a case of a vision tower, whose positions are rows and columns."""

    def case():
        module, x, positions = module_of(name), queries(batch=1), positions_of(2, 1)
        ids = torch.tensor(positions[0])
        cos, sin = getattr(module, rotary)(config())(torch.tensor(x[0]), ids)
        return mm.RotaryEmbedding(**layer), x, positions, apply(module, x, cos, sin)

    return case


def qwen_vision(module, x, cos, sin):
    query = torch.tensor(x[0])
    return array(module.apply_rotary_pos_emb_vision(query, query, cos, sin)[0])[None]


def pixtral():
    module, x, positions = module_of("pixtral"), queries(), positions_of(2)
    config = vision_config("PixtralVisionConfig")
    ids = torch.tensor(positions.reshape(1, -1, 2)).transpose(1, 2)
    cos, sin = module.PixtralVisionRotaryEmbedding(config)(torch.tensor(x), ids)
    query = heads_first(x.reshape(1, -1, HEADS, HEAD))
    got = module.apply_rotary_pos_emb(query, query, cos, sin)[0]
    expected = array(got.transpose(1, 2)).reshape(x.shape)
    return mm.RotaryEmbedding("pixtral"), x, positions, expected


def gemma4_vision():
    module, x, positions = module_of("gemma4"), queries(), positions_of(2)
    config = vision_config("Gemma4VisionConfig")
    ids = torch.tensor(positions)
    cos, sin = module.Gemma4VisionRotaryEmbedding(config)(torch.tensor(x), ids)
    got = module.apply_multidimensional_rope(torch.tensor(x), cos, sin, ids)
    return mm.RotaryEmbedding("gemma4_vision"), x, positions, array(got)


def llama4_vision():
    module = module_of("llama4")
    config = vision_config("Llama4VisionConfig", image_size=12, patch_size=4)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 10, HEADS, HEAD)).astype("float32")
    frequencies = module.Llama4VisionRotaryEmbedding(config)(torch.tensor(x))
    query = torch.tensor(x)
    expected = module.vision_apply_rotary_emb(query, query, frequencies)[0]
    rows, columns = np.divmod(np.arange(9), 3)
    # the class token comes last
    positions = np.array([*zip(rows, columns, strict=True), (-1, -1)])
    return mm.RotaryEmbedding("llama4_vision"), x, positions, array(expected)


def dinov3():
    module = module_of("dinov3_vit")
    config = transformers.DINOv3ViTConfig(
        hidden_size=HEAD * HEADS, num_attention_heads=HEADS, patch_size=4
    )
    rotary = module.DINOv3ViTRopePositionEmbedding(config).eval()
    cos, sin = rotary(torch.zeros(1, 3, 8, 12))
    rows, columns = np.divmod(np.arange(6), 3)
    positions = np.array([(-1, -1), *zip(rows, columns, strict=True)])
    x = queries()
    query = heads_first(x)
    expected = module.apply_rotary_pos_emb(query, query, cos, sin)[0]
    return mm.RotaryEmbedding("dinov3"), x, positions, array(expected.transpose(1, 2))


def vjepa2(head_dim):
    def case():
        config = transformers.VJEPA2Config(
            hidden_size=head_dim * HEADS, num_attention_heads=HEADS
        )
        module = models.vjepa2.modeling_vjepa2.VJEPA2RopeAttention(
            config, head_dim * HEADS, HEADS
        )
        x, positions = queries(head_dim), positions_of(3)
        ids = torch.tensor(positions)[:, None].float().unbind(-1)
        expected = module.apply_rotary_embeddings(heads_first(x), ids)
        layer = mm.RotaryEmbedding("vjepa2")
        return layer, x, positions, array(expected.transpose(1, 2))

    return case


def rope(theta, **more):
    return {"rope_parameters": {"rope_type": "default", "rope_theta": theta, **more}}


def qwen_text(name, sections, theta=1000000.0):
    return lambda: config_of(name, **rope(theta, mrope_section=list(sections)))


QWEN = (16, 24, 24)
CASES = {
    "llama": text("llama", lambda: config_of("LlamaConfig"), "LlamaRotaryEmbedding"),
    "qwen3": text(
        "qwen3",
        lambda: config_of("Qwen3Config", **rope(1e6)),
        "Qwen3RotaryEmbedding",
        max_wavelength=1e6,
    ),
    "gpt_neox": text(
        "gpt_neox",
        lambda: config_of("GPTNeoXConfig", **rope(1e4, partial_rotary_factor=0.25)),
        "GPTNeoXRotaryEmbedding",
        fraction=0.25,
    ),
    "cohere": text(
        "cohere",
        lambda: config_of("CohereConfig", **rope(1e4)),
        "CohereRotaryEmbedding",
        convention="gptj",
    ),
    "glm4": text(
        "glm4",
        lambda: config_of("Glm4Config", **rope(1e4, partial_rotary_factor=0.5)),
        "Glm4RotaryEmbedding",
        convention="glm",
    ),
    "qwen2_vl": text(
        "qwen2_vl",
        qwen_text("Qwen2VLTextConfig", QWEN),
        "Qwen2VLRotaryEmbedding",
        axes=3,
        convention="qwen2_vl",
    ),
    "qwen2_5_vl": text(
        "qwen2_5_vl",
        qwen_text("Qwen2_5_VLTextConfig", (20, 20, 24)),
        "Qwen2_5_VLRotaryEmbedding",
        axes=3,
        convention="qwen2_vl",
        sections=(20, 20, 24),
    ),
    "qwen3_vl": text(
        "qwen3_vl",
        qwen_text("Qwen3VLTextConfig", (24, 20, 20), 5e6),
        "Qwen3VLTextRotaryEmbedding",
        axes=3,
        convention="qwen3_vl",
    ),
    "qwen3_5": text(
        "qwen3_5",
        lambda: config_of(
            "Qwen3_5TextConfig",
            **rope(1e7, mrope_section=[6, 5, 5], partial_rotary_factor=0.25),
        ),
        "Qwen3_5TextRotaryEmbedding",
        axes=3,
        convention="qwen3_5",
        sections=(6, 5, 5),
    ),
    "glm4v": text(
        "glm4v",
        lambda: config_of(
            "Glm4vTextConfig",
            **rope(1e4, mrope_section=[8, 12, 12], partial_rotary_factor=0.5),
        ),
        "Glm4vTextRotaryEmbedding",
        axes=3,
        convention="glm4v",
    ),
    "ernie4_5_vl": text(
        "ernie4_5_vl_moe",
        lambda: config_of(
            "Ernie4_5_VLMoeTextConfig", **rope(5e5, mrope_section=[22, 22, 20])
        ),
        "Ernie4_5_VLMoeTextRotaryEmbedding",
        axes=3,
        convention="ernie4_5_vl",
    ),
    "hunyuan_vl": text(
        "hunyuan_vl",
        lambda: config_of(
            "HunYuanVLTextConfig", **rope(1e4, mrope_section=[16, 16, 16, 16])
        ),
        "HunYuanVLRotaryEmbedding",
        axes=4,
        convention="hunyuan_vl",
    ),
    "qwen2_vl_vision": vision(
        "qwen2_vl",
        lambda: vision_config("Qwen2VLVisionConfig"),
        "Qwen2VLVisionRotaryEmbedding",
        qwen_vision,
        convention="qwen2_vl_vision",
    ),
    "qwen3_vl_vision": vision(
        "qwen3_vl",
        lambda: vision_config("Qwen3VLVisionConfig"),
        "Qwen3VLVisionRotaryEmbedding",
        qwen_vision,
        convention="qwen2_vl_vision",
    ),
    "pixtral": pixtral,
    "gemma4_vision": gemma4_vision,
    "llama4_vision": llama4_vision,
    "dinov3": dinov3,
    "vjepa2-64": vjepa2(64),
    "vjepa2-80": vjepa2(80),
}


@pytest.mark.parametrize("name", CASES)
def test_module(name):
    layer, x, positions, expected = CASES[name]()
    got = array(layer(x, np.asarray(positions, "int32")))
    # another sign of a single channel differs by 1
    assert np.abs(expected - x).max() > 0.1
    np.testing.assert_allclose(got, expected, atol=2e-6, rtol=0)
