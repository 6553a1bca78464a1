"""Tokens of several modalities in one sequence: pure functions."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_mmembed.common.sequences import count, product
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.inputs import windows
from keras_mmembed.positions.grid_items import has_items


def known_product(axes: Shape) -> int | None:
    """Return the number of tokens on some axes, `None` if any size is unknown."""
    return product(axes) if all(isinstance(axis, int) for axis in axes) else None


def flatten_tokens(x: Tensor) -> Tensor:
    """Flatten `(batch, height, width, channels)` and the like to a sequence."""
    return x if len(x.shape) == 3 else flatten_grid(x, len(x.shape) - 2)


def flatten_grid(vectors: Tensor, rank: int) -> Tensor:
    """Flatten the `rank` token axes before the last axis of `vectors` to one."""
    shape = ops.shape(vectors)
    batch = shape[: len(shape) - rank - 1]
    return ops.reshape(vectors, (*batch, product(shape[len(batch) : -1]), shape[-1]))


def all_valid(x: Tensor) -> Tensor:
    """Return the mask `(batch, length)` of a sequence `x` without padding."""
    # of `x`, and not of its shape, so that the mask is placed and sharded as `x` is
    return ops.ones_like(x[..., 0], dtype="bool")


def grid_mask(x: Tensor, grid: Any) -> Tensor:
    """Return which tokens lie inside of the grid of their sample, `(batch, length)`.

    Shapes:
        x: `(batch, length, width)`, tokens row by row; or the axes of a grid.
        grid: an integer for each axis, or a tensor `(axes,)`, `(batch, axes)` or
            `(batch, items, axes)`.
    """
    if isinstance(grid, tuple):
        sizes = [ops.convert_to_tensor(size, dtype="int32") for size in grid]
    else:
        grid = ops.cast(grid, "int32")
        sizes = [grid[..., axis] for axis in range(grid.shape[-1])]
    everywhere = all_valid(flatten_tokens(x))
    if len(x.shape) == 3:
        cells = product(sizes)
        cells = ops.sum(cells, axis=1) if has_items(grid) else cells
        cells = ops.reshape(cells, (-1, 1))
        return ops.logical_and(everywhere, ops.less(count(x, axis=1), cells))
    inside = windows.grid_mask(ops.stack(sizes, axis=-1), x[..., 0])
    return ops.reshape(inside, ops.shape(everywhere))


def repeat(rows: Tensor, x: Tensor, dtype: str) -> Tensor:
    """Repeat `(tokens, width)` for every sample of a sequence `x`."""
    zero = ops.zeros_like(ops.sum(x[:, :1, :1], axis=(1, 2), keepdims=True))
    return ops.add(ops.cast(zero, dtype), ops.cast(rows, dtype))


def full(x: Tensor, count: int, value: bool | int) -> Tensor | None:
    """Return `(batch, count)` of one value for a sequence `x`, `None` for no count."""
    if not count:
        return None
    dtype = "bool" if isinstance(value, bool) else "int32"
    rows = repeat(ops.ones((count, 1), dtype="int32") * int(value), x, "int32")
    return ops.cast(rows[..., 0], dtype)


def pad(x: Tensor, sizes: Sequence[int], value: Any, axis: int) -> Tensor:
    """Put `sizes` entries of `value` before and behind those of an axis."""
    if not any(sizes):
        return x
    widths = [(0, 0)] * len(x.shape)
    widths[axis] = (sizes[0], sizes[1])
    dtype = x.dtype
    x = ops.cast(x, "int32") if isinstance(value, bool) else x
    return ops.cast(ops.pad(x, widths, constant_values=value), dtype)


def concatenate(parts: Sequence[Tensor], axis: int = 1) -> Tensor:
    """Concatenate tensors; a single one comes back as it is."""
    return ops.concatenate(parts, axis=axis) if len(parts) > 1 else parts[0]


def to_thw(positions: Tensor, axes: int) -> Tensor:
    """Return coordinates `(..., axes)` in (frame, row, column) order.

    A sequence counts along the first of the three, like frames.
    """
    if axes == 3:
        return positions
    zeros = ops.zeros_like(positions[..., :1])
    if axes == 2:
        return ops.concatenate([zeros, positions], axis=-1)
    return ops.concatenate([positions, zeros, zeros], axis=-1)
