"""The arguments of a model, as its configuration has them."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.attention.parts import serialize_parts
from keras_mmembed.common.types import Config
from keras_mmembed.models import activations
from keras_mmembed.models.block_options import OPTIONS, PLAIN

# arguments of a model that its fusion holds
FUSION_OPTIONS = (
    "modality_configs",
    "unified_dim",
    "normalization",
    "norm_type",
    "num_registers",
    "modality_embedding",
    "modality_dropout",
    "missing",
)
# those that it hands to its blocks
OF_BLOCKS = OPTIONS
# and those that it holds itself, as they are
OWN_OPTIONS = (
    "num_layers",
    "tie_embeddings",
    "gated",
)


def fusion_config(fusion: keras.layers.Layer) -> Config:
    """Return the arguments that a model hands to its fusion."""
    config = fusion.get_config()
    return {name: config[name] for name in FUSION_OPTIONS}


def block_options(model: Any) -> Config:
    """Return the arguments that a model hands to its blocks, but for layers."""
    options = {name: getattr(model, name) for name in OF_BLOCKS}
    width = model.fusion.unified_dim
    return {**options, "hidden_dim": model.hidden_dim or 4 * width}


def own_config(model: Any) -> Config:
    """Return the other arguments of a model, besides the rules of its attention."""
    bias, rule = model.relative_bias, dict(model.rotary_rule)
    # that of the fusion's modalities
    rule.pop("grids", None)
    parts = {"rotary": model.rotary}
    if isinstance(bias, keras.layers.Layer):
        parts["relative_bias"] = bias
    return {
        **{name: getattr(model, name) for name in (*OWN_OPTIONS, *PLAIN)},
        "activation": activations.serialize(model.activation),
        # Keras keeps a dict as one of its own kind
        "relative_bias": dict(bias) if isinstance(bias, Mapping) else bias,
        **serialize_parts(**parts),
        "rotary_rule": rule if len(rule) > 1 else rule["rule"],
    }
