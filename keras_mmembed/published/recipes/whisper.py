"""The encoder of Whisper: log-mel spectrograms."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common.types import Config
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe

SPECTROGRAMS = {"audio": (None, None, "num_mel_bins")}
BLOCK = {
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "attention_output": "self_attn.out_proj",
    "attention_norm": "self_attn_layer_norm",
    "hidden": "fc1",
    "output": "fc2",
    "mlp_norm": "final_layer_norm",
}
WHISPER: Recipe = {
    "weights": {
        **names.dense("fusion/audio/embedding/conv1", "encoder.conv1"),
        **names.dense("fusion/audio/embedding/conv2", "encoder.conv2"),
        **names.table("fusion/audio/position", "encoder.embed_positions"),
        **names.block(names.inside("encoder.layers.{i}", BLOCK)),
        # keys have no bias
        "block_{i}/attention/key/bias": 0.0,
        **names.norm("norm", "encoder.layer_norm"),
    },
    "unused": ("decoder.*", "proj_out.*"),
    "prefixes": ("model.",),
}


def whisper(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of Whisper's encoder."""
    width = settings.size_of(config, "d_model")
    convolution = {"kernel_size": 3, "activation": "gelu"}
    stem = keras.Sequential(
        [
            # one frame at each end, as PyTorch pads
            keras.layers.ZeroPadding1D(1),
            keras.layers.Conv1D(width, **convolution, name="conv1"),
            keras.layers.ZeroPadding1D(1),
            keras.layers.Conv1D(width, strides=2, **convolution, name="conv2"),
        ],
        name="embedding",
    )
    audio = {
        "type": "1d",
        "dim": width,
        "max_len": settings.size_of(config, "max_source_positions"),
        # sines, which the files have as a table
        "position": "learned",
        "embedding": stem,
    }
    return {
        "modality_configs": settings.modalities(audio=audio),
        "unified_dim": width,
        "num_layers": settings.size_of(config, "encoder_layers"),
        "num_heads": settings.size_of(config, "encoder_attention_heads"),
        "hidden_dim": settings.size_of(config, "encoder_ffn_dim"),
        "activation": settings.activation_of(config, "activation_function"),
        "epsilon": 1e-5,
        "dropout": float(config.get("dropout", 0.0)),
        "modality_embedding": False,
        "normalization": None,
        "pooling": "tokens",
    }
