"""Coordinates outside the declared sizes: clipped, without an encoding, or resized."""

from dataclasses import replace

import keras
from keras import ops

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
    if spec.out_of_range == "error" and spec.kind == "sinusoidal":
        return coordinates  # the formula has no bounds
    if spec.resizes:
        coordinates = resize(spec, coordinates)
    # a formula counts from its first position on, and a table from its first row
    counts = spec.kind == "sinusoidal" and coordinates.sizes is not None
    first = spec.rules.first_index if counts else 0
    outside = {
        axis: size
        for axis, size in enumerate(spec.sizes)
        if size is not None
        and axis not in coordinates.new_sizes
        and not is_within(coordinates.axes[axis], first, size)
    }
    if outside and spec.out_of_range == "zero":
        coordinates = coordinates.per_token()
    for axis, size in outside.items():
        index = as_tensor(coordinates.axes[axis])
        low, high = _bounds(spec, index, size)
        clipped = ops.clip(index, low + first, high + first)
        coordinates = coordinates.with_axis(axis, clipped)
        if spec.out_of_range == "zero":
            coordinates = coordinates.restricted(ops.equal(clipped, index))
    return coordinates


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


def _bounds(spec: GridSpec, index: Tensor, size: int) -> tuple[float, float]:
    """Return the first and last coordinate that the table of an axis has."""
    dtype = keras.backend.standardize_dtype(index.dtype)
    if spec.resizes and spec.kind == "learned" and "float" in dtype:
        # the outer halves of the first and last rows belong to a resized table
        return -0.5, size - 0.5
    return 0, size - 1


def is_within(axis: range | Tensor, first: int, size: int) -> bool:
    """Whether coordinates are known to lie in `[first, first + size)`."""
    is_known = isinstance(axis, range)
    return is_known and axis.start >= first and axis.stop <= first + size
