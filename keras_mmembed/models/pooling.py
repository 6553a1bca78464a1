"""Tokens to the outputs of a model: what is pooled, and of which shape it is."""

from typing import Literal, TypeAlias, get_args

import keras
from keras import ops

Pooling: TypeAlias = Literal["cls", "mean", "tokens", "modalities"]
POOLINGS = get_args(Pooling)


def pool(pooling, tokens, fused, modalities, left_out):
    """Return the class token or the mean of the tokens, or all of them.

    Args:
        pooling: One of `POOLINGS`.
        tokens: `(batch, fused length, width)`.
        fused: What the fusion returned, with `mask` and `modality_ids`.
        modalities: All names, in the order of their ids.
        left_out: Names of modalities that no mean has.
    """
    if pooling == "cls":
        return tokens[:, 0]
    if pooling == "mean":
        return _mean(tokens, fused, [modalities.index(name) for name in left_out])
    return tokens


def pooled_spec(pooling, tokens, width, dtype):
    """Return the symbolic outputs of some width for symbolic tokens."""
    places = tokens.shape[: 1 if pooling in ("cls", "mean") else 2]
    return keras.KerasTensor((*places, width), dtype=dtype)


def _mean(tokens, fused, left_out):
    """Return the mean of the valid tokens that stand for inputs, in their dtype."""
    ids = fused["modality_ids"]
    counts = ops.logical_and(fused["mask"], ids >= 0)
    for number in left_out:
        counts = ops.logical_and(counts, ops.not_equal(ids, number))
    weights = ops.cast(ops.expand_dims(counts, -1), "float32")
    total = ops.sum(ops.cast(tokens, "float32") * weights, axis=1)
    return ops.cast(total / ops.maximum(ops.sum(weights, axis=1), 1.0), tokens.dtype)
