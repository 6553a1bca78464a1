"""The arguments of a model, as its configuration has them."""

import keras

from keras_mmembed.common.types import Config
from keras_mmembed.models import activations

# arguments of a model that its fusion holds
FUSION_OPTIONS = (
    "modality_configs",
    "unified_dim",
    "normalization",
    "num_registers",
    "modality_embedding",
    "modality_dropout",
    "missing",
)
# and those that it holds itself, as they are
OWN_OPTIONS = (
    "num_layers",
    "num_heads",
    "hidden_dim",
    "norm_first",
    "gated",
    "epsilon",
    "dropout",
    "remat",
    "seed",
)


def fusion_config(fusion: keras.layers.Layer) -> Config:
    """Return the arguments that a model hands to its fusion."""
    config = fusion.get_config()
    return {name: config[name] for name in FUSION_OPTIONS}


def own_config(model: keras.Model) -> Config:
    """Return the other arguments of a model, besides the rules of its attention."""
    return {
        **{name: getattr(model, name) for name in OWN_OPTIONS},
        "activation": activations.serialize(model.activation),
    }
