"""Coordinates outside the declared sizes: clipped, without an encoding, or resized."""

from dataclasses import replace

from keras import ops

from keras_mmembed.common.tensors import is_float
from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.coordinates import (
    Coordinates,
    Size,
    as_tensor,
    int_or_tensor,
)
from keras_mmembed.positions.grid_spec import GridSpec


def bound(spec: GridSpec, coordinates: Coordinates) -> Coordinates:
    """Return coordinates for which the layer has an encoding."""
    if spec.out_of_range == "error" and not spec.has_tables:
        return coordinates  # the formula has no bounds
    if spec.resizes:
        coordinates = resize(spec, coordinates)
    firsts = first_positions(spec, coordinates)
    outside = {
        axis: size
        for axis, size in enumerate(spec.sizes)
        if size is not None
        and axis not in coordinates.new_sizes
        and not is_within(coordinates.axes[axis], firsts[axis], spec.limit(axis))
        # a formula has no bounds
        and not (spec.out_of_range == "error" and spec.kinds[axis] == "sinusoidal")
    }
    if outside and spec.out_of_range == "zero":
        coordinates = coordinates.per_token()
    for axis, size in outside.items():
        index = as_tensor(coordinates.axes[axis])
        low, high = _bounds(spec, index, axis, size)
        first = firsts[axis]
        if isinstance(high + first, float) and not is_float(index.dtype):
            index = ops.cast(index, "float32")
        clipped = ops.clip(index, low + first, high + first)
        coordinates = coordinates.with_axis(axis, clipped)
        if spec.out_of_range == "zero":
            coordinates = coordinates.restricted(ops.equal(clipped, index))
    return coordinates


def first_positions(spec: GridSpec, coordinates: Coordinates) -> list[float]:
    """Return the position of the first row of each axis.

    A formula counts from its first position on, and a table from its first row.
    """
    counts = coordinates.sizes is not None
    first = spec.rules.first_index if counts else 0
    return [first if kind == "sinusoidal" else 0 for kind in spec.kinds]


def resize(spec: GridSpec, coordinates: Coordinates) -> Coordinates:
    """Return coordinates with the new size of each axis that is not as declared."""
    if coordinates.sizes is None:
        return coordinates
    new_sizes: dict[int, Size] = {}
    for axis, (size, declared) in enumerate(
        zip(coordinates.sizes, spec.sizes, strict=True)
    ):
        if declared is None:
            continue
        new_size = int_or_tensor(size)
        if spec.out_of_range == "resize_longer":
            # a shorter axis is a part of the declared one
            larger = max if isinstance(new_size, int) else ops.maximum
            new_size = larger(new_size, declared)
        if not isinstance(new_size, int) or new_size != declared:
            new_sizes[axis] = new_size
    return replace(coordinates, new_sizes=new_sizes)


def _bounds(spec: GridSpec, index: Tensor, axis: int, size: int) -> tuple[float, float]:
    """Return the first and last coordinate that the table of an axis has."""
    scale = spec.scale[axis]
    if scale != 1:
        return 0, (size - 1) / scale
    if spec.resizes and spec.kinds[axis] == "learned" and is_float(index.dtype):
        # the outer halves of the first and last rows belong to a resized table
        return -0.5, size - 0.5
    return 0, size - 1


def is_within(axis: range | Tensor, first: float, size: int | None) -> bool:
    """Whether coordinates are known to lie in `[first, first + size)`."""
    if not isinstance(axis, range) or size is None:
        return False
    return axis.start >= first and axis.stop <= first + size
