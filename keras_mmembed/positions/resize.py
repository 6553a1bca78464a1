"""Learned position tables at another size."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_mmembed.common import checks
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
    kernel = Kernel(interpolation, bool(antialias), bool(align_corners))
    check_kernel(WHO, kernel)
    table = np.asarray(ops.convert_to_numpy(table), dtype="float32")
    old_sizes, new_sizes, skip = _check_sizes(table, sizes, grid, num_prefix_tokens)
    weights = [
        resize_weights(np.arange(new), new, old, kernel)
        for new, old in zip(new_sizes, old_sizes, strict=True)
    ]
    on_grid = np.reshape(table[skip:], (*old_sizes, table.shape[-1]))
    resized = ops.convert_to_numpy(
        interpolate_grid(ops.convert_to_tensor(on_grid), weights)
    )
    if not grid:
        return resized
    return np.concatenate([table[:skip], resized.reshape(-1, table.shape[-1])])


def _check_sizes(
    table: np.ndarray,
    sizes: Sequence[int],
    grid: Sequence[int] | None,
    num_prefix_tokens: int,
) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Return the old sizes, the new ones, and the number of prefix tokens."""
    axes = "(length, channels), or with an axis for each of two or three sizes"
    if grid:
        checks.check_rank(WHO, "table.shape", table.shape, (2,), "(tokens, channels)")
    else:
        checks.check_rank(WHO, "table.shape", table.shape, (2, 3, 4), axes)
    checks.check(np.ndim(sizes) == 1, WHO, "sizes", "be a list of integers", sizes)
    new_sizes = tuple(checks.check_integer(WHO, "sizes", size) for size in sizes)
    skip = checks.check_integer(WHO, "num_prefix_tokens", num_prefix_tokens, 0)
    rule = "be 0 without `grid`, which says where the rows of the grid end"
    checks.check(grid or not skip, WHO, "num_prefix_tokens", rule, skip)
    old_sizes = tuple(grid) if grid else table.shape[:-1]
    rule = f"have one integer for each axis of the old sizes {old_sizes}"
    fits = len(new_sizes) == len(old_sizes)
    checks.check(fits, WHO, "sizes", rule, new_sizes)
    rows = skip + int(np.prod(old_sizes))
    rule = f"have {rows} rows with grid={grid}, num_prefix_tokens={skip}"
    fits = not grid or len(table) == rows
    checks.check(fits, WHO, "table.shape", rule, table.shape)
    return old_sizes, new_sizes, skip
