"""Positions of padded and packed rows: pure functions."""

from keras import ops


def positions_from_mask(mask, first_index=0):
    """Count valid tokens only, whichever side the padding is on.

    Valid token `t` gets `first_index + (number of valid tokens before t)`. A masked
    token gets the position of the valid token before it, and at the start
    `first_index`.

    Shapes:
        mask: `(batch, length)`, bool, or numbers that are zero at padding.
        result: `(batch, length)`, int32.

    Args:
        mask: Which tokens are valid.
        first_index: Position of the first valid token.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import (positions_from_mask)
    >>> left_padded = np.array([[False, False, True, True, True]])
    >>> np.array(positions_from_mask(left_padded)).tolist()
    [[0, 0, 0, 1, 2]]
    """
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    count_so_far = ops.cumsum(ops.cast(mask, "int32"), axis=-1)
    return ops.maximum(count_so_far - 1, 0) + first_index


def positions_from_ids(ids):
    """Restart the count of positions at every example of a packed row.

    Token `t` gets the number of tokens since the last change of `ids` before it.

    Shapes:
        ids: `(batch, length)`, integer; the tokens of one example stand together.
        result: `(batch, length)`, int32.

    Args:
        ids: Which example of the row each token belongs to.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import (positions_from_ids)
    >>> packed = np.array([[1, 1, 1, 2, 2, 3]])
    >>> np.array(positions_from_ids(packed)).tolist()
    [[0, 1, 2, 0, 1, 0]]
    """
    ids = ops.convert_to_tensor(ids)
    changed = ops.not_equal(ids[:, 1:], ids[:, :-1])
    # a row starts an example too, so the examples of all rows count up in one line
    first = ops.ones_like(ids[:, :1], dtype="bool")
    starts = ops.cast(ops.concatenate([first, changed], axis=-1), "int32")
    example = ops.cumsum(ops.reshape(starts, (-1,)))
    start = ops.cast(ops.searchsorted(example, example), "int32")
    positions = ops.cumsum(ops.ones_like(example)) - 1 - start
    return ops.reshape(positions, ops.shape(ids))
