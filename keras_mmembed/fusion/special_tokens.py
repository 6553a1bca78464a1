"""Class and register tokens, and start and end tokens of a modality."""

from collections.abc import Sequence

from keras import ops

from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Tensor
from keras_mmembed.fusion.tokens import concatenate, repeat


def leading_tokens(rows: Sequence[Tensor], like: Tensor, dtype: str) -> Tensor | None:
    """Return class and register tokens for every sample, `None` if there are none.

    Shapes:
        rows: a `(tokens, width)` for each kind.
        like: `(batch, length, width)`.
        result: `(batch, tokens, width)`.
    """
    if not rows:
        return None
    tokens = [ops.convert_to_tensor(row) for row in rows]
    return repeat(concatenate(tokens, 0), like, dtype)


def surround(
    x: Tensor, start: Tensor | None, end: Tensor | None, vector: Tensor | float
) -> Tensor:
    """Put a start and an end token, with `vector` added, around a sequence.

    Shapes:
        x: `(batch, length, width)`.
        start, end: `(1, width)`, or `None` for no such token.
        vector: `(width,)`, or a number.
    """
    first, last = (
        None if row is None else repeat(ops.add(row, vector), x, x.dtype)
        for row in (start, end)
    )
    return concatenate([part for part in (first, x, last) if part is not None])


def counted_positions(x: Tensor, padded: Tensor, mask: Tensor, start: int) -> Tensor:
    """Return the positions of a sequence whose special tokens are counted.

    The end token follows the last valid token, not the padding after it.

    Shapes:
        x: `(batch, length, width)`.
        padded: `(batch, length with special tokens, width)`.
        mask: `(batch, length)`, bool.
        result: `(batch, length with special tokens)`, int32.

    Args:
        x: The tokens.
        padded: The same with room for the special tokens.
        mask: The padding mask of the tokens.
        start: How many start tokens there are.
    """
    index = ops.where(mask, ops.add(count(x, axis=1), 1), 0)
    last = ops.max(index, axis=1, keepdims=True) + start
    return ops.minimum(count(padded, axis=1), last)
