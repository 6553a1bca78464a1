"""Learned encodings: rows of tables for the coordinates of tokens."""

from collections.abc import Sequence
from typing import cast

import keras
from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.combination import (
    Part,
    Terms,
    add_up,
    concatenate,
    split_width,
)
from keras_mmembed.positions.coordinates import (
    Coordinates,
    as_tensor,
    on_all_tokens,
)
from keras_mmembed.positions.grid_spec import GridSpec
from keras_mmembed.positions.interpolation import (
    Kernel,
    interpolate_grid,
    interpolate_points,
    point_weights,
    resize_weights,
)
from keras_mmembed.positions.sinusoid import SinusoidTerm
from keras_mmembed.positions.sinusoidal_encoding import on_declared_grid
from keras_mmembed.positions.tables import read_rows


def table_shapes(
    spec: GridSpec, terms: Terms, width: int
) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of the table of each learned part, by the name of its weight."""
    shapes = {}
    for term in terms:
        widths = split_width(width, len(term))
        for part, table_width in zip(term, widths, strict=True):
            if part.kind != "learned":
                continue
            names = [spec.size_names[axis] for axis in part.axes]
            is_whole = len(part.axes) == spec.rank
            name = "embeddings" if is_whole else "_".join([*names, "embeddings"])
            sizes = (spec.sizes[axis] for axis in part.axes)
            shapes[name] = (*sizes, table_width)
    return shapes


def combined_vectors(
    spec: GridSpec,
    coordinates: Coordinates,
    tables: Sequence[Tensor],
    terms: Terms,
    sinusoids: Sequence[SinusoidTerm] = (),
) -> Tensor:
    """Return the vectors of all terms, at least one part of which is a table.

    Args:
        spec: The axes and the rules of the layer.
        coordinates: The coordinates of the tokens, inside the tables.
        tables: One table for each learned part.
        terms: The terms of the encoding.
        sinusoids: The sinusoids of each term that has some.
    """
    rows, sines = iter(tables), {}
    for term in sinusoids:
        sines.update(term)
    axes = on_declared_grid(spec, coordinates)[0] if sines else []
    coordinates = rescale(spec, coordinates)
    vectors = []
    for term in terms:
        parts = [
            sines[part.axes[0]].at(axes[part.axes[0]])
            if part.kind == "sinusoidal"
            else _part_vectors(coordinates, next(rows), part, spec.kernel)
            for part in term
        ]
        vectors.append(concatenate(parts))
    return on_all_tokens(add_up(vectors), coordinates, spec.kinds)


def rescale(spec: GridSpec, coordinates: Coordinates) -> Coordinates:
    """Return coordinates in rows of the tables; sinusoids have a scale of their own."""
    for axis, (kind, scale) in enumerate(zip(spec.kinds, spec.scale, strict=True)):
        if kind == "learned" and scale != 1:
            index = ops.cast(as_tensor(coordinates.axes[axis]), "float32")
            coordinates = coordinates.with_axis(axis, index * scale)
    return coordinates


def _part_vectors(
    coordinates: Coordinates, table: Tensor, part: Part, kernel: Kernel
) -> Tensor:
    axes = part.axes
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
