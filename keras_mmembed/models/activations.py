"""Activations of published models that Keras has no name for."""

from typing import Any

import keras
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mmembed")
def quick_gelu(x: Tensor) -> Tensor:
    """Return `x sigmoid(1.702 x)`, the GELU of CLIP."""
    return x * ops.sigmoid(1.702 * x)


@keras.saving.register_keras_serializable(package="keras_mmembed")
def gelu_tanh(x: Tensor) -> Tensor:
    """Return GELU by its approximation with a tanh, as GPT-2 and SigLIP have it."""
    return ops.gelu(x, approximate=True)


ACTIVATIONS = {"quick_gelu": quick_gelu, "gelu_tanh": gelu_tanh}


def check_activation(who: str, name: str, activation: Any) -> Any:
    """Return an activation of Keras or of this module as a function."""
    if isinstance(activation, str):
        activation = ACTIVATIONS.get(activation, activation)
    return checks.check_activation(who, name, activation)


def serialize(activation: Any) -> Any:
    """Return an activation as a configuration has it: by its name, if it has one."""
    for name, function in ACTIVATIONS.items():
        if activation is function:
            return name
    return keras.activations.serialize(activation)
