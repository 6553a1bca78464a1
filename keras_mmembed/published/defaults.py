"""Entries that the published configurations of several models leave out, as data.

A model inside another is written without the values that its own kind has by default.
"""

from keras_mmembed.common.types import Config

_BASE: Config = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
_TEXT = {**_BASE, "vocab_size": 32000, "max_position_embeddings": 64}
_IMAGE = {**_BASE, "num_channels": 3, "image_size": 224, "patch_size": 16}
_CLIP = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
_SIGLIP = {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6}
CLIP_TEXT: Config = {
    **_TEXT,
    **_CLIP,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_attention_heads": 8,
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "projection_dim": 512,
}
CLIP_VISION: Config = {**_IMAGE, **_CLIP, "patch_size": 32, "projection_dim": 512}
GIT_VISION: Config = {**_IMAGE, **_CLIP}
SIGLIP_TEXT: Config = {**_TEXT, **_SIGLIP}
SIGLIP_VISION: Config = {**_IMAGE, **_SIGLIP}
LLAMA: Config = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
}
