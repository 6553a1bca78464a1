"""The coordinates of the tokens of a call: its positions, or counted along its axes."""

import math
from collections.abc import Sequence
from dataclasses import replace

from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.conventions import MaskedPosition
from keras_mmembed.positions.coordinates import (
    AxisCoordinates,
    Coordinates,
    as_tensor,
    shift,
    unravel_blocks,
)
from keras_mmembed.positions.grid_items import find_items, has_items
from keras_mmembed.positions.grid_spec import GridSizes, GridSpec
from keras_mmembed.positions.position_forms import (
    form_of,
    in_axes_of_tokens,
    with_times,
)


def locate(
    spec: GridSpec,
    inputs: Tensor,
    positions: Tensor = None,
    start_index: int | Tensor = 0,
    mask: Tensor = None,
    grid: GridSizes | None = None,
) -> Coordinates:
    """Return the coordinates of the tokens of a call, as the convention counts them.

    The arguments are those of the call of a position layer.
    """
    is_times = False
    if positions is not None:
        form = form_of(spec, checks.known_shape(inputs.shape), positions, grid)
        is_times = form == "times"
        if not is_times:
            positions = in_axes_of_tokens(inputs, positions, form or "tokens")
            return split_positions(spec, positions, len(inputs.shape) - 2)
    grid = spec.sizes if grid is None else grid
    coordinates = count_tokens(spec, inputs, grid)
    if mask is not None and spec.rules.skips_masked:
        coordinates = skip_masked(spec, coordinates, mask, inputs, grid)
    elif mask is not None and is_measured(spec, inputs):
        coordinates = measure(spec, coordinates, token_mask(spec, mask, inputs, grid))
    coordinates = start_at(coordinates, start_index, spec.resizes)
    coordinates = start_all_at(coordinates, spec.rules.first_index)
    return with_times(spec, coordinates, positions) if is_times else coordinates


def split_positions(spec: GridSpec, positions: Tensor, token_rank: int) -> Coordinates:
    """Return coordinates that are positions, of tokens with so many axes."""
    if spec.rank == 1:
        return Coordinates((positions,), None, 1, is_grid=False)
    axes = tuple(positions[..., axis] for axis in range(spec.rank))
    return Coordinates(axes, None, token_rank, is_grid=False)


def count_tokens(spec: GridSpec, inputs: Tensor, grid: GridSizes) -> Coordinates:
    """Return coordinates that count all tokens of `inputs` but prefix tokens."""
    skip, rank = spec.num_prefix_tokens, len(inputs.shape)
    if spec.rank == 1:
        return locate_axes(inputs, [rank - 2], skip)
    if rank == 3:
        return locate_flat(inputs, grid, skip, spec.block_size)
    return locate_axes(inputs, range(1, rank - 1))


def locate_axes(
    inputs: Tensor, token_axes: Sequence[int], skip: int = 0
) -> Coordinates:
    """Return the coordinates of tokens that have an axis of `inputs` each."""
    axes = tuple(count_or_range(inputs, axis, skip) for axis in token_axes)
    shape = ops.shape(inputs)
    sizes = tuple(shape[axis] - skip for axis in token_axes)
    return Coordinates(axes, sizes, len(axes), is_grid=True)


def locate_flat(
    inputs: Tensor, grid: GridSizes, skip: int = 0, block_size: int = 1
) -> Coordinates:
    """Return the coordinates of a grid whose tokens lie along axis 1.

    They come row by row, or block by block and row by row in each, and one item behind
    the other. Tokens beyond a grid that is smaller than the largest of the batch have
    no encoding.
    """
    if isinstance(grid, (tuple, list)):
        length = inputs.shape[1]
        is_whole = isinstance(length, int) and length == skip + math.prod(grid)
        if is_whole and block_size == 1:
            axes = tuple(range(size) for size in grid)
            return Coordinates(axes, tuple(grid), len(axes), is_grid=True)
        sizes, index = tuple(grid), count(inputs, 1, skip)
        valid = None if is_whole else index < math.prod(sizes)
    elif has_items(grid):
        items = find_items(count(inputs, 1, skip), grid)
        index, valid = items.place, items.valid
        sizes = tuple(ops.maximum(size, 1) for size in items.sizes)
    else:
        sizes_of_all = ops.cast(ops.convert_to_tensor(grid), "int32")
        rank = sizes_of_all.shape[-1]
        true_sizes = tuple(sizes_of_all[..., axis, None] for axis in range(rank))
        index = count(inputs, 1, skip) + ops.zeros_like(true_sizes[0])
        valid = index < math.prod(true_sizes)
        # a grid without tokens still divides
        sizes = tuple(ops.maximum(size, 1) for size in true_sizes)
    axes = tuple(unravel_blocks(index, sizes, block_size))
    return Coordinates(axes, sizes, 1, is_grid=False, valid=valid)


