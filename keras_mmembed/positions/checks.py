"""The checks of the arguments of position layers and of their calls."""

import math
from typing import Any, cast

import keras

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.positions.conventions import CONVENTIONS, ConventionName, Kind
from keras_mmembed.positions.grid_spec import GridSizes, GridSpec
from keras_mmembed.positions.interpolation import check_kernel


def check_convention(who: str, convention: Any, kind: Kind) -> ConventionName:
    """Return the name of a convention that has encodings of a kind."""
    checks.check_choice(who, "convention", convention, tuple(CONVENTIONS))
    fitting = tuple(c for c in CONVENTIONS if kind in CONVENTIONS[c].kinds)
    return checks.check_choice(who, "convention", convention, fitting)


def check_size(who: str, name: str, size: Any, kind: Kind) -> int | None:
    """Return a size that is an integer of at least 1, and known if it is of a table."""
    size = checks.check_integer(who, name, size, optional=True)
    rule = "be given with kind='learned', because the table has this size"
    checks.check(size or kind != "learned", who, name, rule, size)
    return size


def check_resizing(spec: GridSpec) -> None:
    """Raise unless the table of a layer can be resized as the arguments say."""
    resizes_table = spec.kind == "learned" and spec.out_of_range == "resize"
    kernel = spec.kernel
    is_set = kernel.interpolation is not None or kernel.antialias
    if is_set or kernel.align_corners or resizes_table:
        check_kernel(spec.who, kernel)
    rule = f"not be 'resize' with convention={spec.convention!r}, which skips rows"
    is_clear = not (resizes_table and spec.rules.first_index)
    checks.check(is_clear, spec.who, "out_of_range", rule, repr(spec.out_of_range))


def check_width(spec: GridSpec, shape: Shape) -> int:
    """Return the number of channels of inputs, which must be known."""
    width, rule = shape[-1], "have a last axis of known size"
    checks.check(width, spec.who, "inputs.shape", rule, tuple(shape))
    return cast(int, width)


def check_shapes(
    spec: GridSpec,
    shape: Shape,
    positions: Tensor = None,
    start_index: int | Tensor = 0,
    grid: GridSizes | None = None,
) -> None:
    """Raise for arguments of a call whose shapes do not fit the layer."""
    shape = checks.known_shape(shape)
    check_structure(spec, shape, positions, grid)
    check_sizes(spec, shape, positions, start_index, grid)


def check_call(
    spec: GridSpec,
    inputs: Tensor,
    positions: Tensor,
    start_index: int | Tensor,
    grid: GridSizes | None,
) -> None:
    """Raise for arguments of a call whose shapes or known values do not fit."""
    shape = checks.known_shape(inputs.shape)
    check_structure(spec, shape, positions, grid)

    def check() -> None:
        check_sizes(spec, shape, positions, start_index, grid)

    is_learned = spec.kind == "learned"
    consequence = (
        "the nearest position is used" if is_learned else "the formula goes on"
    )
    if tensors.raise_or_warn(inputs, check, consequence):
        check_values(spec, shape, positions, start_index)


def check_structure(
    spec: GridSpec, shape: Shape, positions: Tensor, grid: GridSizes | None
) -> None:
    """Raise for a wrong rank, and for sizes that neither layer nor call has."""
    who, rank, names = spec.who, spec.rank, spec.size_names
    if rank == 1:
        fits, axes = len(shape) >= 2, "(..., length, width)"
    else:
        axes = f"(batch, tokens, width) or (batch, {', '.join(names)}, width)"
        fits = len(shape) in (3, rank + 2)
    checks.check(fits, who, "inputs.shape", f"be {axes}", shape)
    if positions is not None:
        check_positions(spec, shape, positions)
    elif rank > 1 and len(shape) == 3 and grid is None:
        rule = "be given for inputs of shape (batch, tokens, width)"
        remedy = "Give the sizes to the layer, or pass `grid` to the call."
        for name, size in zip(names, spec.sizes, strict=True):
            checks.check(size is not None, who, name, rule, size, remedy)
    if rank > 1 and len(shape) > 3:
        skip, rule = spec.num_prefix_tokens, "be 0 for inputs that have a grid of axes"
        checks.check(skip == 0, who, "num_prefix_tokens", rule, skip)
        rule = "be None for inputs that have a grid of axes"
        checks.check(grid is None, who, "grid", rule, grid)
    if grid is not None:
        count = _num_sizes(grid)
        rule = f"have {rank} sizes, and the layer more than one axis"
        checks.check(rank > 1 and count == rank, who, "grid", rule, grid)


def _num_sizes(grid: Tensor) -> int:
    return grid.shape[-1] if hasattr(grid, "shape") else len(grid)


