"""Learned position tables at another size."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.call_arguments import as_array
from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.interpolation import (
    Interpolation,
    Kernel,
    check_kernel,
    interpolate_grid,
    resize_weights,
)

WHO = "resize_positions"


def resize_positions(
    table: Tensor,
    sizes: Sequence[int],
    interpolation: Interpolation = "bicubic",
    *,
    antialias: bool = False,
    align_corners: bool = False,
    grid: Sequence[int] | None = None,
    num_prefix_tokens: int = 0,
) -> np.ndarray:
    """Resize a learned position table to another length, grid or clip.

    Along each axis, row `i` of the new table is interpolated at the position
    `(i + 0.5) old / new - 0.5` of the old one.

    Shapes:
        table: `(length, channels)`, `(height, width, channels)` or
            `(frames, height, width, channels)`; with `grid`, a flattened grid
            `(num_prefix_tokens + tokens, channels)`.
        result: `(*sizes, channels)`, or flattened as `table` is; a float32 NumPy
            array.

    Args:
        table: The table, as an array, a tensor or a variable.
        sizes: The new sizes, an integer per axis.
        interpolation: `"nearest"`, `"bilinear"` or `"bicubic"` (default).
        antialias: Whether to widen the kernel where the table shrinks. Defaults to
            `False`.
        align_corners: Whether the first and last rows stay in place. Defaults to
            `False`.
        grid: The old sizes of a flattened table. Defaults to `None`, for a table that
            has an axis for each size.
        num_prefix_tokens: Number of rows in front of a flattened grid that are copied
            unchanged, such as that of a class token. Defaults to 0.

    Precision: weights and sums in float32.

    Raises:
        ValueError: if sizes, grid and table do not fit each other, or if the
            interpolation is unknown.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import resize_positions
    >>> resize_positions(np.zeros((14, 14, 8)), (20, 10)).shape
    (20, 10, 8)
    >>> table = np.zeros((1 + 14 * 14, 8))
    >>> resize_positions(table, (16, 16), grid=(14, 14), num_prefix_tokens=1).shape
    (257, 8)

    References:
        The kernels are those of `torch.nn.functional.interpolate`.
    """
    kernel = Kernel(
        interpolation,
        checks.check_flag(WHO, "antialias", antialias),
        checks.check_flag(WHO, "align_corners", align_corners),
    )
    check_kernel(WHO, kernel)
    table = _standardize(table)
    old_sizes, new_sizes, skip = _check_sizes(table, sizes, grid, num_prefix_tokens)
    weights = [
        resize_weights(np.arange(new), new, old, kernel)
        for new, old in zip(new_sizes, old_sizes, strict=True)
    ]
    on_grid = np.reshape(table[skip:], (*old_sizes, table.shape[-1]))
    resized = ops.convert_to_numpy(
        interpolate_grid(ops.convert_to_tensor(on_grid), weights)
    )
    if grid is None:
        return resized
    return np.concatenate([table[:skip], resized.reshape(-1, table.shape[-1])])


def _standardize(table: Any) -> np.ndarray:
    """Return a table as a float32 array."""
    rule = "be numbers, as an array, a tensor, a variable or lists of one length"
    table = as_array(WHO, "table", table, rule)
    rule, is_known = "have values", not isinstance(table, keras.KerasTensor)
    checks.check(is_known, WHO, "table", rule, table, error=TypeError)
    tensors.check_kind(WHO, "table", table, "number", "Cast it to floats.")
    table = np.asarray(ops.convert_to_numpy(table), dtype="float32")
    rule = "have no axis of size 0"
    checks.check(table.size > 0, WHO, "table.shape", rule, table.shape)
    # one that is not would spread to the rows around it
    is_finite = np.isfinite(table).all()
    checks.check(is_finite, WHO, "table", "hold finite numbers", "NaN or infinity")
    return table


def _integers(argument: str, sizes: Any) -> tuple[int, ...]:
    """Return sizes as a tuple of integers of at least 1."""
    is_list = isinstance(sizes, (list, tuple)) or np.ndim(sizes) == 1
    rule = "be a list of integers"
    checks.check(is_list, WHO, argument, rule, repr(sizes))
    return tuple(checks.check_integer(WHO, argument, size) for size in sizes)


def _check_sizes(
    table: np.ndarray,
    sizes: Sequence[int],
    grid: Sequence[int] | None,
    num_prefix_tokens: int,
) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Return the old sizes, the new ones, and the number of prefix tokens."""
    axes = "(length, channels), or with an axis for each of two or three sizes"
    if grid is not None:
        checks.check_rank(WHO, "table.shape", table.shape, (2,), "(tokens, channels)")
    else:
        checks.check_rank(WHO, "table.shape", table.shape, (2, 3, 4), axes)
    new_sizes = _integers("sizes", sizes)
    skip = checks.check_integer(WHO, "num_prefix_tokens", num_prefix_tokens, 0)
    rule = "be 0 without `grid`, which says where the rows of the grid end"
    is_clear = grid is not None or not skip
    checks.check(is_clear, WHO, "num_prefix_tokens", rule, skip)
    old_sizes = table.shape[:-1] if grid is None else _integers("grid", grid)
    rule = f"have one integer for each axis of the old sizes {old_sizes}"
    fits = len(new_sizes) == len(old_sizes)
    checks.check(fits, WHO, "sizes", rule, new_sizes)
    rows = skip + int(np.prod(old_sizes))
    rule = f"have {rows} rows with grid={grid}, num_prefix_tokens={skip}"
    fits = grid is None or len(table) == rows
    checks.check(fits, WHO, "table.shape", rule, table.shape)
    return old_sizes, new_sizes, skip
