"""Learned encodings: rows of tables for the coordinates of tokens."""

from collections.abc import Sequence
from typing import cast

import keras
from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.combination import (
    Terms,
    add_up,
    concatenate,
    split_width,
)
from keras_mmembed.positions.coordinates import Coordinates, as_tensor
from keras_mmembed.positions.grid_spec import GridSpec
from keras_mmembed.positions.interpolation import (
    Kernel,
    interpolate_grid,
    interpolate_points,
    point_weights,
    resize_weights,
)
from keras_mmembed.positions.tables import read_rows


def table_shapes(
    spec: GridSpec, terms: Terms, width: int
) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of the table of each term, by the name of its weight."""
    widths = [width] * len(terms.axes)
    if terms.combination == "concat":
        widths = split_width(width, len(terms.axes))
    shapes = {}
    for axes, table_width in zip(terms.axes, widths, strict=True):
        names = [spec.size_names[axis] for axis in axes]
        is_whole = len(axes) == spec.rank
        name = "embeddings" if is_whole else "_".join([*names, "embeddings"])
        shapes[name] = (*(spec.sizes[axis] for axis in axes), table_width)
    return shapes


def learned_vectors(
    coordinates: Coordinates, tables: Sequence[Tensor], terms: Terms, kernel: Kernel
) -> Tensor:
    """Return the rows of the tables of all terms, combined.

    Args:
        coordinates: The coordinates of the tokens, inside the tables.
        tables: One table per term.
        terms: The terms of the encoding.
        kernel: The interpolation between rows.
    """
    vectors = [
        _term_vectors(coordinates, table, axes, kernel)
        for table, axes in zip(tables, terms.axes, strict=True)
    ]
    return concatenate(vectors) if terms.combination == "concat" else add_up(vectors)


def _term_vectors(
    coordinates: Coordinates, table: Tensor, axes: tuple[int, ...], kernel: Kernel
) -> Tensor:
    if any(axis in coordinates.new_sizes for axis in axes):
        return _resized_vectors(coordinates, table, axes, kernel)
    per_token = coordinates.per_token().axes
    indices = [per_token[axis] for axis in axes]
    if all(is_integer(index) for index in indices):
        return read_rows(table, indices)
    weights = [
        point_weights(index, size, kernel.interpolation)
        for index, size in zip(indices, table.shape, strict=False)
    ]
    return interpolate_points(table, weights)


def _resized_vectors(
    coordinates: Coordinates, table: Tensor, axes: tuple[int, ...], kernel: Kernel
) -> Tensor:
    weights = []
    for axis, size in zip(axes, table.shape, strict=False):
        index = coordinates.axes[axis]
        is_whole = isinstance(index, range) and index == range(cast(int, size))
        if is_whole and coordinates.is_grid and axis not in coordinates.new_sizes:
            weights.append(None)
            continue
        index = as_tensor(index)
        new_size = coordinates.new_sizes.get(axis, size)
        weights.append(resize_weights(index, new_size, size, kernel))
    if not coordinates.is_grid:
        return interpolate_points(table, weights)
    vectors = interpolate_grid(table, weights)
    for _ in range(axes[-1] + 1, len(coordinates.axes)):
        vectors = ops.expand_dims(vectors, -2)
    if len(vectors.shape) > len(coordinates.axes) - axes[0] + 1:
        for _ in range(axes[0]):
            vectors = ops.expand_dims(vectors, 1)
    return vectors


def is_integer(tensor: Tensor) -> bool:
    """Whether a tensor is of an integer dtype."""
    return "int" in keras.backend.standardize_dtype(tensor.dtype)
