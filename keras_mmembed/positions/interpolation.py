"""Interpolation between the rows of a table: kernels and their weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.types import Tensor

Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)


@dataclass(frozen=True)
class Kernel:
    """How a table is interpolated, as `torch.nn.functional.interpolate` does.

    Attributes:
        interpolation: The kernel, or `None` where only whole rows are looked up.
        antialias: Whether the kernel is widened where a table shrinks.
        align_corners: Whether the first and last rows of a table stay in place.
    """

    interpolation: Interpolation | None = None
    antialias: bool = False
    align_corners: bool = False


def check_kernel(who: str, kernel: Kernel) -> None:
    """Raise unless the three arguments fit each other."""
    name = kernel.interpolation
    checks.check_choice(who, "interpolation", name, INTERPOLATIONS)
    rule = "be False with nearest interpolation"
    is_smooth = name != "nearest"
    fits = is_smooth or not kernel.antialias
    checks.check(fits, who, "antialias", rule, kernel.antialias)
    fits = is_smooth or not kernel.align_corners
    checks.check(fits, who, "align_corners", rule, kernel.align_corners)
    rule = "be False with antialias=True"
    fits = not (kernel.antialias and kernel.align_corners)
    checks.check(fits, who, "align_corners", rule, kernel.align_corners)


def point_weights(
    positions: Tensor, size: int, interpolation: Interpolation | None
) -> Tensor:
    """Return the weight of each row of a table at fractional positions.

    Positions outside the table are those of its first or last row. The bicubic kernel
    is that of Keys with a = -0.75.

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
    weights: Tensor = 0.0
    for offset in (-1.0, 0.0, 1.0, 2.0):
        tap = before + offset
        is_row = ops.cast(ops.equal(ops.clip(tap, 0.0, last), rows), "float32")
        weights = weights + is_row * _cubic(positions - tap, -0.75)
    return weights


def resize_weights(
    index: Tensor, new_size: int | Tensor, size: int, kernel: Kernel
) -> Tensor:
    """Return the weight of each row of a table for row `index` of the resized table.

    The six kernels are those of `torch.nn.functional.interpolate`: `"nearest"`
    (source row `floor(index size / new_size)`), `"bilinear"` and `"bicubic"`, the
    last two also with `antialias` or with `align_corners`.

    Shapes:
        index: `(...)`, the row of the new table, counted from 0; of sizes per sample,
            the last row stands for those behind it.
        new_size: an integer or a tensor that broadcasts with `index`.
        result: `(..., size)`, float32; the last axis sums to 1.
    """
    index = ops.cast(index, "float32")
    is_per_sample = len(getattr(new_size, "shape", ())) > 0
    new_size = ops.cast(new_size, "float32")
    if is_per_sample:
        index = ops.minimum(index, new_size - 1.0)
    scale = size / new_size
    if kernel.interpolation == "nearest":
        return point_weights(ops.floor(index * scale), size, "nearest")
    if not kernel.antialias:
        source = source_position(index, new_size, size, kernel.align_corners)
        return point_weights(source, size, kernel.interpolation)
    center = ops.expand_dims((index + 0.5) * scale, -1)
    stretch = ops.expand_dims(ops.maximum(scale, 1.0) + 0.0 * index, -1)
    radius = stretch * (1.0 if kernel.interpolation == "bilinear" else 2.0)
    rows = ops.arange(size, dtype="float32")
    first = ops.floor(ops.maximum(center - radius + 0.5, 0.0))
    stop = ops.floor(center + radius + 0.5)
    distance = (rows - center + 0.5) / stretch
    if kernel.interpolation == "bilinear":
        weights = ops.maximum(1.0 - ops.abs(distance), 0.0)
    else:
        weights = _cubic(distance, -0.5)
    covered = ops.logical_and(rows >= first, rows < stop)
    weights = weights * ops.cast(covered, "float32")
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def source_position(
    index: Tensor, new_size: Tensor, size: int | Tensor, align_corners: bool = False
) -> Tensor:
    """Return the position among `size` rows of row `index` of `new_size` rows."""
    if align_corners:
        return index * ((size - 1.0) / ops.maximum(new_size - 1.0, 1.0))
    return (index + 0.5) * (size / new_size) - 0.5


def interpolate_grid(table: Tensor, weights: Sequence[Tensor | None]) -> Tensor:
    """Interpolate a table at each combination of rows: one matrix product per axis.

    Shapes:
        table: `(size_1, ..., size_n, width)`.
        weights: one `(length_a, size_a)` or `(batch, length_a, size_a)` per axis, or
            `None` to keep the axis.
        result: `(length_1, ..., length_n, width)`, with a batch axis in front if any
            of the weights has one.
    """
    axes = "thw"[-len(weights) :]
    batch = ""
    for axis, weight in zip(axes, weights, strict=True):
        if weight is not None:
            resized = axes.replace(axis, "n")
            own = "abc"[: len(weight.shape) - 2]
            rule = f"{own}n{axis},{batch}{axes}d->{own or batch}{resized}d"
            table, batch = ops.einsum(rule, weight, table), own or batch
    return table


def interpolate_points(table: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Interpolate a table at one point per token.

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


def _cubic(distance: Tensor, a: float) -> Tensor:
    distance = ops.abs(distance)
    near = ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
    far = ((distance - 5.0) * distance + 8.0) * distance * a - 4.0 * a
    weight = ops.where(distance < 2.0, far, ops.zeros_like(distance))
    return ops.where(distance < 1.0, near, weight)
