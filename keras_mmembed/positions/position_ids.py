"""Position ids of padded and packed sequences: pure functions."""

from keras import ops

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
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    count_so_far = ops.cumsum(ops.cast(mask, "int32"), axis=-1)
    return ops.maximum(count_so_far - 1, 0) + first_index


def positions_from_ids(ids: Tensor) -> Tensor:
    """Return positions that restart at each example of a packed sequence.

    Token `t` has as its position the number of tokens before it in its example.

    Shapes:
        ids: `(batch, length)`, integer; the tokens of one example stand together.
        result: `(batch, length)`, int32.

    Args:
        ids: Id of the example of each token.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import positions_from_ids
    >>> packed = np.array([[1, 1, 1, 2, 2, 3]])
    >>> np.array(positions_from_ids(packed)).tolist()
    [[0, 1, 2, 0, 1, 0]]
    """
    ids = ops.convert_to_tensor(ids)
    changed = ops.not_equal(ids[:, 1:], ids[:, :-1])
    # each row starts an example, so the examples of all rows are numbered in one line
    first = ops.ones_like(ids[:, :1], dtype="bool")
    starts = ops.cast(ops.concatenate([first, changed], axis=-1), "int32")
    example = ops.cumsum(ops.reshape(starts, (-1,)))
    start = ops.cast(ops.searchsorted(example, example), "int32")
    positions = ops.cumsum(ops.ones_like(example)) - 1 - start
    return ops.reshape(positions, ops.shape(ids))
