"""Learned tables read between rows and at other sizes: pure functions."""

import numpy as np
from keras import ops

from keras_mmembed.common import checks

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


def read_weights(positions, size, interpolation):
    """Return the weights with which a table of `size` rows is read at `positions`.

    Positions outside the table read its first or last row. The bicubic kernel is
    Keys' with a = -0.75.

    Shapes:
        positions: `(...)`, float, in rows.
        result: `(..., size)`, float32; the last axis sums to 1.
    """
    positions = ops.expand_dims(ops.cast(positions, "float32"), -1)
    rows = ops.arange(size, dtype="float32")
    last = size - 1.0
    if interpolation == "nearest":
        nearest = ops.clip(ops.floor(positions + 0.5), 0.0, last)
        return ops.cast(ops.equal(nearest, rows), "float32")
    if interpolation == "bilinear":
        inside = ops.clip(positions, 0.0, last)
        return ops.maximum(1.0 - ops.abs(inside - rows), 0.0)
    before = ops.floor(positions)
    weights = 0.0
    for offset in (-1.0, 0.0, 1.0, 2.0):
        tap = before + offset
        is_row = ops.cast(ops.equal(ops.clip(tap, 0.0, last), rows), "float32")
        weights = weights + is_row * _cubic(positions - tap, -0.75)
    return weights


def resize_weights(
    index, new_size, size, interpolation, antialias=False, align_corners=False
):
    """Return the weights that make row `index` of a table resized to `new_size`.

    The six kernels are those of `torch.nn.functional.interpolate`: `"nearest"`
    (source row `floor(index size / new_size)`), `"bilinear"` and `"bicubic"`, the
    last two also with `antialias` or with `align_corners`.

    Shapes:
        index: `(...)`, the row of the new table, counted from 0.
        new_size: an integer or a tensor that broadcasts with `index`.
        result: `(..., size)`, float32; the last axis sums to 1.
    """
    index = ops.cast(index, "float32")
    new_size = ops.cast(new_size, "float32")
    scale = size / new_size
    if interpolation == "nearest":
        return read_weights(ops.floor(index * scale), size, interpolation)
    if not antialias:
        source = source_position(index, new_size, size, align_corners)
        return read_weights(source, size, interpolation)
    center = ops.expand_dims((index + 0.5) * scale, -1)
    stretch = ops.expand_dims(ops.maximum(scale, 1.0) + 0.0 * index, -1)
    radius = stretch * (1.0 if interpolation == "bilinear" else 2.0)
    rows = ops.arange(size, dtype="float32")
    first = ops.floor(ops.maximum(center - radius + 0.5, 0.0))
    stop = ops.floor(center + radius + 0.5)
    distance = (rows - center + 0.5) / stretch
    if interpolation == "bilinear":
        weights = ops.maximum(1.0 - ops.abs(distance), 0.0)
    else:
        weights = _cubic(distance, -0.5)
    covered = ops.logical_and(rows >= first, rows < stop)
    weights = weights * ops.cast(covered, "float32")
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def source_position(index, new_size, size, align_corners=False):
    """Return where row `index` of `new_size` rows lies among `size` rows."""
    if align_corners:
        return index * ((size - 1.0) / ops.maximum(new_size - 1.0, 1.0))
    return (index + 0.5) * (size / new_size) - 0.5


def read_grid(table, weights):
    """Read a table at every combination of rows: one matrix product per axis.

    Shapes:
        table: `(size_1, ..., size_n, width)`.
        weights: one `(length_a, size_a)` per axis, or `None` to keep the axis.
        result: `(length_1, ..., length_n, width)`.
    """
    axes = "thw"[-len(weights) :]
    for axis, weight in zip(axes, weights, strict=True):
        if weight is not None:
            resized = axes.replace(axis, "n")
            table = ops.einsum(f"n{axis},{axes}d->{resized}d", weight, table)
    return table


def read_points(table, weights):
    """Read a table at one point per token.

    Shapes:
        table: `(size_1, ..., size_n, width)`.
        weights: one `(..., size_a)` per axis, of shapes that broadcast.
        result: `(..., width)`.
    """
    joint = weights[0]
    for weight in weights[1:]:
        product = ops.expand_dims(joint, -1) * ops.expand_dims(weight, -2)
        joint = ops.reshape(
            product, (*ops.shape(product)[:-2], joint.shape[-1] * weight.shape[-1])
        )
    return ops.matmul(joint, ops.reshape(table, (-1, table.shape[-1])))


def read_rows(table, rows):
    """Look rows up by whole positions, one integer tensor per axis of the table.

    Shapes:
        table: `(size_1, ..., size_n, width)`.
        rows: one `(...)` per axis, integers inside the table, of shapes that
            broadcast.
        result: `(..., width)`.
    """
    flat = rows[0]
    for size, row in zip(table.shape[1:-1], rows[1:], strict=True):
        flat = flat * size + row
    return ops.take(ops.reshape(table, (-1, table.shape[-1])), flat, axis=0)


