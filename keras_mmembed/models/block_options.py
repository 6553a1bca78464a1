"""The options of a transformer block: their types and checks."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import keras

from keras_mmembed.attention.layer import HEAD_NORMS, HeadNorm
from keras_mmembed.attention.layer_checks import check_pairs, check_tables
from keras_mmembed.attention.parts import make_bias, make_rotary
from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.attention.rotary import RotaryEmbedding
from keras_mmembed.common import call_arguments, checks, tensors
from keras_mmembed.common.types import Config, Shape, Tensor
from keras_mmembed.models.activations import check_activation

NormType: TypeAlias = Literal["layer", "rms"]
NORM_TYPES: tuple[NormType, ...] = get_args(NormType)
MLP: TypeAlias = Literal["dense", "gated"]
MLPS: tuple[MLP, ...] = get_args(MLP)
UseBias: TypeAlias = bool | Literal["qkv"]
CrossAttention: TypeAlias = bool | Literal["only"]
QKNorm: TypeAlias = HeadNorm | None


class BlockOptions:
    """The options of a block as attributes, those of a model of such blocks too."""

    num_heads: int
    hidden_dim: int | None
    activation: Any
    norm_first: bool
    norm_type: NormType
    mlp: MLP
    num_key_value_heads: int | None
    head_dim: int | None
    use_bias: UseBias
    scale: float | None
    qk_norm: QKNorm
    layer_scale: float | None
    cross_attention: CrossAttention
    epsilon: float
    dropout: float
    remat: bool
    seed: int | None


# by name, those of which a configuration holds the value as it is
PLAIN = (
    "num_heads",
    "hidden_dim",
    "norm_first",
    "norm_type",
    "mlp",
    "num_key_value_heads",
    "head_dim",
    "use_bias",
    "scale",
    "qk_norm",
    "layer_scale",
    "cross_attention",
    "epsilon",
    "dropout",
    "remat",
    "seed",
)

# and all that `check_options` looks at
OPTIONS = (*PLAIN, "activation")
# optional tensors of a call, in their order behind the tokens
TENSORS = (
    "attention_mask",
    "narrow_mask",
    "encoded",
    "encoded_mask",
    "positions",
    "attention_bias",
)
# arguments of a call that only the attention among tokens uses
OF_OWN_ATTENTION = (
    "attention_mask",
    "positions",
    "attention_bias",
    "rotations",
    "use_causal_mask",
)


def check_options(who: str, options: Mapping[str, Any]) -> Config:
    """Return the options of a block that are plain data, or raise.

    Args:
        who: Name of the layer.
        options: The options of the constructor, by name.
    """

    def integer(name: str) -> int | None:
        return checks.check_integer(who, name, options[name], optional=True)

    def number(name: str) -> float | None:
        value = options[name]
        return None if value is None else checks.check_number(who, name, value, 0)

    def flag(name: str) -> bool:
        return checks.check_flag(who, name, options[name])

    def choice(name: str, choices: tuple[Any, ...]) -> Any:
        return checks.check_choice(who, name, options[name], choices)

    heads = checks.check_integer(who, "num_heads", options["num_heads"])
    shared = integer("num_key_value_heads")
    fits, rule = heads % (shared or heads) == 0, f"divide num_heads={heads}"
    checks.check(fits, who, "num_key_value_heads", rule, shared)
    rate = checks.check_number(who, "dropout", options["dropout"], 0, 1, True)
    return {
        "num_heads": heads,
        "hidden_dim": integer("hidden_dim"),
        "activation": check_activation(who, "activation", options["activation"]),
        "norm_first": flag("norm_first"),
        "norm_type": choice("norm_type", NORM_TYPES),
        "mlp": choice("mlp", MLPS),
        "num_key_value_heads": shared,
        "head_dim": integer("head_dim"),
        "use_bias": choice("use_bias", (True, False, "qkv")),
        "scale": number("scale"),
        "qk_norm": choice("qk_norm", (None, *HEAD_NORMS)),
        "layer_scale": number("layer_scale"),
        "cross_attention": choice("cross_attention", (False, True, "only")),
        "epsilon": checks.check_number(who, "epsilon", options["epsilon"], 0),
        "dropout": rate,
        "remat": flag("remat"),
        "seed": checks.check_seed(who, options["seed"]),
    }


def check_parts(
    layer: Any, rotary: Any, relative_bias: Any
) -> tuple[RotaryEmbedding | None, RelativePositionBias | None]:
    """Return the rotary embedding and the relative bias of the attention of a block.

    Args:
        layer: The block, with its other options.
        rotary: The name of a convention, arguments, a layer, or `None`.
        relative_bias: The same.
    """
    who = type(layer).__name__
    for name, part in {"rotary": rotary, "relative_bias": relative_bias}.items():
        rule = 'be None with cross_attention="only", whose tokens have no positions'
        fits = part is None or layer.cross_attention != "only"
        checks.check(fits, who, name, rule, repr(part))
    bias = make_bias(layer, relative_bias, layer.num_heads, "relative_bias")
    return make_rotary(layer, rotary), bias


def check_tokens_shape(who: str, shape: Shape, argument: str = "tokens") -> None:
    """Raise unless tokens have three axes and a known width."""
    shape, argument = checks.known_shape(shape), f"{argument}.shape"
    checks.check_rank(who, argument, shape, (3,), "(batch, length, width)")
    rule = "have a last axis of known size, at least 1"
    checks.check(bool(shape[-1]), who, argument, rule, shape)


def standardize_call(
    who: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> call_arguments.Arguments:
    """Return the arguments of a call of a block as tensors or arrays."""
    given = call_arguments.standardize(who, args, kwargs, ("tokens",), TENSORS)
    args, kwargs = given
    names = ("tokens", *TENSORS, "rotations")
    named = {**dict(zip(names, args, strict=False)), **kwargs}
    check_tables(who, named.get("rotations"))
    return given


def check_tokens(layer: Any, tokens: Tensor) -> None:
    """Raise unless tokens are of the width that a block was built for."""
    who, shape = type(layer).__name__, checks.known_shape(tokens.shape)
    check_tokens_shape(who, shape)
    tensors.check_kind(who, "tokens", tokens, "float", "Cast them to floats.")
    if layer.built:
        width = layer.output_dense.units
        rule = f"be {width}, as the layer was built for"
        checks.check(shape[-1] == width, who, "tokens.shape[-1]", rule, shape[-1])


def check_call(layer: Any, tokens: Tensor, given: Mapping[str, Any]) -> None:
    """Raise for a call of a block that its options do not fit.

    Args:
        layer: The block.
        tokens: The tokens of the call.
        given: Its other arguments, by name.
    """
    who, shape = type(layer).__name__, checks.known_shape(tokens.shape)
    check_tokens(layer, tokens)
    check_encoded(layer, given, shape[0])
    mask = given.get("narrow_mask")
    rule = "be passed to a gated block" if layer.gated else "be None without `gated`"
    fits = (mask is not None) == layer.gated
    checks.check(fits, who, "narrow_mask", rule, _shape_of(mask))
    if mask is not None:
        check_pairs(who, "narrow_mask", mask, (*shape[:2], shape[1]))
    if layer.cross_attention != "only":
        return
    for name in OF_OWN_ATTENTION:
        rule = 'be left out with cross_attention="only", which would not use it'
        fits = given.get(name) is None or given[name] is False
        checks.check(fits, who, name, rule, _shape_of(given.get(name)))


def check_encoded(
    layer: Any, given: Mapping[str, Any], batch: int | None = None
) -> None:
    """Raise unless the other sequence is there exactly if tokens attend to it.

    Args:
        layer: The block, or the model.
        given: The arguments of its call, by name.
        batch: The number of samples, if it is known.
    """
    who, needs = type(layer).__name__, bool(layer.cross_attention)
    encoded, mask = (given.get(name) for name in ("encoded", "encoded_mask"))
    rule = "be passed with cross-attention" if needs else "be None without it"
    remedy = "" if needs else "Set cross_attention=True."
    fits, received = (encoded is not None) == needs, _shape_of(encoded)
    checks.check(fits, who, "encoded", rule, received, remedy)
    if encoded is None:
        rule = "be None without `encoded`"
        checks.check(mask is None, who, "encoded_mask", rule, _shape_of(mask))
        return
    shape = checks.known_shape(encoded.shape)
    check_tokens_shape(who, shape, "encoded")
    tensors.check_kind(who, "encoded", encoded, "float", "Cast them to floats.")
    rule = f"be ({batch}, length, width), of the same samples"
    fits = checks.shapes_match(shape[:1], (batch,))
    checks.check(fits, who, "encoded.shape", rule, shape)
    if mask is not None:
        tensors.check_flags(who, "encoded_mask", mask)
        rule, received = f"be {shape[:2]}", checks.known_shape(mask.shape)
        options = [shape[:2], (1, shape[1])]
        fits = any(checks.shapes_match(received, option) for option in options)
        checks.check(fits, who, "encoded_mask.shape", rule, received)


def _shape_of(tensor: Any) -> Any:
    if not hasattr(tensor, "shape"):
        return repr(tensor)
    return checks.known_shape(tensor.shape)


def make_norm(
    norm_type: NormType, epsilon: float, dtype: Any, name: str
) -> keras.layers.Layer:
    """Return the norm of tokens in a block."""
    make = keras.layers.LayerNormalization
    if norm_type == "rms":
        make = keras.layers.RMSNormalization
    norm = make(epsilon=epsilon, dtype=dtype, name=name)
    # RMSNormalization of Keras would lose the mask, with a warning
    norm.supports_masking = True
    return norm
