"""The rotary embedding, the bias and the norms that an attention layer holds."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import keras
from keras import ops

# Keras has no public functions for the mask that a tensor carries
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask

from keras_mmembed.attention.bias_conventions import BiasConventionName
from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.attention.rotary import RotaryEmbedding
from keras_mmembed.attention.rotary_conventions import RotaryConventionName
from keras_mmembed.common import checks
from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Config, Shape, Tensor

# the name of a convention, arguments, or a layer
RotarySpec: TypeAlias = (
    RotaryConventionName | Mapping[str, Any] | RotaryEmbedding | None
)
BiasSpec: TypeAlias = (
    BiasConventionName | Mapping[str, Any] | RelativePositionBias | None
)
# cosines and sines
Rotations: TypeAlias = tuple[Tensor, Tensor]

# arguments of the layer that its configuration holds as they are
CONFIGURED = (
    "num_heads",
    "num_key_value_heads",
    "head_dim",
    "qk_norm",
    "epsilon",
    "scale",
    "soft_cap",
    "dropout",
    "use_bias",
    "use_output_bias",
    "flash_attention",
    "seed",
)


def make_rotary(layer: keras.layers.Layer, rotary: Any) -> RotaryEmbedding | None:
    """Return the rotary embedding of an attention layer, or `None`."""
    if rotary is None or isinstance(rotary, RotaryEmbedding):
        return rotary
    arguments = _arguments(layer, "rotary", rotary, "RotaryEmbedding")
    return RotaryEmbedding(**arguments)


def make_bias(
    layer: keras.layers.Layer, bias: Any, num_heads: int, argument: str = "bias"
) -> RelativePositionBias | None:
    """Return the relative position bias of an attention layer, or `None`."""
    if bias is None:
        return None
    if not isinstance(bias, RelativePositionBias):
        arguments = _arguments(layer, argument, bias, "RelativePositionBias")
        bias = RelativePositionBias(arguments.pop("num_heads", num_heads), **arguments)
    rule = f"have num_heads={num_heads}, as the attention layer"
    who, fits = type(layer).__name__, bias.num_heads == num_heads
    checks.check(fits, who, argument, rule, f"a bias for {bias.num_heads} heads")
    return bias


def make_projection(
    layer: Any, name: str, size: int, shape: Shape
) -> keras.layers.EinsumDense:
    """Return a built projection of an attention layer.

    Args:
        layer: The attention layer.
        name: `"query"`, `"key"`, `"value"` or `"attention_output"`.
        size: The number of heads, or the width of the outputs.
        shape: The shape of the inputs.
    """
    equation, axes, sizes = "abc,cde->abde", "de", (None, size, layer.key_dim)
    uses_bias = layer.use_bias
    if name == "attention_output":
        equation, axes, sizes = "abcd,cde->abe", "e", (None, size)
        if layer.use_output_bias is not None:
            uses_bias = layer.use_output_bias
    dense = keras.layers.EinsumDense(
        equation,
        output_shape=sizes,
        bias_axes=axes if uses_bias else None,
        name=name,
        **layer._get_common_kwargs_for_sublayer(),
    )
    dense.build(shape)
    return dense


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
    rule = f"be a dict of arguments, the name of a convention, or a layer {name}"
    fits = isinstance(value, (str, dict))
    checks.check(fits, who, argument, rule, repr(value), error=TypeError)
    fits = isinstance(value, str) or all(isinstance(key, str) for key in value)
    checks.check(fits, who, argument, "have keys that are strings", repr(value))
    arguments = {"convention": value} if isinstance(value, str) else dict(value)
    return {"dtype": layer.dtype_policy, "name": argument, **arguments}


def build_parts(
    rotary: RotaryEmbedding | None,
    bias: RelativePositionBias | None,
    heads_shape: Shape,
) -> None:
    """Build what is not built yet, for queries `(batch, length, heads, head_dim)`."""
    if rotary is not None and not rotary.built:
        rotary.build(heads_shape)
    if bias is not None and not bias.built:
        axes = () if bias.num_axes == 1 else (bias.num_axes,)
        bias.build((*heads_shape[:2], *axes))


def without_masks(
    *pairs: tuple[keras.layers.Layer, Tensor],
    call: Callable[[Any, Tensor], Tensor] | None = None,
) -> list[Tensor]:
    """Return what layers make of tensors; they would warn that they lose the mask.

    Args:
        *pairs: Layers and tensors.
        call: A function of a layer and a tensor. Defaults to `None`, a call of Keras.
    """
    carried = [(tensor, get_keras_mask(tensor)) for _, tensor in pairs]
    for tensor, _ in carried:
        set_keras_mask(tensor, None)
    outputs = [call(*pair) if call else pair[0](pair[1]) for pair in pairs]
    for tensor, mask in carried:
        if mask is not None:
            set_keras_mask(tensor, mask)
    return outputs


def turn(
    rotary: RotaryEmbedding,
    queries: Tensor,
    keys: Tensor,
    positions: Tensor | None,
    key_positions: Tensor | None,
    rotations: Rotations | None,
) -> tuple[Tensor, Tensor]:
    """Return queries and keys turned by their positions."""
    if rotations is not None and queries.shape[1] == 1:
        # of one token, calls take longer than numbers
        both = ops.concatenate([queries, keys], axis=2)
        turned, heads = rotary.rotate(both, rotations), queries.shape[2]
        return turned[:, :, :heads], turned[:, :, heads:]
    if rotations is not None:
        key_rotations = rotations
    else:
        key_rotations = rotations = rotary.rotations(_or_counted(positions, queries))
        if key_positions is not positions or keys.shape[1] != queries.shape[1]:
            key_rotations = rotary.rotations(_or_counted(key_positions, keys))
    return rotary.rotate(queries, rotations), rotary.rotate(keys, key_rotations)


def total_bias(
    bias: RelativePositionBias | None,
    query: Tensor,
    key: Tensor,
    positions: Tensor | None,
    key_positions: Tensor | None,
    attention_bias: Tensor | None,
) -> Tensor | None:
    """Return the sum of the bias of a layer and that of its call."""
    if bias is None:
        return attention_bias
    own = bias(_or_counted(positions, query), _or_counted(key_positions, key))
    if attention_bias is None:
        return own
    return ops.cast(own, "float32") + ops.cast(attention_bias, "float32")


def _or_counted(positions: Tensor | None, tokens: Tensor) -> Tensor:
    """Return positions, by default those of a sequence."""
    return count(tokens, axis=1) if positions is None else positions


def serialize_parts(**parts: keras.layers.Layer | None) -> Config:
    """Return the layers that a layer holds, as configurations by argument."""
    serialize = keras.saving.serialize_keras_object
    return {n: None if part is None else serialize(part) for n, part in parts.items()}


def deserialize_parts(
    config: Config, names: Iterable[str] = ("rotary", "bias")
) -> Config:
    """Return the configuration of a layer with the layers that it holds."""
    config = dict(config)
    for name in names:
        part = config.get(name)
        # what a user wrote by name or as arguments stays
        if isinstance(part, dict) and "class_name" in part:
            config[name] = keras.saving.deserialize_keras_object(part)
    return config
