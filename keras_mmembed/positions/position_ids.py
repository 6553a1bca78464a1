"""Position ids of padded and packed sequences: pure functions."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.call_arguments import as_array
from keras_mmembed.common.types import Tensor


def positions_from_mask(mask: Tensor, first_index: int = 0) -> Tensor:
    """Return positions that count only valid tokens, for padding on either side.

    Valid token `t` has the position `first_index + (number of valid tokens before t)`.
    A masked token has the position of the valid token before it, and at the start
    `first_index`.

    Shapes:
        mask: `(batch, length)`, bool, or numbers that are zero at padding.
        result: `(batch, length)`, int32.

    Args:
        mask: Padding mask, true for valid tokens.
        first_index: Position of the first valid token. Defaults to 0.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import positions_from_mask
    >>> left_padded = np.array([[False, False, True, True, True]])
    >>> np.array(positions_from_mask(left_padded)).tolist()
    [[0, 0, 0, 1, 2]]
    """
    who, argument = "positions_from_mask", "mask"
    mask = _standardize(who, argument, mask)
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool":
        remedy = "Cast it to bool."
        tensors.check_kind(who, argument, mask, "number", remedy)
        tensors.check_range(who, argument, mask, -np.inf, np.inf)
    first_index = checks.check_integer(who, "first_index", first_index, minimum=0)
    mask = ops.cast(mask, "bool")
    count_so_far = ops.cumsum(ops.cast(mask, "int32"), axis=-1)
    return ops.maximum(count_so_far - 1, 0) + first_index


def positions_from_ids(ids: Tensor) -> Tensor:
    """Return positions that restart at each example of a packed sequence.

    Token `t` has as its position the number of tokens before it in its example.

    Shapes:
        ids: `(batch, length)`, or `(batch, length, numbers)` for an id of several
            numbers, integer; the tokens of one example stand together.
        result: `(batch, length)`, int32.

    Args:
        ids: Id of the example of each token, such as the column and the row of a cell
            of a table.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import positions_from_ids
    >>> packed = np.array([[1, 1, 1, 2, 2, 3]])
    >>> np.array(positions_from_ids(packed)).tolist()
    [[0, 1, 2, 0, 1, 0]]
    """
    axes = ("(batch, length)", "(batch, length, numbers)")
    ids = _standardize("positions_from_ids", "ids", ids, axes)
    tensors.check_kind("positions_from_ids", "ids", ids, "integer")
    changed = ops.not_equal(ids[:, 1:], ids[:, :-1])
    if len(ids.shape) == 3:
        changed, ids = ops.any(changed, axis=-1), ids[..., 0]
    # each row starts an example, so the examples of all rows are numbered in one line
    first = ops.ones_like(ids[:, :1], dtype="bool")
    starts = ops.cast(ops.concatenate([first, changed], axis=-1), "int32")
    example = ops.cumsum(ops.reshape(starts, (-1,)))
    start = ops.cast(ops.searchsorted(example, example), "int32")
    positions = ops.cumsum(ops.ones_like(example)) - 1 - start
    if not isinstance(ids, keras.KerasTensor):
        return ops.reshape(positions, ops.shape(ids))
    # its shape is not known yet, so each token looks up where it stands in the line
    ones = ops.ones_like(ids, dtype="int32")
    row, column = (ops.cumsum(ones, axis=axis) - 1 for axis in (0, 1))
    return ops.take(positions, row * ops.sum(ones[:1, :]) + column, axis=0)


def _standardize(
    who: str, argument: str, value: Any, axes: Sequence[str] = ("(batch, length)",)
) -> Tensor:
    """Return numbers of shape `(batch, length)`, and so on, as a tensor."""
    rule = "be numbers, as an array, a tensor or lists of one length"
    value = as_array(who, argument, value, rule)
    shape = checks.known_shape(value.shape)
    ranks = tuple(range(2, 2 + len(axes)))
    checks.check_rank(who, f"{argument}.shape", shape, ranks, " or ".join(axes))
    return ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value