def check_positions(spec: GridSpec, shape: Shape, positions: Tensor) -> None:
    """Raise for positions of a wrong shape or dtype, or without a size they need."""
    who, rank, names = spec.who, spec.rank, spec.size_names
    received = checks.known_shape(positions.shape)
    if rank > 1:
        rule = f"have a last axis of {rank}, one coordinate for each of {names}"
        checks.check(received[-1] == rank, who, "positions.shape", rule, received)
        received = received[:-1]
    tokens = shape[1:-1] if rank > 1 else (shape[-2],)
    expected = tuple(n - spec.num_prefix_tokens if n else n for n in tokens)
    fits = checks.shapes_match(received[-len(expected) :], expected)
    rule = f"end with the axes of the tokens, {expected}"
    checks.check(fits, who, "positions.shape", rule, received)
    lead = received[: -len(expected)]
    rule = f"have no axis before those of the tokens, or that of {shape[0]} samples"
    fits = any(checks.shapes_match(lead, option) for option in ((), (1,), shape[:1]))
    checks.check(fits, who, "positions.shape", rule, received)
    needed = sizes_of_formula(spec)
    rule = f"be given, because convention={spec.convention!r} counts with it"
    for name, size in zip(names, spec.sizes, strict=True):
        checks.check(size or name not in needed, who, name, rule, size)
    if spec.kind == "learned" and spec.kernel.interpolation is None:
        dtype = keras.backend.standardize_dtype(positions.dtype)
        rule = "be integer, because the table is read without interpolation"
        remedy = "Cast it, or give the layer interpolation='bilinear'."
        fits, argument = not tensors.is_float(dtype), "positions.dtype"
        checks.check(fits, who, argument, rule, dtype, remedy, error=TypeError)


def sizes_of_formula(spec: GridSpec) -> tuple[str, ...]:
    """Return the names of the sizes without which positions have no encoding."""
    rules, names = spec.rules, spec.size_names
    if spec.kind == "learned":
        return ()
    if rules.normalize or rules.linear_frequencies:
        return names
    if rules.indexing == "width_outer" and len(names) > 1:
        return names
    return names[1:] if rules.indexing == "flat" else ()


def check_sizes(
    spec: GridSpec,
    shape: Shape,
    positions: Tensor,
    start_index: int | Tensor,
    grid: GridSizes | None,
) -> None:
    """Raise for known sizes that are not those of the layer."""
    if positions is not None:
        return
    if spec.rank == 1:
        check_length(spec, shape[-2], start_index)
    else:
        check_grid(spec, shape, grid)


def check_length(spec: GridSpec, length: int | None, start_index: int | Tensor) -> None:
    """Raise for a sequence that is known to be too short or too long."""
    if length is None:
        return
    who, skip = spec.who, spec.num_prefix_tokens
    rule = f"be at least {skip}, for {skip} prefix tokens"
    checks.check(length >= skip, who, "inputs.shape[-2]", rule, length)
    (name,), (limit,) = spec.size_names, spec.sizes
    if spec.out_of_range != "error" or limit is None:
        return
    first = spec.rules.first_index if spec.kind == "learned" else 0
    start = start_index if isinstance(start_index, int) else 0
    end = first + start + length - skip
    rule = f"be at most {name}={limit} from the first position on"
    remedy = "Set out_of_range to 'resize', 'clip' or 'zero' to allow other sizes."
    checks.check(end <= limit, who, "length", rule, end, remedy)


def check_grid(spec: GridSpec, shape: Shape, grid: GridSizes | None) -> None:
    """Raise for a grid that is known not to be that of the tokens or of the layer."""
    sizes: Any = shape[1:-1]
    if len(shape) == 3:
        sizes = spec.sizes if grid is None else grid
        if not isinstance(sizes, (list, tuple)):
            return
        skip, tokens = spec.num_prefix_tokens, shape[1]
        expected = skip + math.prod(sizes)
        rule = f"be {expected}, for {skip} prefix tokens and a grid of {tuple(sizes)}"
        remedy = "Pass the grid of the inputs as `grid`."
        fits = tokens is None or tokens == expected
        checks.check(fits, spec.who, "inputs.shape[1]", rule, tokens, remedy)
    if spec.out_of_range != "error":
        return
    rule = f"be that of the layer, {spec.sizes}"
    remedy = "Set out_of_range to 'resize', 'clip' or 'zero' to allow other sizes."
    fits = checks.shapes_match(tuple(sizes), spec.sizes)
    checks.check(fits, spec.who, "grid", rule, tuple(sizes), remedy)


def check_values(
    spec: GridSpec, shape: Shape, positions: Tensor, start_index: int | Tensor
) -> None:
    """Raise for known positions outside the sizes of the layer."""
    if spec.out_of_range != "error":
        return
    remedy = "Set out_of_range to 'clip' or 'zero' to allow other positions."
    for axis, limit in enumerate(spec.sizes):
        if limit is None:
            continue
        if positions is not None:
            values = positions[..., axis] if spec.rank > 1 else positions
            tensors.check_range(spec.who, "positions", values, 0, limit, remedy)
        elif spec.rank == 1 and not isinstance(start_index, int):
            length = cast(int, shape[-2]) - spec.num_prefix_tokens
            stop = limit - length + 1
            tensors.check_range(spec.who, "start_index", start_index, 0, stop, remedy)
