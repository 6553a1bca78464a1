"""Class and register tokens, and start and end tokens of a modality."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_mmembed.common.sequences import count, product
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


def counted_order(x: Tensor, padded: Tensor, mask: Tensor, start: int) -> Tensor:
    """Return the place in a sequence that each token has, special tokens included.

    The end token follows the last valid one, not the padding after it.

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
    valid = ops.cast(mask, "int32")
    # not a maximum, which no tokens at all have not
    behind = ops.sum(valid, axis=1, keepdims=True) - ops.cumsum(valid, axis=1) + valid
    last = ops.sum(ops.cast(behind > 0, "int32"), axis=1, keepdims=True) + start
    return ops.minimum(count(padded, axis=1), last)


def end_rows(x: Tensor, axes: Sequence[Any], row: Tensor) -> Tensor:
    """Put a token behind each row of a grid of tokens.

    Shapes:
        x: `(..., tokens, width)`, tokens row by row.
        row: `(..., 1, width)`, broadcastable to the ends of the rows.
        result: `(..., rows * (columns + 1), width)`.

    Args:
        x: The tokens.
        axes: The sizes of the grid, of which the last is that of a row.
        row: The token.
    """
    lead, width = ops.shape(x)[:-2], x.shape[-1]
    rows = ops.reshape(x, (*lead, *axes, width))
    # of the tokens' own axes, so that a size that only a step knows is kept
    ends = ops.zeros_like(ops.sum(rows, axis=-2, keepdims=True))
    ends = ops.cast(ends, x.dtype) + ops.cast(row, x.dtype)
    rows = ops.concatenate([rows, ends], axis=-2)
    return ops.reshape(rows, (*lead, product(axes[:-1]) * (axes[-1] + 1), width))


def mask_rows(mask: Tensor, axes: Sequence[Any]) -> Tensor:
    """Return the mask of tokens and row tokens: valid with any token of the row.

    Shapes:
        mask: `(batch, tokens)`, bool.
        result: `(batch, rows * (columns + 1))`, bool.
    """
    grid = ops.reshape(ops.cast(mask, "int32"), (ops.shape(mask)[0], *axes))
    # not a maximum, which a row without tokens has not
    ends = ops.cast(ops.sum(grid, axis=-1, keepdims=True) > 0, "int32")
    grid = ops.concatenate([grid, ends], axis=-1)
    length = product(axes[:-1]) * (axes[-1] + 1)
    return ops.cast(ops.reshape(grid, (ops.shape(mask)[0], length)), "bool")


def without_row_ends(x: Tensor, axes: Sequence[Any]) -> Tensor:
    """Undo `end_rows` for `(batch, tokens, ...)`."""
    shape = ops.shape(x)
    rows = (*axes[:-1], axes[-1] + 1)
    grid = ops.reshape(x, (shape[0], product(rows[:-1]), rows[-1], *shape[2:]))
    kept = grid[:, :, : axes[-1]]
    return ops.reshape(kept, (shape[0], product(axes), *shape[2:]))
