"""The checks of the sizes and values of a call of a position layer."""

import math
from collections.abc import Sequence
from typing import Any, cast

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.positions.grid_items import has_items
from keras_mmembed.positions.grid_spec import GridSizes, GridSpec
from keras_mmembed.positions.position_forms import form_of

# beyond it, positions do not fit an int32
LARGEST = 2**31


def check_sizes(
    spec: GridSpec,
    shape: Shape,
    positions: Tensor,
    start_index: int | Tensor,
    grid: GridSizes | None,
) -> None:
    """Raise for known sizes that are not those of the layer."""
    is_times = False
    if positions is not None:
        is_times = form_of(spec, shape, positions, grid) == "times"
        if not is_times:
            return
    if spec.rank == 1:
        check_length(spec, shape[-2])
        skip = spec.num_prefix_tokens
        rows = None if shape[-2] is None else shape[-2] - skip
    else:
        rows = check_grid(spec, shape, start_index, grid, is_times)
    if isinstance(start_index, int):
        low, stop = start_limits(spec, rows)
        rule = f"lie in [{low}, {stop})"
        remedy = _remedy(spec, "starts")
        fits = start_index == 0 or low <= start_index < stop
        checks.check(fits, spec.who, "start_index", rule, start_index, remedy)


def _remedy(spec: GridSpec, what: str) -> str:
    """Return what allows positions or sizes that are not declared."""
    if spec.first_row:
        return f"Set out_of_range to 'clip' or 'zero' to allow other {what}."
    return (
        "Set out_of_range to 'resize', 'resize_longer', 'clip' or 'zero' to allow "
        f"other {what}."
    )


def start_limits(spec: GridSpec, rows: int | None) -> tuple[int, int]:
    """Return the first start of so many rows or tokens, and the first too large."""
    limit = spec.limit(0)
    if spec.out_of_range != "error" or limit is None:
        return -LARGEST, LARGEST
    return 0, max(limit - spec.first_row - (1 if rows is None else rows) + 1, 1)


def check_length(spec: GridSpec, length: int | None) -> None:
    """Raise for a sequence that is known to be too short or too long."""
    if length is None:
        return
    who, skip = spec.who, spec.num_prefix_tokens
    rule = f"be at least {skip}, for {skip} prefix tokens"
    checks.check(length >= skip, who, "inputs.shape[-2]", rule, length)
    (name,), (size,), limit = spec.size_names, spec.sizes, spec.limit(0)
    if spec.out_of_range != "error" or limit is None:
        return
    end = spec.first_row + length - skip
    of_scale = "" if size == limit else f" at scale={spec.scale[0]}, or {limit},"
    rule = f"be at most {name}={size}{of_scale} from the first position on"
    checks.check(end <= limit, who, "length", rule, end, _remedy(spec, "sizes"))


def check_grid(
    spec: GridSpec,
    shape: Shape,
    start_index: int | Tensor,
    grid: GridSizes | None,
    is_times: bool = False,
) -> int | None:
    """Raise for a grid that is known not to be that of the tokens or of the layer.

    Frames with times of their own may be of another number.

    Returns:
        The size of the first axis, if it is known.
    """
    sizes: Any = shape[1:-1]
    if len(shape) == 3:
        sizes = spec.sizes if grid is None else grid
        if not isinstance(sizes, (list, tuple)):
            return None
        skip, tokens = spec.num_prefix_tokens, shape[1]
        expected = skip + math.prod(sizes)
        rule = f"be {expected}, for {skip} prefix tokens and a grid of {tuple(sizes)}"
        remedy = "Pass the grid of the inputs as `grid`."
        fits = tokens is None or tokens == expected
        checks.check(fits, spec.who, "inputs.shape[1]", rule, tokens, remedy)
    check_blocks(spec, sizes)
    if spec.out_of_range != "error":
        return sizes[0]
    # a part of the rows, where the call says at which it starts
    is_part = not isinstance(start_index, int) or start_index != 0
    is_part = is_part and None not in (sizes[0], spec.sizes[0])
    free = [scale != 1 for scale in spec.scale]
    free[0] = free[0] or is_part
    allowed = tuple(
        None if is_free else size
        for is_free, size in zip(free, spec.sizes, strict=True)
    )
    limits = [spec.limit(axis) for axis in range(spec.rank)]
    if is_times:
        allowed, limits[0] = (None, *allowed[1:]), None
    rule = f"be that of the layer, {spec.sizes}"
    if any(scale != 1 for scale in spec.scale):
        scale, most = list(spec.scale), tuple(limits)
        rule = f"be at most {most}, for {spec.sizes} of the layer at scale={scale}"
    remedy = _remedy(spec, "sizes")
    fits = checks.shapes_match(tuple(sizes), allowed) and all(
        size is None or limit is None or size <= limit
        for size, limit in zip(sizes, limits, strict=True)
    )
    checks.check(fits, spec.who, "grid", rule, tuple(sizes), remedy)
    return sizes[0]


