"""The checks of layers that cut their inputs into windows."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.inputs.windows import Remainder


def check_axes(
    who: str, argument: str, value: Any, names: Sequence[str], minimum: int = 1
) -> tuple[int, ...]:
    """Return an integer of at least 1 per axis, from one for all or one for each."""
    if not isinstance(value, (list, tuple)):
        return (checks.check_integer(who, argument, value, minimum),) * len(names)
    rule = f"be an integer, or have one for each of {names}"
    checks.check(len(value) == len(names), who, argument, rule, value)
    return tuple(checks.check_integer(who, argument, size, minimum) for size in value)


def check_padding(
    who: str,
    padding: Any,
    sizes: tuple[int, ...],
    names: Sequence[str],
    remainder: Remainder,
) -> tuple[int, ...]:
    """Return the padding of both sides of each axis."""
    padding = check_axes(who, "padding", padding, names, minimum=0)
    rule = f"be smaller than patch_size={sizes}"
    fits = all(a < b for a, b in zip(padding, sizes, strict=True))
    checks.check(fits, who, "padding", rule, padding)
    rule = "be 0 with remainder='pad', which pads the end of an axis"
    fits = remainder != "pad" or not any(padding)
    checks.check(fits, who, "padding", rule, padding)
    return padding


def check_strides(
    who: str, strides: Any, sizes: tuple[int, ...], names: Sequence[str]
) -> tuple[int, ...]:
    """Return the strides, by default the sizes of a window."""
    if strides is None:
        return sizes
    strides = check_axes(who, "strides", strides, names)
    rule = f"be at most patch_size={sizes}, so that nothing is left out"
    fits = all(a <= b for a, b in zip(strides, sizes, strict=True))
    checks.check(fits, who, "strides", rule, strides)
    return strides


def check_size(
    who: str,
    argument: str,
    size: int | None,
    window: int,
    stride: int,
    remainder: Remainder,
    padding: int = 0,
) -> None:
    """Raise if an axis of a known size has no window, or a remainder."""
    if size is None or remainder == "pad":
        return
    is_whole = stride == window and padding == 0
    window -= 2 * padding
    rule = f"be at least {window}"
    remedy = "Set remainder='pad' to pad it with zeros."
    checks.check(size >= window, who, argument, rule, size, remedy)
    if remainder == "error":
        rule = f"be a multiple of {window}"
        if not is_whole:
            rule = f"be {window} plus a multiple of {stride}"
        remedy = "Set remainder to 'pad' or 'crop' to allow other sizes."
        fits = (size - window) % stride == 0
        checks.check(fits, who, argument, rule, size, remedy)


def check_mask(who: str, mask: Tensor, grid: Shape, names: Sequence[str]) -> None:
    """Raise unless a mask has the axes of a grid, or the sizes of each sample.

    Args:
        who: Name of the layer.
        mask: The mask, or `None`.
        grid: The shape of the grid, `(batch, axis, ...)`.
        names: Name of each axis.
    """
    if mask is None:
        return
    shape, of_sizes = checks.known_shape(mask.shape), _shape_of_sizes(grid, names)
    rule = f"be {grid}, or {of_sizes} for the sizes {names} of each sample"
    fits = any(checks.shapes_match(shape, option) for option in (grid, of_sizes))
    checks.check(fits, who, "mask.shape", rule, shape)
    is_of_sizes = len(shape) == len(of_sizes)
    if is_of_sizes:
        remedy = "Cast the sizes to integers."
        tensors.check_kind(who, "mask", mask, "integer", remedy)
    else:
        tensors.check_flags(who, "mask", mask)


def check_values(
    who: str,
    inputs: Tensor,
    mask: Tensor,
    grid: Shape,
    names: Sequence[str],
    check: Callable[[Shape], None],
    check_sample: Callable[[Shape], None],
) -> None:
    """Raise for sizes of the inputs, and for sizes of a sample that are known.

    A compiled step cannot raise: it warns for sizes of the inputs only.

    Args:
        who: Name of the layer.
        inputs: The inputs.
        mask: The mask, or `None`.
        grid: The shape of the grid, `(batch, axis, ...)`.
        names: Name of each axis.
        check: Raises for the sizes of the inputs.
        check_sample: Raises for the sizes of a sample.
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
        end = cast(int, sizes[axis]) + 1
        tensors.check_range(who, f"mask ({name})", known[:, axis], 0, end, remedy)
    # a sample without a size is absent
    for sample in np.unique(known[known.all(axis=1)], axis=0):
        check_sample(tuple(int(size) for size in sample))


def _shape_of_sizes(grid: Shape, names: Sequence[str]) -> Shape:
    return grid[:1] if len(names) == 1 else (*grid[:1], len(names))
