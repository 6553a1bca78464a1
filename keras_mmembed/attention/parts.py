"""Layers that an attention layer holds, made of what its user wrote."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import keras

from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.attention.rotary import RotaryEmbedding
from keras_mmembed.common import checks

# the name of a convention, arguments, or a layer
RotarySpec: TypeAlias = str | Mapping[str, Any] | RotaryEmbedding | None
BiasSpec: TypeAlias = str | Mapping[str, Any] | RelativePositionBias | None


def make_rotary(layer: keras.layers.Layer, rotary: Any) -> RotaryEmbedding | None:
    """Return the rotary embedding of an attention layer, or `None`."""
    if rotary is None or isinstance(rotary, RotaryEmbedding):
        return rotary
    arguments = _arguments(layer, "rotary", rotary, "RotaryEmbedding")
    return RotaryEmbedding(**arguments)


def make_bias(
    layer: keras.layers.Layer, bias: Any, num_heads: int
) -> RelativePositionBias | None:
    """Return the relative position bias of an attention layer, or `None`."""
    if bias is None:
        return None
    if not isinstance(bias, RelativePositionBias):
        arguments = _arguments(layer, "bias", bias, "RelativePositionBias")
        bias = RelativePositionBias(arguments.pop("num_heads", num_heads), **arguments)
    rule = f"have num_heads={num_heads}, as the attention layer"
    who, fits = type(layer).__name__, bias.num_heads == num_heads
    checks.check(fits, who, "bias", rule, f"a bias for {bias.num_heads} heads")
    return bias


def make_head_norm(
    layer: keras.layers.Layer, kind: str, epsilon: float, name: str
) -> keras.layers.Layer:
    """Return the norm of each head of queries or keys."""
    make = keras.layers.LayerNormalization
    if kind == "rms":
        make = keras.layers.RMSNormalization
    return make(epsilon=epsilon, dtype=layer.dtype_policy, name=name)


def _arguments(
    layer: keras.layers.Layer, argument: str, value: Any, name: str
) -> dict[str, Any]:
    """Return the arguments of a layer that is written as a name or a dict."""
    who = type(layer).__name__
    rule = f"be the name of a convention, a dict of arguments or a layer {name}"
    fits = isinstance(value, (str, dict))
    checks.check(fits, who, argument, rule, repr(value), error=TypeError)
    arguments = {"convention": value} if isinstance(value, str) else dict(value)
    return {"dtype": layer.dtype_policy, "name": argument, **arguments}
