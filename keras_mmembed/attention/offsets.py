"""Biases of the offsets of keys from queries: pure functions."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_mmembed.common.sequences import product
from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.interpolation import (
    Kernel,
    interpolate_grid,
    resize_weights,
)


def log_buckets(num_buckets: int, max_distance: int, bidirectional: bool) -> np.ndarray:
    """Return the bucket of each offset from `-max_distance` to `max_distance`.

    With `n` buckets in a direction and `e = n / 2`, distances below `e` have a bucket
    each, and distance `r` bucket `e + log(r / e) / log(max_distance / e) (n - e)`, at
    most `n - 1`. In both directions each has half of the buckets, and keys behind the
    query the upper half; in one direction these share bucket 0.
    """
    offset = np.arange(-max_distance, max_distance + 1)
    upper = 0
    if bidirectional:
        num_buckets //= 2
        upper = np.where(offset > 0, num_buckets, 0)
        distance = np.abs(offset)
    else:
        distance = np.maximum(-offset, 0)
    exact = num_buckets // 2
    # in float32, as published weights were trained
    ratio = np.maximum(distance, exact).astype("float32") / np.float32(exact)
    share = np.log(ratio) / np.float32(np.log(max_distance / exact))
    far = exact + (share * np.float32(num_buckets - exact)).astype("int32")
    far = np.minimum(far, num_buckets - 1)
    return (np.where(distance < exact, distance, far) + upper).astype("int32")


def alibi_slopes(num_heads: int) -> np.ndarray:
    """Return `2 ** (-8 i / n)` for heads `i` from 1 to `n`, float64.

    If the number of heads is no power of two, `n` is the power below, and the heads
    that are left have every other slope of twice as many.
    """
    power = 2 ** int(np.floor(np.log2(num_heads)))
    slopes = 2.0 ** (-8.0 * np.arange(1, power + 1) / power)
    between = 2.0 ** (-4.0 * np.arange(1, 2 * power + 1, 2) / power)
    return np.concatenate([slopes, between])[:num_heads]


def offsets(queries: Tensor, keys: Tensor) -> Tensor:
    """Return the positions of keys minus those of queries.

    Shapes:
        queries: `(batch or 1, length)`.
        keys: `(batch or 1, key length)`.
        result: `(batch or 1, length, key length)`.
    """
    # not an operator, which TensorFlow has for equal dtypes only
    return ops.subtract(ops.expand_dims(keys, 1), ops.expand_dims(queries, 2))


def bucket_bias(table: Tensor, buckets: np.ndarray, offset: Tensor) -> Tensor:
    """Look up the bias of each offset in a table of buckets.

    Shapes:
        table: `(num_buckets, heads)`.
        buckets: `(2 max_distance + 1,)`: the bucket of each offset.
        offset: `(...)`; fractions are cut off.
        result: `(..., heads)`.
    """
    far = len(buckets) // 2
    by_offset = ops.take(table, ops.convert_to_tensor(buckets), axis=0)
    return ops.take(by_offset, ops.clip(ops.cast(offset, "int32"), -far, far) + far, 0)


def resize_offset_table(table: Tensor, sizes: Sequence[int], kernel: Kernel) -> Tensor:
    """Interpolate a table of offsets to that of another grid.

    Shapes:
        table: `(2 size - 1, ..., heads)`, an axis for each of the old sizes.
        result: `(2 size - 1, ..., heads)`, an axis for each of `sizes`.
    """
    rows = [2 * size - 1 for size in sizes]
    weights = [
        resize_weights(ops.arange(new), new, old, kernel)
        for new, old in zip(rows, table.shape[:-1], strict=True)
    ]
    return interpolate_grid(table, weights)


def grid_bias(table: Tensor, special: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Look up the bias of each pair of tokens in a table of offsets in a grid.

    Offsets outside the table are those of its first or last row. Tokens with a
    negative position are special: they do not stand in the grid.

    Shapes:
        table: `(2 size - 1, ..., heads)`, an axis for each size of the grid, in which
            row `size - 1` is that of equal positions and later ones those of queries
            behind their keys.
        special: `(3, heads)`: the rows of a special query, key, and both.
        queries: `(batch or 1, length, axes)`.
        keys: `(batch or 1, key length, axes)`.
        result: `(batch or 1, length, key length, heads)`.
    """
    queries, keys = ops.cast(queries, "int32"), ops.cast(keys, "int32")
    index: Tensor = 0
    for axis, rows in enumerate(table.shape[:-1]):
        offset = -offsets(queries[..., axis], keys[..., axis])
        row = ops.clip(offset + rows // 2, 0, rows - 1)
        index = index * rows + row
    number = product(table.shape[:-1])
    special_query, special_key = (
        ops.cast(ops.any(positions < 0, axis=-1), "int32")
        for positions in (queries, keys)
    )
    # 1, 2 and 3: a special query, a special key, or both
    kind = ops.expand_dims(special_query, 2) + 2 * ops.expand_dims(special_key, 1)
    index = ops.where(kind > 0, number + kind - 1, index)
    rows = ops.concatenate([ops.reshape(table, (number, -1)), special], axis=0)
    return ops.take(rows, index, axis=0)


def slope_bias(slopes: np.ndarray, offset: Tensor) -> Tensor:
    """Return minus the distance times the slope of each head.

    Shapes:
        slopes: `(heads,)`.
        offset: `(...)`.
        result: `(..., heads)`, float32.
    """
    distance = ops.expand_dims(ops.abs(ops.cast(offset, "float32")), -1)
    return -distance * ops.convert_to_tensor(slopes.astype("float32"))