def read_nearest_row(table, index):
    """Look rows up by id; an id outside the table reads its first or last row.

    Shapes:
        table: `(size, width)`.
        index: `(...)`, integer.
        result: `(..., width)`.
    """
    table = ops.convert_to_tensor(table)
    rows = ops.clip(ops.cast(index, "int32"), 0, table.shape[0] - 1)
    return ops.take(table, rows, axis=0)


def resize_positions(
    table,
    sizes,
    interpolation="bicubic",
    *,
    antialias=False,
    align_corners=False,
    grid=None,
    num_prefix_tokens=0,
):
    """Resize a learned position table to another length, grid or clip.

    Row `i` of the new table is read at `(i + 0.5) old / new - 0.5` along each axis,
    with the weights of the kernel; see `interpolation`.

    Shapes:
        table: `(length, channels)`, `(height, width, channels)` or
            `(frames, height, width, channels)`; with `grid`, a grid stored flat:
            `(num_prefix_tokens + tokens, channels)`.
        result: `(*sizes, channels)`, or flat where `table` is; float32 NumPy array.

    Args:
        table: The table, as an array, a tensor or a variable.
        sizes: The new sizes, an integer per axis.
        interpolation: `"nearest"`, `"bilinear"` or `"bicubic"`.
        antialias: Whether to widen the kernel where the table shrinks.
        align_corners: Whether the first and last rows keep their places.
        grid: The old sizes of a table that is stored flat.
        num_prefix_tokens: Rows in front of a flat grid that are copied as they are,
            such as that of a class token.

    Precision: weights and sums in float32.

    Raises:
        ValueError: if sizes, grid and table do not fit each other, or the kernel is
            unknown.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import (resize_positions)
    >>> resize_positions(np.zeros((14, 14, 8)), (20, 10)).shape
    (20, 10, 8)
    >>> table = np.zeros((1 + 14 * 14, 8))
    >>> resize_positions(table, (16, 16), grid=(14, 14), num_prefix_tokens=1).shape
    (257, 8)

    References:
        The kernels are those of `torch.nn.functional.interpolate`.
    """
    name = "resize_positions"
    check_interpolation(name, interpolation, antialias, align_corners)
    table = np.asarray(ops.convert_to_numpy(table), dtype="float32")
    axes = (
        "(tokens, channels)"
        if grid
        else "(length, channels), or with an axis for each of two or three sizes"
    )
    ranks = (2,) if grid else (2, 3, 4)
    checks.check_rank(name, "table.shape", table.shape, ranks, axes)
    checks.check(np.ndim(sizes) == 1, name, "sizes", "be a list of integers", sizes)
    sizes = tuple(checks.check_integer(name, "sizes", size) for size in sizes)
    skip = checks.check_integer(name, "num_prefix_tokens", num_prefix_tokens, 0)
    rule = "be 0 without `grid`, which says where the rows of the grid end"
    checks.check(grid or not skip, name, "num_prefix_tokens", rule, skip)
    prefix = table[:skip]
    old_sizes = tuple(grid) if grid else table.shape[:-1]
    rule = f"have one integer for each axis of the old sizes {old_sizes}"
    checks.check(len(sizes) == len(old_sizes), name, "sizes", rule, sizes)
    rows = skip + int(np.prod(old_sizes))
    rule = f"have {rows} rows with grid={grid}, num_prefix_tokens={skip}"
    checks.check(not grid or len(table) == rows, name, "table.shape", rule, table.shape)
    weights = [
        resize_weights(
            np.arange(new), new, old, interpolation, antialias, align_corners
        )
        for new, old in zip(sizes, old_sizes, strict=True)
    ]
    native = np.reshape(table[skip:], (*old_sizes, table.shape[-1]))
    resized = ops.convert_to_numpy(read_grid(ops.convert_to_tensor(native), weights))
    if not grid:
        return resized
    return np.concatenate([prefix, resized.reshape(-1, table.shape[-1])])


def check_interpolation(layer, interpolation, antialias, align_corners):
    """Raise unless the three arguments name one of the kernels."""
    checks.check_choice(layer, "interpolation", interpolation, INTERPOLATIONS)
    if interpolation == "nearest":
        for name, value in (("antialias", antialias), ("align_corners", align_corners)):
            checks.check(
                not value, layer, name, "be False with nearest interpolation", value
            )
    checks.check(
        not (antialias and align_corners),
        layer,
        "align_corners",
        "be False with antialias=True",
        align_corners,
    )


def _cubic(distance, a):
    distance = ops.abs(distance)
    near = ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
    far = ((distance - 5.0) * distance + 8.0) * distance * a - 4.0 * a
    weight = ops.where(distance < 2.0, far, ops.zeros_like(distance))
    return ops.where(distance < 1.0, near, weight)
