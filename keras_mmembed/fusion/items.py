"""The items of a modality, such as several images of a sample: pure functions."""

from keras import ops

from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Tensor
from keras_mmembed.fusion.arguments import ModalityInputs
from keras_mmembed.fusion.tokens import pad
from keras_mmembed.positions.grid_items import find_items, has_items


def has_tokens(grid: Tensor) -> Tensor:
    """Return which samples have any token, as bool `(batch,)`.

    Shapes:
        grid: `(batch, axes)` or `(batch, items, axes)`.
    """
    cells = ops.cast(ops.all(ops.cast(grid, "int32") > 0, axis=-1), "int32")
    # not whether any has, which no items at all would leave open
    return (ops.sum(cells, axis=1) if has_items(grid) else cells) > 0


def item_ids(
    inputs: ModalityInputs,
    borders: tuple[int, int],
    ids: Tensor,
    mask: Tensor,
    positions: Tensor | None,
    stands_in: bool,
) -> Tensor | None:
    """Return the number of the item of each token, `None` if all are of item 0.

    Special tokens and those behind the last item have -1.

    Args:
        inputs: The features, and what the call says of them.
        borders: Whether there is a start token, and an end token.
        ids: `(batch, length)`, the modality ids of the tokens, -1 for special ones.
        mask: `(batch, length)`, which of them are valid.
        positions: `(..., length, 3)`, or `None`.
        stands_in: Whether learned tokens stand in where the modality is missing.
    """
    is_token = ops.greater_equal(ids, 0)
    if has_items(inputs.grid):
        items = find_items(count(inputs.features, axis=1), inputs.grid)
        numbers = ops.where(items.valid, items.number, -1)
        if inputs.present is not None and stands_in:
            # the tokens that stand in are one item
            numbers = ops.where(ops.expand_dims(inputs.present, 1), numbers, 0)
        numbers = pad(numbers, borders, -1, axis=1)
    elif inputs.positions is not None and positions is not None:
        numbers = items_of_positions(positions, ops.logical_and(mask, is_token))
    else:
        return None
    return ops.where(is_token, numbers, -1)


def items_of_positions(positions: Tensor, tokens: Tensor) -> Tensor:
    """Return the item of each token, of which one begins at each position 0.

    Shapes:
        positions: `(..., length, 3)`.
        tokens: `(batch, length)`, bool: which are valid, and no special tokens.
        result: `(batch, length)`, int32.
    """
    begins = ops.logical_not(ops.any(positions > 0, axis=-1))
    begins = ops.cast(ops.logical_and(tokens, begins), "int32")
    return ops.maximum(ops.cumsum(begins, axis=1) - 1, 0)
