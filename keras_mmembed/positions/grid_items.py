"""Several grids of a sample, one behind the other along one axis of tokens."""

from typing import NamedTuple

from keras import ops

from keras_mmembed.common.sequences import product, take_tokens
from keras_mmembed.common.types import Tensor


class TokenItems(NamedTuple):
    """Where in the items of its sample each token stands, `(batch, length)`, int32.

    Attributes:
        number: The number of its item; that of the items for a token behind them.
        place: Its index in the item, 0 behind the last.
        sizes: For each axis the size of the grid of its item, 0 behind the last.
        valid: Whether it is one of an item.
    """

    number: Tensor
    place: Tensor
    sizes: tuple[Tensor, ...]
    valid: Tensor


def has_items(grid: object) -> bool:
    """Whether a grid is of several items, `(batch, items, axes)`."""
    return len(getattr(grid, "shape", ())) == 3


def find_items(index: Tensor, grid: Tensor) -> TokenItems:
    """Return where in the items of its sample each token stands.

    Shapes:
        index: `(length,)`, the index of each token.
        grid: `(batch, items, axes)`, the sizes of each item, zeros for none.
    """
    sizes = ops.cast(ops.convert_to_tensor(grid), "int32")
    axes = sizes.shape[-1]
    cells = product(sizes[..., axis] for axis in range(axes))
    ends = ops.cumsum(cells, axis=1)
    passed = ops.less_equal(ops.expand_dims(ends, 1), ops.reshape(index, (1, -1, 1)))
    number = ops.sum(ops.cast(passed, "int32"), axis=-1)
    begins = ops.expand_dims(ends - cells, -1)
    # an item without tokens, for those behind the last
    table = ops.pad(ops.concatenate([sizes, begins], -1), ((0, 0), (0, 1), (0, 0)))
    rows = take_tokens(table, number)
    own = tuple(rows[..., axis] for axis in range(axes))
    place = index - rows[..., axes]
    valid = ops.less(place, product(own))
    return TokenItems(number, ops.where(valid, place, 0), own, valid)
