"""What a position layer demands of the arguments of a call."""

import math

import keras

from keras_mmembed.common import checks, tensors


def check_shapes(layer, shape, positions=None, start_index=0, grid=None):
    """Raise for what the shapes alone rule out."""
    shape = checks.known_shape(shape)
    check_structure(layer, shape, positions, grid)
    _check_fit(layer, shape, positions, start_index, grid)


def check_call(layer, inputs, positions, start_index, grid):
    """Raise for what shapes and known values rule out."""
    shape = checks.known_shape(inputs.shape)
    check_structure(layer, shape, positions, grid)

    def check_fit():
        _check_fit(layer, shape, positions, start_index, grid)

    consequence = "the formula goes on"
    if layer.kind == "learned":
        consequence = "the nearest position is used"
    if tensors.raise_or_warn(inputs, check_fit, consequence):
        _check_values(layer, shape, positions, start_index)


def check_structure(layer, shape, positions, grid):
    """Raise for a wrong rank or a call that says too little."""
    who, rank = type(layer).__name__, len(layer.size_names)
    shape = tuple(shape)
    skip = layer.num_prefix_tokens
    if rank == 1:
        fits, axes = len(shape) >= 2, "(..., length, width)"
    else:
        sizes = ", ".join(layer.size_names)
        axes = f"(batch, tokens, width) or (batch, {sizes}, width)"
        fits = len(shape) in (3, rank + 2)
    checks.check(fits, who, "inputs.shape", f"be {axes}", shape)
    if positions is not None:
        _check_positions(layer, shape, positions)
    elif rank > 1 and len(shape) == 3 and grid is None:
        for name in layer.size_names:
            rule = "be given for inputs of shape (batch, tokens, width)"
            remedy = "Give the sizes to the layer, or pass `grid` to the call."
            size = getattr(layer, name)
            checks.check(size is not None, who, name, rule, size, remedy)
    if rank > 1 and len(shape) > 3:
        rule = "be 0 for inputs that have a grid of axes"
        checks.check(skip == 0, who, "num_prefix_tokens", rule, skip)
        rule = "be None for inputs that have a grid of axes"
        checks.check(grid is None, who, "grid", rule, grid)
    if grid is not None:
        count = grid.shape[-1] if hasattr(grid, "shape") else len(grid)
        rule = f"have {rank} sizes, and the layer more than one axis"
        checks.check(rank > 1 and count == rank, who, "grid", rule, grid)


def _check_positions(layer, shape, positions):
    who, rank = type(layer).__name__, len(layer.size_names)
    place = checks.known_shape(positions.shape)
    rule = f"have a last axis of {rank}, one coordinate for each of {layer.size_names}"
    if rank > 1:
        checks.check(place[-1] == rank, who, "positions.shape", rule, place)
        place = place[:-1]
    tokens = shape[-1 - len(shape[1:-1]) : -1] if rank > 1 else (shape[-2],)
    expected = [n - layer.num_prefix_tokens if n else n for n in tokens]
    given = place[-len(expected) :]
    fits = checks.shapes_match(given, expected)
    rule = f"end with the axes of the tokens, {tuple(expected)}"
    checks.check(fits, who, "positions.shape", rule, place)
    lead = place[: -len(expected)]
    rule = f"have no axis before those of the tokens, or that of {shape[0]} samples"
    fits = any(checks.shapes_match(lead, option) for option in ((), (1,), shape[:1]))
    checks.check(fits, who, "positions.shape", rule, place)
    for name in _sizes_of_the_formula(layer):
        rule = f"be given, because convention={layer.convention!r} counts with it"
        size = getattr(layer, name)
        checks.check(size is not None, who, name, rule, size)
    if layer.kind == "learned" and layer.interpolation is None:
        dtype = keras.backend.standardize_dtype(positions.dtype)
        rule = "be integer, because the table is read without interpolation"
        remedy = "Cast it, or give the layer interpolation='bilinear'."
        checks.check(
            not tensors.is_float(dtype),
            who,
            "positions.dtype",
            rule,
            dtype,
            remedy,
            error=TypeError,
        )


def _sizes_of_the_formula(layer):
    """Return the names of the sizes without which positions have no encoding."""
    rules, names = layer._rules, layer.size_names
    if layer.kind == "learned":
        return ()
    if rules.normalize or rules.linear_bands:
        return names
    if rules.indexing == "width_outer" and len(names) > 1:
        return names
    return names[1:] if rules.indexing == "flat" else ()


def _check_fit(layer, shape, positions, start_index, grid):
    """Raise for known sizes that are not those of the layer."""
    if positions is not None:
        return
    who, rank, skip = (
        type(layer).__name__,
        len(layer.size_names),
        layer.num_prefix_tokens,
    )
    declared = [getattr(layer, name) for name in layer.size_names]
    is_flat = rank > 1 and len(shape) == 3
    sizes = shape[1:-1] if rank > 1 else (shape[-2],)
    if is_flat:
        sizes = declared if grid is None else grid
        if not isinstance(sizes, (list, tuple)):
            return
        tokens, expected = shape[1], skip + math.prod(sizes)
        rule = f"be {expected}, for {skip} prefix tokens and a grid of {tuple(sizes)}"
        remedy = "Pass the grid of the inputs as `grid`."
        fits = tokens is None or tokens == expected
        checks.check(fits, who, "inputs.shape[1]", rule, tokens, remedy)
    elif rank == 1 and sizes[0] is not None:
        rule = f"be at least {skip}, for {skip} prefix tokens"
        checks.check(sizes[0] >= skip, who, "inputs.shape[-2]", rule, sizes[0])
        sizes = (sizes[0] - skip,)
    if layer.out_of_range != "error":
        return
    first = layer._rules.first_index if layer.kind == "learned" else 0
    start = start_index if isinstance(start_index, int) else 0
    remedy = "Set out_of_range to 'resize', 'clip' or 'zero' to allow other sizes."
    for name, limit, size in zip(layer.size_names, declared, sizes, strict=True):
        if size is None or limit is None:
            continue
        if rank == 1:
            rule = f"be at most {name}={limit} from the first position on"
            received = first + start + size
            checks.check(received <= limit, who, "length", rule, received, remedy)
        else:
            rule = f"be that of the layer, {tuple(declared)}"
            fits = size == limit
            checks.check(fits, who, "grid", rule, tuple(sizes), remedy)


def _check_values(layer, shape, positions, start_index):
    """Raise for known positions outside the layer's sizes."""
    if layer.out_of_range != "error":
        return
    who, rank = type(layer).__name__, len(layer.size_names)
    remedy = "Set out_of_range to 'clip' or 'zero' to allow other positions."
    for axis, name in enumerate(layer.size_names):
        limit = getattr(layer, name)
        if limit is None:
            continue
        if positions is not None:
            line = positions[..., axis] if rank > 1 else positions
            tensors.check_range(who, "positions", line, 0, limit, remedy)
        elif rank == 1 and not isinstance(start_index, int):
            last = limit - (shape[-2] - layer.num_prefix_tokens)
            tensors.check_range(who, "start_index", start_index, 0, last + 1, remedy)
