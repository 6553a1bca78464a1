"""Windows along the axes of a tensor, such as patches and frames: pure functions."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from keras import ops

from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Tensor

Remainder: TypeAlias = Literal["error", "pad", "crop"]
REMAINDERS: tuple[Remainder, ...] = get_args(Remainder)


def count_windows(
    size: int | None, window: int, stride: int, remainder: Remainder
) -> int | None:
    """Return the number of windows of an axis, `None` if its size is unknown."""
    if size is None:
        return None
    if remainder == "pad":
        return -(-size // stride)
    return max((size - window) // stride + 1, 0)


def count_along(
    x: Tensor, axis: int, window: int, stride: int, remainder: Remainder
) -> int | Tensor:
    """Return the number of windows of an axis, a tensor if its size is unknown."""
    size = x.shape[axis]
    if isinstance(size, int):
        return count_windows(size, window, stride, remainder)
    if remainder == "pad":
        return (ops.shape(x)[axis] + stride - 1) // stride
    # the shape of a slice, which JAX knows not to be negative; one longer, because
    # JAX slices no axis that may be empty
    axes = range(len(x.shape))
    line = x[tuple(slice(None) if a == axis else slice(1) for a in axes)]
    line = ops.pad(line, [(0, int(a == axis)) for a in axes])
    return ops.shape(_slice(line, axis, window, None, stride))[axis]


def cut_windows(
    x: Tensor, axis: int, window: int, stride: int, number: int | Tensor
) -> Tensor:
    """Return the windows that begin at 0, stride, 2 stride, ... along an axis.

    Values beyond the end of `x` are zero. Only padding, slices and reshapes are used,
    which every exporter accepts at unknown sizes.

    Shapes:
        x: `(..., size, ...)`.
        result: `(..., number, window, ...)`.
    """
    reach = -(-window // stride)
    rows = number + reach - 1
    size = x.shape[axis]
    is_known = isinstance(size, int)
    # else more zeros than needed: PyTorch exports a slice that is always shorter
    lacking = rows * stride - size if is_known else reach * stride
    if lacking > 0:
        padding = [(0, lacking if a == axis else 0) for a in range(len(x.shape))]
        x = ops.pad(x, padding)
    if lacking < 0 or not is_known:
        x = _slice(x, axis, 0, rows * stride)
    shape = ops.shape(x)
    x = ops.reshape(x, (*shape[:axis], rows, stride, *shape[axis + 1 :]))
    if reach > 1:
        # a window is its own row and those after it
        parts = [_slice(x, axis, start, start + number) for start in range(reach)]
        x = ops.concatenate(parts, axis=axis + 1)
    return x if window == reach * stride else _slice(x, axis + 1, 0, window)


def extract_patches(
    x: Tensor, sizes: Sequence[int], strides: Sequence[int], remainder: Remainder
) -> Tensor:
    """Return the windows of a grid, the values of each flattened.

    Shapes:
        x: `(batch, axis, ..., channels)` with one axis for each of `sizes`.
        result: `(batch, windows, ..., values)`, values in row-major order.
    """
    # from the last axis on, whose windows lie beside their channels already
    for axis in reversed(range(1, len(sizes) + 1)):
        window, stride = sizes[axis - 1], strides[axis - 1]
        number = count_along(x, axis, window, stride, remainder)
        # not the shape of the windows: tf2onnx mixes up the shapes of two reshapes
        *shape, channels = ops.shape(x)
        shape[axis] = number
        x = cut_windows(x, axis, window, stride, number)
        axes = list(range(len(x.shape)))
        axes.insert(-1, axes.pop(axis + 1))
        x = ops.transpose(x, axes) if axes != sorted(axes) else x
        x = ops.reshape(x, (*shape, window * channels))
    return x


def pad_grid(x: Tensor, padding: Sequence[int]) -> Tensor:
    """Return a grid with zeros on both sides of each axis.

    Shapes:
        x: `(batch, axis, ..., channels)` with one axis for each of `padding`.
    """
    if not any(padding):
        return x
    return ops.pad(x, ((0, 0), *[(size, size) for size in padding], (0, 0)))


def dilate(mask: Tensor, padding: Sequence[int]) -> Tensor:
    """Return the mask of a padded grid, where the padding of a sample is valid too.

    So the padding lies around each sample, and not around the largest of the batch.

    Shapes:
        mask: `(batch, axis, ...)`, bool, with one axis for each of `padding`.
        result: the same with `2 padding` more along each axis.
    """
    mask = ops.cast(mask, "int32")
    for axis, size in enumerate(padding, start=1):
        if size:
            sides = (2 * size * (a == axis) for a in range(len(mask.shape)))
            mask = ops.pad(mask, [(side, side) for side in sides])
            number = count_along(mask, axis, 2 * size + 1, 1, "crop")
            mask = cut_windows(mask, axis, 2 * size + 1, 1, number)
            mask = ops.max(mask, axis=axis + 1)
    return mask


def grid_mask(mask: Tensor, grid: Tensor) -> Tensor:
    """Return which entries of a grid are valid, as bool.

    Shapes:
        mask: of any dtype, `(batch, axis, ...)` as `grid`; or the sizes of each
            sample, `(batch, axes)`, or `(batch,)` for one axis.
        grid: `(batch, axis, ...)`.
        result: as `grid`.
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


def valid_windows(
    mask: Tensor, sizes: Sequence[int], strides: Sequence[int], remainder: Remainder
) -> Tensor:
    """Return which windows are valid, as they would be in their sample alone.

    With `remainder="pad"` a window is valid if any of its values is, else if all are.
    """
    values = ops.expand_dims(ops.cast(mask, "int32"), -1)
    values = ops.cast(extract_patches(values, sizes, strides, remainder), "bool")
    reduce = ops.any if remainder == "pad" else ops.all
    return reduce(values, axis=-1)


def _slice(x: Tensor, axis: int, *limits: int | Tensor | None) -> Tensor:
    return x[(slice(None),) * axis + (slice(*limits),)]
