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
    bias = model.relative_bias
    parts = {"rotary": model.rotary}
    if isinstance(bias, keras.layers.Layer):
        parts["relative_bias"] = bias
    return {
        **{name: getattr(model, name) for name in (*OWN_OPTIONS, *PLAIN)},
        "activation": activations.serialize(model.activation),
        "relative_bias": plain(bias),
        **serialize_parts(**parts),
        "rotary_rule": rule_config(model.rotary_rule),
    }


def rule_config(rotary_rule: Mapping[str, Any]) -> Any:
    """Return a rule of positions as it was written: its name, or a dict."""
    rule = plain(dict(rotary_rule))
    # that of the fusion's modalities
    rule.pop("grids", None)
    return rule if len(rule) > 1 else rule["rule"]


def plain(value: Any) -> Any:
    """Return arguments without the containers in which Keras tracks those of a model.

    A copy of such a container would copy the model.
    """
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value
