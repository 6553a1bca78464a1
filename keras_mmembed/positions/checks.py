"""The checks of the arguments of position layers and of their calls."""

import math
from typing import Any, cast

import keras

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.positions.conventions import CONVENTIONS, ConventionName, Kind
from keras_mmembed.positions.grid_spec import GridSizes, GridSpec
from keras_mmembed.positions.interpolation import check_kernel

# beyond it, positions do not fit an int32
LARGEST = 2**31


def check_convention(
    who: str, convention: Any, kind: Kind, rank: int
) -> ConventionName:
    """Return the name of a convention that has encodings of a kind and rank."""
    checks.check_choice(who, "convention", convention, tuple(CONVENTIONS))
    fitting = tuple(
        name
        for name, rules in CONVENTIONS.items()
        if kind in rules.kinds and rank in rules.ranks
    )
    return checks.check_choice(who, "convention", convention, fitting)


def check_size(who: str, name: str, size: Any, kind: Kind) -> int | None:
    """Return a size that is an integer of at least 1, and known if it is of a table."""
    size = checks.check_integer(who, name, size, optional=True)
    rule = "be given with kind='learned', because the table has this size"
    checks.check(size or kind != "learned", who, name, rule, size)
    return size


def check_resizing(spec: GridSpec) -> None:
    """Raise unless the arguments of a layer fit each other, and have an effect."""
    who, kernel, names = spec.who, spec.kernel, spec.size_names
    resizes_table = spec.kind == "learned" and spec.resizes
    options = (kernel.interpolation, kernel.antialias, kernel.align_corners)
    if spec.kind == "sinusoidal":
        arguments = ("interpolation", "antialias", "align_corners")
        for name, value in zip(arguments, options, strict=True):
            rule = f"be {'None' if name == 'interpolation' else 'False'} with "
            rule += "kind='sinusoidal', which has no table to interpolate"
            checks.check(not value, who, name, rule, repr(value))
    elif any(options) or resizes_table:
        check_kernel(who, kernel)
    received = repr(spec.out_of_range)
    rule = f"not be {received} with convention={spec.convention!r}, which skips rows"
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
    received = inputs.shape[-1]
    rule = f"be {width}, as the layer was built for"
    fits = width is None or received is None or received == width
    checks.check(fits, spec.who, f"{arguments}.shape[-1]", rule, received)


