"""Pooling: from the tokens of an encoder to one vector of a sample, or several."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.models.attention_pooling import AttentionPooling

Pooling: TypeAlias = Literal[
    "cls",
    "mean",
    "tokens",
    "modalities",
    "first",
    "last",
    "special",
    "attention",
    "merged",
]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
# those that leave all tokens
UNPOOLED = ("tokens", "modalities", "merged")


def pool(
    pooling: Pooling,
    tokens: Tensor,
    fused: dict[str, Tensor],
    modalities: Sequence[str],
    left_out: Sequence[str],
    num_special: int = 0,
    attention: AttentionPooling | None = None,
) -> Tensor:
    """Return one vector of each sample.

    Args:
        pooling: One of `POOLINGS`, but for those that leave all tokens.
        tokens: `(batch, fused length, width)`.
        fused: The outputs of the fusion, with `mask` and `modality_ids`.
        modalities: Names of the modalities, in the order of their ids.
        left_out: Names of modalities that are excluded from all that is pooled.
        num_special: Number of class and register tokens, which come first.
        attention: The layer of `"attention"`.
    """
    if pooling == "cls":
        return tokens[:, 0]
    if pooling == "special":
        mean = ops.mean(ops.cast(tokens[:, :num_special], "float32"), axis=1)
        return ops.cast(mean, tokens.dtype)
    ids, counts = fused["modality_ids"], fused["mask"]
    for number in [modalities.index(name) for name in left_out]:
        counts = ops.logical_and(counts, ops.not_equal(ids, number))
    if pooling == "mean":
        return _mean(tokens, ops.logical_and(counts, ids >= 0))
    if attention is not None:
        return attention(tokens, counts)
    return _at_an_end(tokens, counts, is_last=pooling == "last")


def _mean(tokens: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of the tokens that count, in their dtype."""
    weights = ops.cast(ops.expand_dims(counts, -1), "float32")
    total = ops.sum(ops.cast(tokens, "float32") * weights, axis=1)
    return ops.cast(total / ops.maximum(ops.sum(weights, axis=1), 1.0), tokens.dtype)


def _at_an_end(tokens: Tensor, counts: Tensor, is_last: bool) -> Tensor:
    """Return the first or the last token that counts."""
    index = ops.cast(counts, "int32")
    index = ops.cumsum(index, axis=1) * index
    end = ops.max(index, axis=1, keepdims=True) if is_last else 1
    # a sum of one token, which every exporter knows
    chosen = ops.logical_and(ops.equal(index, end), counts)
    weights = ops.expand_dims(chosen, -1)
    return ops.sum(ops.where(weights, tokens, ops.zeros_like(tokens)), axis=1)
