"""What the layers that cut their inputs in windows demand."""

import numpy as np

from keras_mmembed.common import checks, tensors


def check_axes(who, argument, value, names):
    """Return one integer of at least 1 for each axis, from one for all or from each."""
    if not isinstance(value, (list, tuple)):
        return (checks.check_integer(who, argument, value),) * len(names)
    rule = f"be an integer, or have one for each of {names}"
    checks.check(len(value) == len(names), who, argument, rule, value)
    return tuple(checks.check_integer(who, argument, size) for size in value)


def check_strides(who, strides, sizes, names):
    """Return the strides, which are the sizes of a window if there are none."""
    if strides is None:
        return sizes
    strides = check_axes(who, "strides", strides, names)
    rule = f"be at most patch_size={sizes}, so that nothing is left out"
    fits = all(a <= b for a, b in zip(strides, sizes, strict=True))
    checks.check(fits, who, "strides", rule, strides)
    return strides


def check_size(who, argument, size, window, stride, remainder):
    """Raise if an axis of a known size has no window, or something over."""
    if size is None or remainder == "pad":
        return
    rule = f"be at least {window}"
    remedy = "Set remainder='pad' to pad it with zeros."
    checks.check(size >= window, who, argument, rule, size, remedy)
    if remainder == "error":
        rule = f"be a multiple of {window}"
        if stride != window:
            rule = f"be {window} plus a multiple of {stride}"
        remedy = "Set remainder to 'pad' or 'crop' to allow other sizes."
        fits = (size - window) % stride == 0
        checks.check(fits, who, argument, rule, size, remedy)


def check_mask(who, mask, grid, names):
    """Raise unless a mask has the axes of a grid, or the sizes of each sample.

    `grid` is the shape `(batch, axis, ...)`.
    """
    if mask is None:
        return
    shape, of_sizes = checks.known_shape(mask.shape), _shape_of_sizes(grid, names)
    rule = f"be {grid}, or {of_sizes} for the sizes {names} of each sample"
    fits = any(checks.shapes_match(shape, option) for option in (grid, of_sizes))
    checks.check(fits, who, "mask.shape", rule, shape)


def check_values(who, inputs, mask, grid, names, check, check_sample):
    """Raise for sizes of the inputs, and of their samples if those are known.

    `check` takes the sizes of the inputs, and `check_sample` those of a sample. In a
    compiled step the inputs raise no error, and the samples are not looked at.
    """
    sizes = grid[1:]
    consequence = "only what is whole is read"
    if not tensors.raise_or_warn(inputs, lambda: check(sizes), consequence):
        return
    of_sizes = mask is not None and len(mask.shape) == len(_shape_of_sizes(grid, names))
    known = tensors.known_values(mask) if of_sizes else None
    if known is None:
        return
    known = known.reshape(-1, len(names))
    remedy = f"Sizes come in the order {names}." if len(names) > 1 else ""
    for axis, name in enumerate(names):
        values = known[:, axis]
        tensors.check_range(who, f"mask ({name})", values, 0, sizes[axis] + 1, remedy)
    # a sample without a size is absent
    for sample in np.unique(known[known.all(axis=1)], axis=0):
        check_sample([int(size) for size in sample])


def _shape_of_sizes(grid, names):
    return grid[:1] if len(names) == 1 else (*grid[:1], len(names))