def check_blocks(spec: GridSpec, sizes: Sequence[int | None]) -> None:
    """Raise for a grid that is not made of whole blocks."""
    rule = f"have rows and columns divisible by block_size={spec.block_size}"
    fits = all(size is None or size % spec.block_size == 0 for size in sizes[-2:])
    checks.check(fits, spec.who, "grid", rule, tuple(sizes))


def check_values(
    spec: GridSpec,
    shape: Shape,
    positions: Tensor,
    start_index: int | Tensor,
    grid: GridSizes | None,
) -> None:
    """Raise for known positions outside the sizes of the layer."""
    if positions is not None:
        if form_of(spec, shape, positions, grid) == "times":
            check_axis_values(spec, 0, positions)
        else:
            check_position_values(spec, positions)
        return
    is_flat = spec.rank > 1 and len(shape) == 3
    if is_flat and grid is not None and not isinstance(grid, (tuple, list)):
        check_grids(spec, shape, grid)
    if not isinstance(start_index, int):
        tokens = shape[-2] if spec.rank == 1 else shape[1]
        rows = cast(int, tokens) - spec.num_prefix_tokens
        if is_flat:
            is_known = grid is None or isinstance(grid, (tuple, list))
            sizes = cast(Any, spec.sizes if grid is None else grid)
            rows = sizes[0] if is_known else (spec.sizes[0] or 1)
        low, stop = start_limits(spec, rows)
        remedy = _remedy(spec, "starts")
        tensors.check_range(spec.who, "start_index", start_index, low, stop, remedy)


def check_position_values(spec: GridSpec, positions: Tensor) -> None:
    """Raise for known positions outside the sizes of the layer."""
    for axis in range(spec.rank):
        check_axis_values(
            spec, axis, positions[..., axis] if spec.rank > 1 else positions
        )


def check_axis_values(spec: GridSpec, axis: int, positions: Tensor) -> None:
    """Raise for known coordinates outside the size of an axis."""
    limit = spec.sizes[axis]
    remedy = "Set out_of_range to 'clip' or 'zero' to allow others."
    # NaN and infinity lie nowhere
    tensors.check_range(spec.who, "positions", positions, -LARGEST, LARGEST)
    if limit is not None and spec.out_of_range == "error":
        high = limit if spec.scale[axis] == 1 else limit / spec.scale[axis]
        tensors.check_range(spec.who, "positions", positions, 0, high, remedy)


def check_grids(spec: GridSpec, shape: Shape, grid: Tensor) -> None:
    """Raise for known sizes of each sample that are not of its tokens or the layer."""
    tensors.check_range(spec.who, "grid", grid, 0, LARGEST)
    values = tensors.known_values(grid)
    if values is None:
        return
    tokens = cast(int, shape[1]) - spec.num_prefix_tokens
    samples = values if has_items(grid) else values.reshape(-1, 1, spec.rank)
    for items in samples.tolist():
        rule = f"have at most {tokens} cells, one for each token"
        fits = sum(map(math.prod, items)) <= tokens
        received = tuple(items if has_items(grid) else items[0])
        checks.check(fits, spec.who, "grid", rule, received)
    for sizes in values.reshape(-1, spec.rank).tolist():
        check_blocks(spec, sizes)
        if spec.out_of_range != "error" or 0 in sizes:
            continue
        rule = f"be that of the layer, {spec.sizes}"
        fits = checks.shapes_match(tuple(sizes), spec.sizes)
        remedy = _remedy(spec, "sizes")
        checks.check(fits, spec.who, "grid", rule, tuple(sizes), remedy)
