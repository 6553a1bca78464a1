"""Windows along the axes of a tensor, such as patches and frames: pure functions."""

from keras import ops

from keras_mmembed.common.sequences import count

REMAINDERS = ("error", "pad", "crop")


def count_windows(size, window, stride, remainder):
    """Return how many windows an axis has, `None` if its size is unknown."""
    if size is None:
        return None
    if remainder == "pad":
        return -(-size // stride)
    return max((size - window) // stride + 1, 0)


def count_along(x, axis, window, stride, remainder):
    """Return how many windows an axis of a tensor has, a tensor if that is unknown."""
    size = x.shape[axis]
    if isinstance(size, int):
        return count_windows(size, window, stride, remainder)
    if remainder == "pad":
        return (ops.shape(x)[axis] + stride - 1) // stride
    # the shape of a slice, of which JAX knows that it is not negative; one longer,
    # because JAX slices nothing that may have no entries
    axes = range(len(x.shape))
    line = x[tuple(slice(None) if a == axis else slice(1) for a in axes)]
    line = ops.pad(line, [(0, int(a == axis)) for a in axes])
    return ops.shape(_slice(line, axis, window, None, stride))[axis]


def cut_windows(x, axis, window, stride, number):
    """Return the windows that begin at 0, stride, 2 stride, ... along an axis.

    What they hold beyond the end of `x` is zero. Pads, slices and reshapes are all
    that every exporter accepts at unknown sizes.

    Shapes:
        x: `(..., size, ...)`.
        result: `(..., number, window, ...)`.
    """
    reach = -(-window // stride)
    rows = number + reach - 1
    size = x.shape[axis]
    is_known = isinstance(size, int)
    # else more zeros than it takes: PyTorch exports a slice that is always shorter
    lacking = rows * stride - size if is_known else reach * stride
    if lacking > 0:
        padding = [(0, lacking if a == axis else 0) for a in range(len(x.shape))]
        x = ops.pad(x, padding)
    if lacking < 0 or not is_known:
        x = _slice(x, axis, 0, rows * stride)
    shape = ops.shape(x)
    x = ops.reshape(x, (*shape[:axis], rows, stride, *shape[axis + 1 :]))
    if reach > 1:
        # a window begins with its own row, and goes on with those after it
        parts = [_slice(x, axis, start, start + number) for start in range(reach)]
        x = ops.concatenate(parts, axis=axis + 1)
    return x if window == reach * stride else _slice(x, axis + 1, 0, window)


def patches(x, sizes, strides, remainder):
    """Return the windows of a grid, each with all of its values in a row.

    Shapes:
        x: `(batch, axis, ..., channels)` with one axis for each of `sizes`.
        result: `(batch, windows, ..., values)`, values in row-major order.
    """
    # from the last axis on, whose windows lie beside their channels already
    for axis in reversed(range(1, len(sizes) + 1)):
        window, stride = sizes[axis - 1], strides[axis - 1]
        number = count_along(x, axis, window, stride, remainder)
        # not asked of the windows: tf2onnx mixes up the shapes of two reshapes
        *shape, channels = ops.shape(x)
        shape[axis] = number
        x = cut_windows(x, axis, window, stride, number)
        axes = list(range(len(x.shape)))
        axes.insert(-1, axes.pop(axis + 1))
        x = ops.transpose(x, axes) if axes != sorted(axes) else x
        x = ops.reshape(x, (*shape, window * channels))
    return x


def grid_mask(mask, grid):
    """Return which entries of a grid are valid, bool of its shape `(batch, axis, ...)`.

    `mask` is that already, of any dtype; or the sizes of each sample,
    `(batch, axes)`, or `(batch,)` if there is one axis.
    """
    mask = ops.convert_to_tensor(mask)
    rank = len(grid.shape) - 1
    if len(mask.shape) == rank + 1:
        return ops.cast(mask, "bool")
    sizes = ops.reshape(ops.cast(mask, "int32"), (-1, rank))
    valid = ops.ones_like(grid, dtype="bool")
    for axis in range(rank):
        line = ops.reshape(count(grid, axis + 1), (-1,) + (1,) * (rank - axis - 1))
        limit = ops.reshape(sizes[:, axis], (-1,) + (1,) * rank)
        valid = ops.logical_and(valid, ops.less(line, limit))
    return valid


def valid_windows(mask, sizes, strides, remainder):
    """Return which windows are valid, as they would be in their sample alone.

    With `remainder="pad"` they are if they hold anything valid, else if they hold
    nothing invalid.
    """
    values = ops.expand_dims(ops.cast(mask, "int32"), -1)
    values = patches(values, sizes, strides, remainder)
    if remainder == "pad":
        return ops.any(ops.cast(values, "bool"), axis=-1)
    return ops.all(ops.cast(values, "bool"), axis=-1)


def _slice(x, axis, *limits):
    return x[(slice(None),) * axis + (slice(*limits),)]
