"""The positional encoding of a modality, as a term of its sum."""

from keras import ops

from keras_mmembed.common.sequences import count, take_tokens
from keras_mmembed.common.types import Tensor
from keras_mmembed.fusion.arguments import ModalityInputs
from keras_mmembed.fusion.special_tokens import counted_order
from keras_mmembed.fusion.tokens import flatten_grid, pad, to_thw
from keras_mmembed.positions.base import PositionEmbedding

Borders = tuple[int, int]


def encode(
    position: PositionEmbedding,
    inputs: ModalityInputs,
    borders: Borders,
    counts_special: bool,
) -> Tensor:
    """Return the vectors of the positions, `(..., length, width)`.

    Args:
        position: The position layer.
        inputs: The features, and what the call says of them.
        borders: Whether there is a start token, and an end token.
        counts_special: Whether these have positions too.
    """
    x, positions, mask, order = _tokens(position, inputs, borders, counts_special)
    vectors = position.encode_tokens(
        x, positions, inputs.start_index, mask, inputs.grid
    )
    vectors = _in_order(vectors, order)
    rank = len(x.shape) - 2
    return flatten_grid(vectors, rank) if rank > 1 else vectors


def token_positions(
    position: PositionEmbedding,
    inputs: ModalityInputs,
    borders: Borders,
    counts_special: bool,
) -> Tensor:
    """Return the frame, row and column of each token, `(..., length, 3)`.

    Special tokens are left out, unless they have positions.

    Args:
        position: As for `encode`; so are the others.
        inputs: As for `encode`.
        borders: As for `encode`.
        counts_special: As for `encode`.
    """
    x, positions, mask, order = _tokens(position, inputs, borders, counts_special)
    coordinates = position.token_positions(
        x, positions, inputs.start_index, mask, inputs.grid
    )
    coordinates = _in_order(coordinates, order)
    rank = len(x.shape) - 2
    coordinates = flatten_grid(coordinates, rank) if rank > 1 else coordinates
    return to_thw(coordinates, len(position.size_names))


def _tokens(
    position: PositionEmbedding,
    inputs: ModalityInputs,
    borders: Borders,
    counts_special: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return the tokens, positions and mask that the position layer encodes.

    And the place that each token has among these, `None` for its own.
    """
    x, positions, mask = inputs.features, inputs.positions, inputs.mask
    if mask is not None and len(x.shape) > 3:
        mask = ops.reshape(mask, ops.shape(x)[:-1])
    if not counts_special:
        return x, positions, mask, None
    padded = pad(x, borders, 0.0, axis=1)
    if mask is None:
        return padded, positions, None, None
    has_end = borders[1] > 0
    if positions is not None or position.skips_masked or not has_end:
        return padded, positions, pad(mask, borders, True, axis=1), None
    order = counted_order(x, padded, mask, borders[0])
    # the extent of a sample is that of its tokens in this order
    return padded, None, ops.equal(order, count(padded, axis=1)), order


def _in_order(vectors: Tensor, order: Tensor | None) -> Tensor:
    """Return vectors `(..., length, width)` at the places of an order."""
    if order is None:
        return vectors
    if len(vectors.shape) == 2:
        return ops.take(vectors, order, axis=0)
    return take_tokens(vectors, order)
