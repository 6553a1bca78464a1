"""Encodings in the shape of the tokens, beside those of prefix tokens."""

import math

from keras import ops

from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Tensor


def zero_invalid(vectors: Tensor, valid: Tensor) -> Tensor:
    """Return the encodings of valid tokens, and zeros for the others."""
    if valid is None:
        return vectors
    return ops.where(ops.expand_dims(valid, -1), vectors, ops.zeros_like(vectors))


def arrange(
    vectors: Tensor, inputs: Tensor, rank: int, token_rank: int, prefix: Tensor = None
) -> Tensor:
    """Return encodings in the shape of the tokens of `inputs`.

    Args:
        vectors: The encodings of the tokens, with or without a batch axis.
        inputs: The tokens.
        rank: Number of axes of the layer.
        token_rank: Number of axes of the tokens of `vectors`.
        prefix: The encodings of prefix tokens, `(prefix tokens, channels)`, if any.
    """
    if token_rank > 1 and len(inputs.shape) == 3:
        batch = [-1] if len(vectors.shape) > rank + 1 else []
        tokens = math.prod(ops.shape(vectors)[len(batch) : len(batch) + rank])
        vectors = ops.reshape(vectors, (*batch, tokens, vectors.shape[-1]))
    if prefix is not None:
        vectors = put_prefix(prefix, vectors, count(inputs, -2))
    if rank == 1 and len(vectors.shape) == 3:
        for _ in range(len(inputs.shape) - 3):
            vectors = ops.expand_dims(vectors, 1)
    return vectors


def put_prefix(prefix: Tensor, vectors: Tensor, index: Tensor) -> Tensor:
    """Put the encodings of prefix tokens before the others, or over the first ones.

    Args:
        prefix: `(prefix tokens, channels)`.
        vectors: The encodings of the other tokens; where their number is unknown, of
            all tokens.
        index: The index of all tokens.
    """
    prefix = ops.cast(prefix, "float32")
    if len(vectors.shape) == 2 and isinstance(vectors.shape[0], int):
        return ops.concatenate([prefix, vectors], axis=0)
    if isinstance(vectors.shape[-2], int):
        empty = ops.zeros_like(vectors[..., :1, :])
        return ops.concatenate([ops.add(empty, prefix), vectors], axis=-2)
    rows = ops.take(prefix, ops.minimum(index, prefix.shape[0] - 1), axis=0)
    return ops.where(ops.expand_dims(index < prefix.shape[0], -1), rows, vectors)
