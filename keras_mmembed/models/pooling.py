"""Pooling: from the tokens of an encoder to the outputs of a model."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import keras
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.tensors import float32_or_better
from keras_mmembed.common.types import Tensor

Pooling: TypeAlias = Literal["cls", "mean", "tokens", "modalities"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


def check_output_activation(who: str, activation: Any, num_outputs: int | None) -> Any:
    """Return the activation of the head as a function; raise if there is no head."""
    function = checks.check_activation(who, "output_activation", activation)
    # a configuration says "linear" for none
    is_used = function is keras.activations.linear or num_outputs is not None
    rule = "be left out without `num_outputs`, which makes the head"
    checks.check(is_used, who, "output_activation", rule, repr(activation))
    return function


def make_head(
    num_outputs: int | None, activation: Any, dtype: str
) -> keras.layers.Dense | None:
    """Return the dense head on what is pooled, `None` without outputs of its own."""
    if num_outputs is None:
        return None
    dtype = float32_or_better(dtype)
    return keras.layers.Dense(
        num_outputs, activation=activation, dtype=dtype, name="head"
    )


def pool(
    pooling: Pooling,
    tokens: Tensor,
    fused: dict[str, Tensor],
    modalities: Sequence[str],
    left_out: Sequence[str],
) -> Tensor:
    """Return the class token, the mean of the tokens, or all of them.

    Args:
        pooling: One of `POOLINGS`.
        tokens: `(batch, fused length, width)`.
        fused: The outputs of the fusion, with `mask` and `modality_ids`.
        modalities: Names of the modalities, in the order of their ids.
        left_out: Names of modalities that are excluded from the mean.
    """
    if pooling == "cls":
        return tokens[:, 0]
    if pooling == "mean":
        return _mean(tokens, fused, [modalities.index(name) for name in left_out])
    return tokens


def pooled_spec(
    pooling: Pooling, tokens: keras.KerasTensor, width: int, dtype: str
) -> keras.KerasTensor:
    """Return the symbolic outputs of a width for symbolic tokens."""
    leading = tokens.shape[: 1 if pooling in ("cls", "mean") else 2]
    return keras.KerasTensor((*leading, width), dtype=dtype)


def _mean(tokens: Tensor, fused: dict[str, Tensor], left_out: Sequence[int]) -> Tensor:
    """Return the mean of the valid tokens without special tokens, in their dtype."""
    ids = fused["modality_ids"]
    counts = ops.logical_and(fused["mask"], ids >= 0)
    for number in left_out:
        counts = ops.logical_and(counts, ops.not_equal(ids, number))
    weights = ops.cast(ops.expand_dims(counts, -1), "float32")
    total = ops.sum(ops.cast(tokens, "float32") * weights, axis=1)
    return ops.cast(total / ops.maximum(ops.sum(weights, axis=1), 1.0), tokens.dtype)
