"""The coordinates of tokens: counted along axes, or those of the call."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from keras import ops

from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.conventions import Indexing, MaskedPosition
from keras_mmembed.positions.grid_spec import GridSizes, GridSpec

Size: TypeAlias = int | Tensor


@dataclass(frozen=True)
class Coordinates:
    """The coordinates of the tokens of one call.

    Attributes:
        axes: The coordinates along each axis. On a regular grid `(size,)`, as a
            `range` where the size is known; otherwise tensors that broadcast to the
            shape of the tokens.
        sizes: The size of the grid along each axis, an integer or a tensor that
            broadcasts with `axes`; `None` for positions of the call.
        token_rank: Number of axes of the tokens: 1, or one per axis of a grid.
        is_grid: Whether the tokens are a regular grid.
        valid: Which tokens have an encoding, broadcastable to the tokens; `None` for
            all.
        new_sizes: By axis, the size that the encoding is resized to, where it is.
    """

    axes: tuple[range | Tensor, ...]
    sizes: tuple[Size, ...] | None
    token_rank: int
    is_grid: bool
    valid: Tensor = None
    new_sizes: Mapping[int, Size] = field(default_factory=dict)

    def per_token(self) -> "Coordinates":
        """Return the same with axes that broadcast to the shape of the tokens."""
        if not self.is_grid:
            return self
        rank = len(self.axes)
        axes = tuple(
            ops.reshape(as_tensor(axis), (1,) * a + (-1,) + (1,) * (rank - a - 1))
            for a, axis in enumerate(self.axes)
        )
        return replace(self, axes=axes, is_grid=False)

    def with_axis(self, axis: int, coordinates: range | Tensor) -> "Coordinates":
        """Return the same with other coordinates along one axis."""
        axes = (*self.axes[:axis], coordinates, *self.axes[axis + 1 :])
        return replace(self, axes=axes)

    def restricted(self, valid: Tensor) -> "Coordinates":
        """Return the same with an encoding for `valid` tokens only."""
        if self.valid is not None:
            valid = ops.logical_and(self.valid, valid)
        return replace(self, valid=valid)


def standardize_positions(positions: Tensor) -> Tensor:
    """Return the positions of a call, which may be lists, as a tensor or an array."""
    if positions is None or hasattr(positions, "shape"):
        return positions
    return ops.convert_to_tensor(np.asarray(positions))


def standardize_grid(grid: GridSizes) -> GridSizes:
    """Return the grid of a call as a tuple of integers, or else as a tensor."""
    if not isinstance(grid, (tuple, list)):
        return grid
    if all(isinstance(size, (int, np.integer)) for size in grid):
        return tuple(int(size) for size in grid)
    return ops.stack([ops.cast(size, "int32") for size in grid])


def locate(
    spec: GridSpec,
    inputs: Tensor,
    positions: Tensor = None,
    start_index: int | Tensor = 0,
    mask: Tensor = None,
    grid: GridSizes = None,
) -> Coordinates:
    """Return the coordinates of the tokens of a call, as the convention counts them.

    The arguments are those of the call of a position layer.
    """
    is_flat = spec.rank == 1 or len(inputs.shape) == 3
    if positions is not None:
        token_rank = 1 if is_flat else spec.rank
        return Coordinates(split_axes(positions, spec.rank), None, token_rank, False)
    grid = spec.sizes if grid is None else grid
    if not is_flat:
        coordinates = locate_axes(inputs, range(1, spec.rank + 1))
    elif spec.rank == 1:
        axis = len(inputs.shape) - 2
        coordinates = locate_axes(inputs, [axis], spec.num_prefix_tokens)
    else:
        coordinates = locate_flat(inputs, grid, spec.num_prefix_tokens)
    if spec.rules.skips_masked and mask is not None:
        mask = ops.cast(mask, "bool")[..., spec.num_prefix_tokens :]
        if spec.rank > 1 and len(mask.shape) == 2:
            mask = ops.reshape(mask, (-1, *grid))
        coordinates = count_valid(coordinates, mask, spec.rules.masked)
    coordinates = start_at(coordinates, start_index)
    first_index = spec.rules.first_index
    if first_index:
        axes = tuple(shift(axis, first_index) for axis in coordinates.axes)
        coordinates = replace(coordinates, axes=axes)
    return coordinates


def split_axes(positions: Tensor, rank: int) -> tuple[Tensor, ...]:
    """Return one tensor per axis from positions, whose last axis is that of axes."""
    if rank == 1:
        return (positions,)
    return tuple(positions[..., axis] for axis in range(rank))


def locate_axes(
    inputs: Tensor, token_axes: Sequence[int], skip: int = 0
) -> Coordinates:
    """Return the coordinates of tokens that have an axis of `inputs` each."""
    axes = tuple(count_or_range(inputs, axis, skip) for axis in token_axes)
    shape = ops.shape(inputs)
    sizes = tuple(shape[axis] - skip for axis in token_axes)
    return Coordinates(axes, sizes, len(axes), is_grid=True)


def locate_flat(
    inputs: Tensor, sizes: Sequence[Size] | Tensor, skip: int = 0
) -> Coordinates:
    """Return the coordinates of a grid whose tokens lie along axis 1, row by row.

    `sizes` is an integer per axis, or a tensor `(axes,)` or `(batch, axes)`. Tokens
    beyond a grid that is smaller than the largest of the batch have no encoding.
    """
    is_known = isinstance(sizes, (tuple, list))
    length = inputs.shape[1]
    if is_known and isinstance(length, int) and length == skip + math.prod(sizes):
        axes = tuple(range(size) for size in sizes)
        return Coordinates(axes, tuple(sizes), len(axes), is_grid=True)
    index = count(inputs, 1, skip)
    if not is_known:
        sizes = ops.cast(ops.convert_to_tensor(sizes), "int32")
        sizes = [sizes[..., axis, None] for axis in range(sizes.shape[-1])]
        index = index + ops.zeros_like(sizes[0])
    axes = tuple(unravel(index, sizes))
    valid = index < math.prod(sizes)
    return Coordinates(axes, tuple(sizes), 1, is_grid=False, valid=valid)


def count_valid(
    coordinates: Coordinates, mask: Tensor, masked: MaskedPosition
) -> Coordinates:
    """Return coordinates that count only the valid tokens along each axis.

    Args:
        coordinates: The coordinates of all tokens.
        mask: The valid tokens, bool, an axis per axis of the tokens.
        masked: The position of masked tokens, as in `Convention`.
    """
    first = len(mask.shape) - len(coordinates.axes)
    token_axes = [first + axis for axis in range(len(coordinates.axes))]
    axes = [ops.cumsum(ops.cast(mask, "int32"), axis=a) - 1 for a in token_axes]
    sizes = tuple(
        ops.max(axis, axis=a, keepdims=True) + 1
        for a, axis in zip(token_axes, axes, strict=True)
    )
    if masked == "before_first":
        axes = [ops.where(mask, axis, -1) for axis in axes]
    counted = replace(coordinates, axes=tuple(axes), sizes=sizes, is_grid=False)
    return counted.restricted(mask) if masked == "zero" else counted


def start_at(coordinates: Coordinates, start_index: int | Tensor) -> Coordinates:
    """Add a start, one for all samples or one for each, to the first axis."""
    if isinstance(start_index, int):
        if start_index == 0:
            return coordinates
        return coordinates.with_axis(0, shift(coordinates.axes[0], start_index))
    coordinates = coordinates.per_token()
    start_index = ops.cast(ops.convert_to_tensor(start_index), "int32")
    if len(start_index.shape) == 1:
        start_index = ops.reshape(start_index, (-1,) + (1,) * coordinates.token_rank)
    return coordinates.with_axis(0, coordinates.axes[0] + start_index)


def count_or_range(tensor: Tensor, axis: int, skip: int = 0) -> range | Tensor:
    """Return 0, 1, 2, ... along an axis, as a `range` where its size is known.

    The ends of a `range` are known while a step is traced, on every backend.
    """
    size = tensor.shape[axis]
    return range(size - skip) if isinstance(size, int) else count(tensor, axis, skip)


def shift(axis: range | Tensor, start: int) -> range | Tensor:
    """Add an integer to the coordinates along an axis."""
    if isinstance(axis, range):
        return range(axis.start + start, axis.stop + start)
    return axis + start


def as_tensor(axis: range | Tensor) -> Tensor:
    """Return a `range` as an int32 tensor, and a tensor as it is."""
    if isinstance(axis, range):
        return ops.arange(axis.start, axis.stop, dtype="int32")
    return axis


def int_or_tensor(size: Size) -> Size:
    """Return a size as an integer if it is known, else as a tensor.

    The size that the exporter of PyTorch traces is neither, and `ops.cast` would fix
    it to the size of the example.
    """
    if isinstance(size, int) or hasattr(size, "dtype"):
        return size
    return ops.ones((), dtype="float32") * size


def unravel(index: Tensor, sizes: Sequence[Size]) -> list[Tensor]:
    """Split an index in row-major order into an index per axis."""
    axes = []
    for size in reversed(sizes[1:]):
        axes.append(index % size)
        index = index // size
    return [index, *reversed(axes)]


def ravel(axes: Sequence[Tensor], sizes: Sequence[Size]) -> Tensor:
    """Join an index per axis into an index in row-major order."""
    flat = axes[0]
    for axis, size in zip(axes[1:], sizes[1:], strict=True):
        flat = flat * size + axis
    return flat


def reindex(
    axes: Sequence[Tensor], sizes: Sequence[Size], indexing: Indexing
) -> list[Tensor]:
    """Return the coordinates that a convention encodes, from those on the grid."""
    if indexing == "axes":
        return list(axes)
    flat = ravel(axes, sizes)
    if indexing == "flat":
        return [flat]
    return list(reversed(unravel(flat, list(reversed(sizes)))))
