"""The checks of the arguments of position layers and of their calls."""

import math
from typing import Any, cast

import keras

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.positions.conventions import CONVENTIONS, AxisKind
from keras_mmembed.positions.grid_items import has_items
from keras_mmembed.positions.grid_spec import GridSizes, GridSpec
from keras_mmembed.positions.interpolation import check_kernel
from keras_mmembed.positions.position_forms import Form, form_of
from keras_mmembed.positions.size_checks import (
    check_position_values,
    check_sizes,
    check_values,
)


def check_size(who: str, name: str, size: Any, kind: AxisKind) -> int | None:
    """Return a size that is an integer of at least 1, and known if it is of a table."""
    size = checks.check_integer(who, name, size, optional=True)
    rule = "be given with kind='learned', because the table has this size"
    checks.check(size or kind != "learned", who, name, rule, size)
    return size


def check_resizing(spec: GridSpec) -> None:
    """Raise unless the arguments of a layer fit each other, and have an effect."""
    who, kernel, names = spec.who, spec.kernel, spec.size_names
    resizes_table = spec.has_tables and spec.resizes
    options = (kernel.interpolation, kernel.antialias, kernel.align_corners)
    if not spec.has_tables:
        arguments = ("interpolation", "antialias", "align_corners")
        for name, value in zip(arguments, options, strict=True):
            rule = f"be {'None' if name == 'interpolation' else 'False'} with "
            rule += "kind='sinusoidal', which has no table to interpolate"
            checks.check(not value, who, name, rule, repr(value))
    elif any(options) or resizes_table:
        check_kernel(who, kernel)
    received = repr(spec.out_of_range)
    reason = f"convention={spec.convention!r}"
    if CONVENTIONS[spec.convention].first_index != spec.rules.first_index:
        reason = f"offset={spec.rules.first_index}"
    rule = f"not be {received} with {reason}, which skips rows"
    is_clear = not (resizes_table and spec.rules.first_index)
    checks.check(is_clear, who, "out_of_range", rule, received)
    rule = f"be 'error' without {' or '.join(names)}, which say what is out of range"
    has_effect = spec.out_of_range == "error" or any(spec.sizes)
    checks.check(has_effect, who, "out_of_range", rule, received)


def check_inputs(
    spec: GridSpec, inputs: Tensor, width: int | None, arguments: str = "inputs"
) -> None:
    """Raise for inputs that are no numbers, or of another width than was built."""
    remedy = "Cast them to floats."
    tensors.check_kind(spec.who, arguments, inputs, "number", remedy)
    shape = checks.known_shape(inputs.shape)
    rule = f"be {_axes_of(spec)}"
    checks.check(len(shape) > 1, spec.who, f"{arguments}.shape", rule, shape)
    received = shape[-1]
    rule = f"be {width}, as the layer was built for"
    fits = width is None or received is None or received == width
    checks.check(fits, spec.who, f"{arguments}.shape[-1]", rule, received)


def check_width(spec: GridSpec, shape: Any) -> int:
    """Return the number of channels of inputs, which must be known."""
    sizes: Any = tuple(shape or ())
    is_nested = any(isinstance(size, (tuple, list)) for size in sizes)
    is_shape = len(sizes) > 0 and not is_nested
    rule = f"be one tensor {_axes_of(spec)}"
    checks.check(is_shape, spec.who, "inputs", rule, shape)
    width, rule = sizes[-1], "have a last axis of known size, at least 1"
    checks.check(bool(width), spec.who, "inputs.shape", rule, sizes)
    return cast(int, width)


def _axes_of(spec: GridSpec) -> str:
    """Return the axes of the inputs, for messages."""
    if spec.rank == 1:
        return "(..., length, width)"
    names = ", ".join(spec.size_names)
    return f"(batch, tokens, width) or (batch, {names}, width)"


def check_shapes(
    spec: GridSpec,
    shape: Shape,
    positions: Tensor = None,
    start_index: int | Tensor = 0,
    mask: Tensor = None,
    grid: GridSizes | None = None,
) -> None:
    """Raise for arguments of a call whose shapes do not fit the layer."""
    shape = checks.known_shape(shape)
    check_structure(spec, shape, positions, start_index, mask, grid)
    check_sizes(spec, shape, positions, start_index, grid)


def check_call(
    spec: GridSpec,
    inputs: Tensor,
    positions: Tensor,
    start_index: int | Tensor,
    mask: Tensor,
    grid: GridSizes | None,
) -> None:
    """Raise for arguments of a call whose shapes or known values do not fit."""
    shape = checks.known_shape(inputs.shape)
    check_structure(spec, shape, positions, start_index, mask, grid)

    def check() -> None:
        check_sizes(spec, shape, positions, start_index, grid)

    consequence = (
        "the nearest position is used" if spec.has_tables else "the formula goes on"
    )
    if tensors.raise_or_warn(inputs, check, consequence):
        check_values(spec, shape, positions, start_index, grid)