def count_or_range(tensor: Tensor, axis: int, skip: int = 0) -> AxisCoordinates:
    """Return 0, 1, 2, ... along an axis, as a `range` where its size is known."""
    size = tensor.shape[axis]
    return range(size - skip) if isinstance(size, int) else count(tensor, axis, skip)


def token_mask(spec: GridSpec, mask: Tensor, inputs: Tensor, grid: GridSizes) -> Tensor:
    """Return the mask of all tokens but prefix tokens, with an axis for each size."""
    mask = ops.cast(mask, "bool")[..., spec.num_prefix_tokens :]
    if spec.rank > 1 and len(mask.shape) == 2:
        sizes = ops.shape(inputs)[1:-1] if len(inputs.shape) > 3 else grid
        # not -1 for the batch, which no tokens would leave open
        mask = ops.reshape(mask, (ops.shape(mask)[0], *sizes))
    return mask


def is_measured(spec: GridSpec, inputs: Tensor) -> bool:
    """Whether the mask tells an extent of each sample that its encoding depends on.

    A flattened grid has no rows and columns of its own; `grid` tells them.
    """
    has_axes = spec.rank == 1 or len(inputs.shape) > 3
    return has_axes and any(map(spec.measures, range(spec.rank)))


def skip_masked(
    spec: GridSpec,
    coordinates: Coordinates,
    mask: Tensor,
    inputs: Tensor,
    grid: GridSizes,
) -> Coordinates:
    """Return coordinates that count valid tokens only.

    Flattened grids of a size for each sample tell which tokens are valid.
    """
    masked = spec.rules.masked
    if spec.rank > 1 and len(inputs.shape) == 3 and hasattr(grid, "shape"):
        valid = ops.cast(mask, "bool")[..., spec.num_prefix_tokens :]
        return coordinates.restricted(valid) if masked == "zero" else coordinates
    return count_valid(coordinates, token_mask(spec, mask, inputs, grid), masked)


def measure(spec: GridSpec, coordinates: Coordinates, mask: Tensor) -> Coordinates:
    """Return coordinates on the extent of each sample: last valid token + 1.

    Args:
        spec: The axes and the rules of the layer.
        coordinates: The coordinates of all tokens.
        mask: The valid tokens, bool, an axis per axis of the tokens.
    """
    valid, rank = ops.cast(mask, "int32"), spec.rank
    lead, sizes = len(mask.shape) - rank, []
    for axis in range(rank):
        others = [lead + a for a in range(rank) if a != axis]
        in_axis = ops.sum(valid, axis=others) if others else valid
        # not a maximum, which an axis without tokens has not
        so_far = ops.cumsum(in_axis, axis=-1)
        total = ops.sum(in_axis, axis=-1, keepdims=True)
        ahead = ops.cast(total - so_far + in_axis > 0, "int32")
        extent = ops.maximum(ops.sum(ahead, axis=-1, keepdims=True), 1)
        declared = coordinates.sizes[axis] if coordinates.sizes else None
        sizes.append(extent if spec.measures(axis) else declared)
    return replace(coordinates, sizes=tuple(sizes))


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
        ops.sum(ops.cast(mask, "int32"), axis=a, keepdims=True) for a in token_axes
    )
    if masked == "before_first":
        axes = [ops.where(mask, axis, -1) for axis in axes]
    counted = replace(coordinates, axes=tuple(axes), sizes=sizes, is_grid=False)
    return counted.restricted(mask) if masked == "zero" else counted


def start_at(
    coordinates: Coordinates, start_index: int | Tensor, extends: bool = False
) -> Coordinates:
    """Add a start, one for all samples or one for each, to the first axis.

    Args:
        coordinates: The coordinates, counted from 0.
        start_index: An integer, or `(batch,)`.
        extends: Whether the tokens before the start belong to the extent.
    """
    if isinstance(start_index, int):
        if start_index == 0:
            return coordinates
        if extends:
            coordinates = coordinates.longer_by(start_index)
        return coordinates.with_axis(0, shift(coordinates.axes[0], start_index))
    coordinates = coordinates.per_token()
    starts = ops.cast(ops.convert_to_tensor(start_index), "int32")
    if len(starts.shape) == 1:
        starts = ops.reshape(starts, (-1,) + (1,) * coordinates.token_rank)
    if extends:
        coordinates = coordinates.longer_by(starts)
    return coordinates.with_axis(0, as_tensor(coordinates.axes[0]) + starts)


def start_all_at(coordinates: Coordinates, first_index: float) -> Coordinates:
    """Add the first position of a convention to each axis."""
    if first_index == 0:
        return coordinates
    axes = tuple(shift(axis, first_index) for axis in coordinates.axes)
    return replace(coordinates, axes=axes)
