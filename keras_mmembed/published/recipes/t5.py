"""The encoder of T5: texts, with relative positions."""

from collections.abc import Mapping
from typing import Any

from keras_mmembed.common.types import Config
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe

START = "encoder.block.{i}.layer"
BLOCK = {
    "query": f"{START}.0.SelfAttention.q",
    "key": f"{START}.0.SelfAttention.k",
    "value": f"{START}.0.SelfAttention.v",
    "attention_output": f"{START}.0.SelfAttention.o",
    "attention_norm": f"{START}.0.layer_norm",
    "output": f"{START}.1.DenseReluDense.wo",
    "mlp_norm": f"{START}.1.layer_norm",
}
# all blocks share the bias of the first
BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
T5: Recipe = {
    "weights": {
        "fusion/text/embedding/embeddings": [
            "shared.weight",
            "encoder.embed_tokens.weight",
        ],
        "relative_bias/embeddings": BIAS,
        **names.block(BLOCK, is_rms=True),
        "block_{i}/hidden/kernel": [
            f"{START}.1.DenseReluDense.wi_0.weight",
            f"{START}.1.DenseReluDense.wi.weight",
        ],
        "block_{i}/up/kernel": f"{START}.1.DenseReluDense.wi_1.weight",
        **names.rms_norm("norm", "encoder.final_layer_norm"),
    },
    "unused": ("encoder.embed_tokens.weight", "decoder.*", "lm_head.*"),
}


def t5(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of T5's encoder."""
    width = settings.size_of(config, "d_model")
    projection = str(settings.value_of(config, "feed_forward_proj"))
    # the GELU of gated-gelu is that of GPT-2
    name = projection.removeprefix("gated-")
    is_gated = name != projection
    name = "gelu_new" if is_gated and name == "gelu" else name
    text = {
        "type": "1d",
        "position": None,
        "vocabulary_size": settings.size_of(config, "vocab_size"),
        **settings.padding_of(config),
    }
    bias = {
        "convention": "t5",
        "num_buckets": settings.size_of(config, "relative_attention_num_buckets"),
        "max_distance": config.get("relative_attention_max_distance", 128),
    }
    return {
        "modality_configs": settings.modalities(text=text),
        "unified_dim": width,
        "num_layers": settings.size_of(config, "num_layers"),
        "num_heads": settings.size_of(config, "num_heads"),
        "head_dim": settings.size_of(config, "d_kv"),
        "hidden_dim": settings.size_of(config, "d_ff"),
        "activation": settings.activation_of({"name": name}, "name"),
        "mlp": "gated" if is_gated else "dense",
        "norm_type": "rms",
        "use_bias": False,
        "scale": 1.0,
        "relative_bias": bias,
        "epsilon": float(settings.value_of(config, "layer_norm_epsilon")),
        "dropout": float(config.get("dropout_rate", 0.0)),
        "modality_embedding": False,
        "normalization": None,
        "pooling": "tokens",
    }