def check_structure(
    spec: GridSpec,
    shape: Shape,
    positions: Tensor,
    start_index: int | Tensor,
    mask: Tensor,
    grid: GridSizes | None,
) -> None:
    """Raise for a wrong rank, and for sizes that neither layer nor call has."""
    who, rank, names = spec.who, spec.rank, spec.size_names
    fits = len(shape) >= 2 if rank == 1 else len(shape) in (3, rank + 2)
    checks.check(fits, who, "inputs.shape", f"be {_axes_of(spec)}", shape)
    is_times = False
    if positions is not None:
        is_times = check_positions(spec, shape, positions, grid) == "times"
        is_default = isinstance(start_index, int) and start_index == 0
        rule = "be 0 beside `positions`, which say where each token stands"
        checks.check(is_default, who, "start_index", rule, start_index)
        rule = "be None beside `positions`, which say where each token stands"
        fits = grid is None or is_times
        checks.check(fits, who, "grid", rule, grid)
    if (
        rank > 1
        and len(shape) == 3
        and grid is None
        and (positions is None or is_times)
    ):
        rule = "be given for inputs of shape (batch, tokens, width)"
        remedy = "Give the sizes to the layer, or pass `grid` to the call."
        for name, size in zip(names, spec.sizes, strict=True):
            checks.check(size is not None, who, name, rule, size, remedy)
    if rank > 1 and len(shape) > 3:
        skip, rule = spec.num_prefix_tokens, "be 0 for inputs that have a grid of axes"
        checks.check(skip == 0, who, "num_prefix_tokens", rule, skip)
        rule, fits = "be 1 for inputs that have a grid of axes", spec.block_size == 1
        checks.check(fits, who, "block_size", rule, spec.block_size)
        rule = "be None for inputs that have a grid of axes"
        checks.check(grid is None, who, "grid", rule, grid)
    if not isinstance(start_index, int):
        received = checks.known_shape(start_index.shape)
        fits = len(received) == 0 or checks.shapes_match(received, shape[:1])
        batch = next(iter(shape))
        rule = f"be () or (batch,), for {batch} samples"
        checks.check(fits, who, "start_index.shape", rule, received)
    if has_items(grid):
        rule = "be 0 beside grids of several items, which begin at 0 each"
        is_default = isinstance(start_index, int) and start_index == 0
        checks.check(is_default, who, "start_index", rule, start_index)
    if grid is not None:
        check_grid_shape(spec, shape, grid)
    uses_mask = spec.rules.skips_masked or any(map(spec.measures, range(rank)))
    if mask is not None and positions is None and uses_mask:
        check_mask(spec, shape, mask)


def check_grid_shape(spec: GridSpec, shape: Shape, grid: GridSizes) -> None:
    """Raise for a grid that has not a size for each axis, or not one per sample."""
    received = _shape_of(grid)
    count, rule = received[-1], f"have {spec.rank} sizes, and the layer more than one"
    fits = spec.rank > 1 and count == spec.rank
    checks.check(fits, spec.who, "grid", f"{rule} axis", grid)
    rule = f"be (axes,) or (batch, axes), for {shape[0]} samples, "
    rule += "or (batch, items, axes)"
    fits = len(received) == 1 or checks.shapes_match(received[:1], shape[:1])
    checks.check(fits, spec.who, "grid.shape", rule, received)


def _shape_of(grid: Tensor) -> Shape:
    return checks.known_shape(grid.shape) if hasattr(grid, "shape") else (len(grid),)


def check_mask(spec: GridSpec, shape: Shape, mask: Tensor) -> None:
    """Raise for a mask that is not of the tokens."""
    dtype = keras.backend.standardize_dtype(mask.dtype)
    fits = dtype not in ("string", "complex64", "complex128")
    tensors.check_dtype(spec.who, "mask", mask, fits, "be bool or a number")
    received = checks.known_shape(mask.shape)
    axes = shape[:-1]
    flat = (axes[0], None) if spec.rank > 1 else (axes[0], axes[-1])
    if spec.rank > 1 and None not in axes[1:]:
        flat = (axes[0], math.prod(cast(Any, axes[1:])))
    options = (axes, flat, (1, *axes[1:]), (1, flat[1]))
    fits = any(checks.shapes_match(received, option) for option in options)
    checks.check(fits, spec.who, "mask.shape", f"be {axes}", received)