def check_width(spec: GridSpec, shape: Any) -> int:
    """Return the number of channels of inputs, which must be known."""
    is_shape = shape is not None and len(shape) > 0
    is_shape = is_shape and not any(isinstance(size, (tuple, list)) for size in shape)
    rule = f"be one tensor {_axes_of(spec)}"
    checks.check(is_shape, spec.who, "inputs", rule, shape)
    width, rule = shape[-1], "have a last axis of known size"
    checks.check(width is not None, spec.who, "inputs.shape", rule, tuple(shape))
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

    is_learned = spec.kind == "learned"
    consequence = (
        "the nearest position is used" if is_learned else "the formula goes on"
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
    if positions is not None:
        check_positions(spec, shape, positions)
        is_default = isinstance(start_index, int) and start_index == 0
        rule = "be 0 beside `positions`, which say where each token stands"
        checks.check(is_default, who, "start_index", rule, start_index)
        rule = "be None beside `positions`, which say where each token stands"
        checks.check(grid is None, who, "grid", rule, grid)
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
    if not isinstance(start_index, int):
        received = checks.known_shape(start_index.shape)
        fits = len(received) == 0 or checks.shapes_match(received, shape[:1])
        rule = f"be () or (batch,), for {shape[0]} samples"
        checks.check(fits, who, "start_index.shape", rule, received)
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
    rule = f"be (axes,) or (batch, axes), for {shape[0]} samples"
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


def check_positions(spec: GridSpec, shape: Shape, positions: Tensor) -> None:
    """Raise for positions of a wrong shape or dtype, or without a size they need."""
    who, rank, names = spec.who, spec.rank, spec.size_names
    received = checks.known_shape(positions.shape)
    if rank > 1:
        rule = f"have a last axis of {rank}, one coordinate for each of {names}"
        fits = received[-1:] == (rank,)
        checks.check(fits, who, "positions.shape", rule, received)
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
        fits = not tensors.is_float(dtype)
        tensors.check_dtype(who, "positions", positions, fits, rule, remedy)


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
        check_length(spec, shape[-2])
        skip = spec.num_prefix_tokens
        rows = None if shape[-2] is None else shape[-2] - skip
    else:
        rows = check_grid(spec, shape, start_index, grid)
    if isinstance(start_index, int):
        low, stop = start_limits(spec, rows)
        rule = f"lie in [{low}, {stop})"
        remedy = _remedy(spec, "starts")
        fits = start_index == 0 or low <= start_index < stop
        checks.check(fits, spec.who, "start_index", rule, start_index, remedy)


def _remedy(spec: GridSpec, what: str) -> str:
    """Return what allows positions or sizes that are not declared."""
    if spec.kind == "learned" and spec.rules.first_index:
        return f"Set out_of_range to 'clip' or 'zero' to allow other {what}."
    return (
        "Set out_of_range to 'resize', 'resize_longer', 'clip' or 'zero' to allow "
        f"other {what}."
    )


def start_limits(spec: GridSpec, rows: int | None) -> tuple[int, int]:
    """Return the first start of so many rows or tokens, and the first too large."""
    limit = spec.sizes[0]
    if spec.out_of_range != "error" or limit is None:
        return -LARGEST, LARGEST
    first = spec.rules.first_index if spec.kind == "learned" else 0
    return 0, max(limit - first - (1 if rows is None else rows) + 1, 1)


def check_length(spec: GridSpec, length: int | None) -> None:
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
    end = first + length - skip
    rule = f"be at most {name}={limit} from the first position on"
    checks.check(end <= limit, who, "length", rule, end, _remedy(spec, "sizes"))


def check_grid(
    spec: GridSpec, shape: Shape, start_index: int | Tensor, grid: GridSizes | None
) -> int | None:
    """Raise for a grid that is known not to be that of the tokens or of the layer.

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
    if spec.out_of_range != "error":
        return sizes[0]
    # a part of the rows, where the call says at which it starts
    is_part = not isinstance(start_index, int) or start_index != 0
    is_part = is_part and None not in (sizes[0], spec.sizes[0])
    allowed = (sizes[0] if is_part else spec.sizes[0], *spec.sizes[1:])
    rule = f"be that of the layer, {spec.sizes}"
    remedy = _remedy(spec, "sizes")
    fits = checks.shapes_match(tuple(sizes), allowed)
    fits = fits and not (is_part and sizes[0] > spec.sizes[0])
    checks.check(fits, spec.who, "grid", rule, tuple(sizes), remedy)
    return sizes[0]


def check_values(
    spec: GridSpec,
    shape: Shape,
    positions: Tensor,
    start_index: int | Tensor,
    grid: GridSizes | None,
) -> None:
    """Raise for known positions outside the sizes of the layer."""
    who, remedy = spec.who, "Set out_of_range to 'clip' or 'zero' to allow others."
    if positions is not None:
        # NaN and infinity lie nowhere
        tensors.check_range(who, "positions", positions, -LARGEST, LARGEST)
        for axis, limit in enumerate(spec.sizes):
            if limit is not None and spec.out_of_range == "error":
                values = positions[..., axis] if spec.rank > 1 else positions
                tensors.check_range(who, "positions", values, 0, limit, remedy)
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
        tensors.check_range(who, "start_index", start_index, low, stop, remedy)


def check_grids(spec: GridSpec, shape: Shape, grid: Tensor) -> None:
    """Raise for known sizes of each sample that are not of its tokens or the layer."""
    tensors.check_range(spec.who, "grid", grid, 0, LARGEST)
    values = tensors.known_values(grid)
    if values is None:
        return
    tokens = cast(int, shape[1]) - spec.num_prefix_tokens
    for sizes in values.reshape(-1, spec.rank).tolist():
        rule = f"have at most {tokens} cells, one for each token"
        fits = math.prod(sizes) <= tokens
        checks.check(fits, spec.who, "grid", rule, tuple(sizes))
        if spec.out_of_range != "error" or 0 in sizes:
            continue
        rule = f"be that of the layer, {spec.sizes}"
        fits = checks.shapes_match(tuple(sizes), spec.sizes)
        remedy = _remedy(spec, "sizes")
        checks.check(fits, spec.who, "grid", rule, tuple(sizes), remedy)
