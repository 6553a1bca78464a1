"""Coordinates to vectors: the sums and concatenations of tables and sinusoids."""

import keras
import numpy as np
from keras import ops

from keras_mmembed.positions import resize
from keras_mmembed.positions.coordinates import (
    as_tensor,
    ravel,
    tensor_or_known,
    unravel,
)
from keras_mmembed.positions.sinusoid import fourier_features


def term_axes(combination, rank):
    """Return the groups of axes that are encoded together, one group per term."""
    if combination == "joint":
        return (tuple(range(rank)),)
    if combination == "space_time":
        return ((0,), (1, 2))
    return tuple((axis,) for axis in range(rank))


def split_width(width, parts):
    """Split channels in parts as even as can be, the wider ones first."""
    return [width // parts + (part < width % parts) for part in range(parts)]


def concatenate(parts):
    """Concatenate channels of tensors, or arrays, whose other axes broadcast."""
    if len(parts) == 1:
        return parts[0]
    library = np if isinstance(parts[0], np.ndarray) else ops
    zeros = [library.zeros_like(part[..., :1]) for part in parts]
    shape_of_all = sum(zeros[1:], zeros[0])
    return library.concatenate([part + shape_of_all for part in parts], axis=-1)


def sinusoidal_encoding(axes, terms):
    """Return sines and cosines of coordinates that broadcast to the tokens.

    Shapes:
        axes: one `(...)` per axis, tensors or NumPy arrays.
        terms: for each term a list of `(axis, waves)`.
        result: `(..., width)`, a float32 tensor or a float64 array.
    """
    vectors = [
        concatenate([waves.at(axes[axis]) for axis, waves in term]) for term in terms
    ]
    return sum(vectors[1:], vectors[0])


def fourier_encoding(axes, sizes, num_bands):
    """Return Fourier features of coordinates scaled to [-1, 1] on their grid."""
    sizes = [tensor_or_known(size) for size in sizes]
    scaled = [
        2.0 * ops.cast(axis, "float32") / _last(size) - 1.0
        for axis, size in zip(axes, sizes, strict=True)
    ]
    zero = sum(ops.zeros_like(axis) for axis in scaled)
    return fourier_features([axis + zero for axis in scaled], sizes, num_bands)


def _last(size):
    """Return the last position of an axis, and 1 for an axis of one token."""
    if isinstance(size, int):
        return max(size - 1, 1)
    return ops.maximum(ops.cast(size, "float32") - 1.0, 1.0)


def learned_encoding(coordinates, tables, groups, combination, kernel, resized):
    """Read the tables of all terms and combine what they hold.

    Args:
        coordinates: Where the tokens stand, inside the tables.
        tables: One table per term.
        groups: The axes of each term.
        combination: How the terms are combined.
        kernel: `(interpolation, antialias, align_corners)`.
        resized: For each axis, whether the table is read at the size of the grid.
    """
    vectors = []
    for table, group in zip(tables, groups, strict=True):
        if any(resized[axis] for axis in group):
            vectors.append(_resized(coordinates, table, group, kernel, resized))
            continue
        axes = [coordinates.spread()[axis] for axis in group]
        if all(is_whole(axis) for axis in axes):
            vectors.append(resize.read_rows(table, axes))
        else:
            weights = [
                resize.read_weights(axis, size, kernel[0])
                for axis, size in zip(axes, table.shape, strict=False)
            ]
            vectors.append(resize.read_points(table, weights))
    if combination == "concat":
        return concatenate(vectors)
    return sum(vectors[1:], vectors[0])


def reindex(axes, sizes, indexing):
    """Return the coordinates that a convention counts, from those of the grid."""
    if indexing == "axes":
        return axes
    flat = ravel(axes, sizes)
    if indexing == "flat":
        return [flat]
    return list(reversed(unravel(flat, list(reversed(sizes)))))


def is_whole(positions):
    """Whether positions are of an integer dtype."""
    return "int" in keras.backend.standardize_dtype(positions.dtype)


def _resized(coordinates, table, group, kernel, resized):
    weights = []
    for axis, size in zip(group, table.shape, strict=False):
        index = as_tensor(coordinates.axes[axis])
        new_size = coordinates.sizes[axis]
        if not resized[axis] and coordinates.is_grid:
            weights.append(None)
        else:
            weights.append(resize.resize_weights(index, new_size, size, *kernel))
    if not coordinates.is_grid:
        return resize.read_points(table, weights)
    vectors = resize.read_grid(table, weights)
    later_axes = len(coordinates.axes) - 1 - group[-1]
    for _ in range(later_axes):
        vectors = ops.expand_dims(vectors, -2)
    return vectors