def check_positions(
    spec: GridSpec, shape: Shape, positions: Tensor, grid: GridSizes | None
) -> Form:
    """Raise for positions of a wrong shape or dtype, or without a size they need.

    Returns:
        The form of the positions.
    """
    who = spec.who
    form = form_of(spec, shape, positions, grid)
    if form == "times":
        check_times(spec, positions, grid)
        return form
    received = checks.known_shape(positions.shape)
    if spec.rank == 3 and len(received) == 1:
        frames = shape[1] if len(shape) > 3 else spec.sizes[0]
        rule = f"have a time for each of the {frames} frames"
        checks.check(False, who, "positions.shape", rule, received)
    check_coordinates(spec, positions)
    if form is None:
        _refuse(spec, shape, received)
    return form or "tokens"


def _refuse(spec: GridSpec, shape: Shape, received: Shape) -> None:
    """Raise for positions that are not of the tokens."""
    tokens = shape[1:-1] if spec.rank > 1 else (shape[-2],)
    expected = tuple(n - spec.num_prefix_tokens if n else n for n in tokens)
    coordinates = received[:-1] if spec.rank > 1 else received
    rule = f"end with the axes of the tokens, {expected}"
    rule += f" and {spec.rank} coordinates" if spec.rank > 1 else ""
    fits = checks.shapes_match(coordinates[-len(expected) :], expected)
    checks.check(fits, spec.who, "positions.shape", rule, received)
    rule = f"have no axis before those of the tokens, or that of {shape[0]} samples"
    checks.check(False, spec.who, "positions.shape", rule, received)


def check_times(spec: GridSpec, times: Tensor, grid: GridSizes | None) -> None:
    """Raise for times of frames that the layer cannot encode."""
    received = checks.known_shape(times.shape)
    rule = "have a coordinate for each token, "
    reason = f"because convention={spec.convention!r} counts with all axes"
    fits = spec.rules.encodes_axes_alone
    checks.check(fits, spec.who, "positions.shape", rule + reason, received)
    fits = grid is None or isinstance(grid, (list, tuple))
    reason = "because `grid` holds the sizes of each sample"
    checks.check(fits, spec.who, "positions.shape", rule + reason, received)
    if spec.kinds[0] == "learned":
        check_whole(spec, times)


def check_encoded(spec: GridSpec, positions: Tensor) -> None:
    """Raise for positions that have no encoding."""
    rule = "be the positions to encode, and not None"
    checks.check(positions is not None, spec.who, "positions", rule, None)
    check_coordinates(spec, positions)
    check_position_values(spec, positions)


def check_coordinates(spec: GridSpec, positions: Tensor) -> None:
    """Raise for positions without a coordinate for each axis, or a size they need."""
    who, names = spec.who, spec.size_names
    received = checks.known_shape(positions.shape)
    rule = f"have a last axis of {spec.rank}, one coordinate for each of {names}"
    fits = spec.rank == 1 or received[-1:] == (spec.rank,)
    checks.check(fits, who, "positions.shape", rule, received)
    needed = sizes_of_formula(spec)
    rule = f"be given, because convention={spec.convention!r} counts with it"
    for name, size in zip(names, spec.sizes, strict=True):
        checks.check(size or name not in needed, who, name, rule, size)
    if spec.has_tables:
        check_whole(spec, positions)


def check_whole(spec: GridSpec, positions: Tensor) -> None:
    """Raise for positions between the rows of a table that is not interpolated."""
    if spec.kernel.interpolation is None:
        dtype = keras.backend.standardize_dtype(positions.dtype)
        rule = "be integer, because the table is read without interpolation"
        remedy = "Cast it, or give the layer interpolation='bilinear'."
        fits = not tensors.is_float(dtype)
        tensors.check_dtype(spec.who, "positions", positions, fits, rule, remedy)


def sizes_of_formula(spec: GridSpec) -> tuple[str, ...]:
    """Return the names of the sizes without which positions have no encoding."""
    rules, names = spec.rules, spec.size_names
    if spec.has_tables:
        return ()
    if rules.normalize or rules.linear_frequencies:
        return names
    if rules.indexing == "width_outer" and len(names) > 1:
        return names
    return names[1:] if rules.indexing == "flat" else ()


def check_sequence(who: str, inputs: Tensor, width: int | None) -> Shape:
    """Return the shape of a sequence of tokens; raise for another rank or width."""
    tensors.check_kind(who, "inputs", inputs, "number", "Cast them to floats.")
    shape, axes = checks.known_shape(inputs.shape), "(batch, length, width)"
    checks.check_rank(who, "inputs.shape", shape, (3,), axes)
    rule = f"be {width}, as the layer was built for"
    fits = width is None or shape[-1] in (None, width)
    checks.check(fits, who, "inputs.shape[-1]", rule, shape[-1])
    return shape
