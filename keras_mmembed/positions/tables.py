"""Learned tables: their initializers, and rows by index."""

from collections.abc import Sequence

from keras import initializers, ops

from keras_mmembed.common import checks
from keras_mmembed.common.types import Initializer, Tensor


def default_initializer(initializer: Initializer, who: str = "") -> Initializer:
    """Return an initializer, by default a normal one of standard deviation 0.02.

    Args:
        initializer: What Keras reads as an initializer, or `None`.
        who: Name of the layer, for the message of an error.
    """
    if initializer is None:
        initializer = initializers.RandomNormal(stddev=0.02)
    name = "embeddings_initializer"
    return checks.check_initializer(who or "Layer", name, initializer)


def clone_initializer(initializer: Initializer) -> Initializer:
    """Return a copy that draws values of its own, unless its seed is set."""
    clone = getattr(initializer, "clone", None)
    return initializer if clone is None else clone()


def read_rows(table: Tensor, rows: Sequence[Tensor]) -> Tensor:
    """Look up rows by integer coordinates inside the table.

    Shapes:
        table: `(size_1, ..., size_n, width)`.
        rows: one `(...)` per axis, integer, of shapes that broadcast.
        result: `(..., width)`.
    """
    flat = rows[0]
    for size, row in zip(table.shape[1:-1], rows[1:], strict=True):
        flat = flat * size + row
    return ops.take(ops.reshape(table, (-1, table.shape[-1])), flat, axis=0)


def read_nearest_row(table: Tensor, index: Tensor) -> Tensor:
    """Look up rows by id; an id outside the table is that of its first or last row.

    Shapes:
        table: `(size, width)`.
        index: `(...)`, integer.
        result: `(..., width)`.
    """
    table = ops.convert_to_tensor(table)
    rows = ops.clip(ops.cast(index, "int32"), 0, table.shape[0] - 1)
    return ops.take(table, rows, axis=0)
