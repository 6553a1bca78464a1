"""The positional encoding of a modality, as a term of its sum."""

from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.fusion.arguments import ModalityInputs
from keras_mmembed.fusion.special_tokens import counted_positions
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
    x, positions, mask = _tokens(position, inputs, borders, counts_special)
    vectors = position.encode_tokens(
        x, positions, inputs.start_index, mask, inputs.grid
    )
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
    x, positions, mask = _tokens(position, inputs, borders, counts_special)
    coordinates = position.token_positions(
        x, positions, inputs.start_index, mask, inputs.grid
    )
    rank = len(x.shape) - 2
    coordinates = flatten_grid(coordinates, rank) if rank > 1 else coordinates
    return to_thw(coordinates, len(position.size_names))


def _tokens(
    position: PositionEmbedding,
    inputs: ModalityInputs,
    borders: Borders,
    counts_special: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the tokens, positions and mask that the position layer encodes."""
    x, positions, mask = inputs.features, inputs.positions, inputs.mask
    if mask is not None and len(x.shape) > 3:
        mask = ops.reshape(mask, ops.shape(x)[:-1])
    if not counts_special:
        return x, positions, mask
    padded = pad(x, borders, 0.0, axis=1)
    if mask is None:
        return padded, positions, None
    if positions is None and not position.skips_masked:
        positions = counted_positions(x, padded, mask, borders[0])
    return padded, positions, pad(mask, borders, True, axis=1)
