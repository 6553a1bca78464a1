"""The coordinates of tokens, and the arithmetic of their indices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import keras
from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.conventions import AxisKind, Indexing

Size: TypeAlias = int | Tensor
# a `range` where the size is known: its ends are known while a step is traced
AxisCoordinates: TypeAlias = range | Tensor


@dataclass(frozen=True)
class Coordinates:
    """The coordinates of the tokens of one call.

    Attributes:
        axes: The coordinates along each axis. On a regular grid `(size,)`, as a
            `range` where the size is known; otherwise tensors that broadcast to the
            shape of the tokens.
        sizes: The size of the grid along each axis, an integer or a tensor that
            broadcasts with `axes`, on a regular grid `(batch, 1)` for a size per
            sample; `None` for positions of the call.
        token_rank: Number of axes of the tokens: 1, or one per axis of a grid.
        is_grid: Whether the tokens are a regular grid.
        valid: Which tokens have an encoding, broadcastable to the tokens; `None` for
            all.
        new_sizes: By axis, the size that the encoding is resized to, where it is.
    """

    axes: tuple[AxisCoordinates, ...]
    sizes: tuple[Size, ...] | None
    token_rank: int
    is_grid: bool
    valid: Tensor = None
    new_sizes: Mapping[int, Size] = field(default_factory=dict)

    def per_token(self) -> "Coordinates":
        """Return the same with axes that broadcast to the shape of the tokens."""
        if not self.is_grid:
            return self
        rank = len(self.axes)
        axes = tuple(
            ops.reshape(as_tensor(axis), (1,) * a + (-1,) + (1,) * (rank - a - 1))
            for a, axis in enumerate(self.axes)
        )
        sizes = self.sizes and tuple(_per_token(size, rank) for size in self.sizes)
        new_sizes = {a: _per_token(size, rank) for a, size in self.new_sizes.items()}
        return replace(self, axes=axes, sizes=sizes, new_sizes=new_sizes, is_grid=False)

    def with_axis(self, axis: int, coordinates: AxisCoordinates) -> "Coordinates":
        """Return the same with other coordinates along one axis."""
        axes = (*self.axes[:axis], coordinates, *self.axes[axis + 1 :])
        return replace(self, axes=axes)

    def longer_by(self, start: Size) -> "Coordinates":
        """Return the same on a grid that `start` tokens of the first axis precede."""
        if self.sizes is None:
            return self
        first, *others = self.sizes
        return replace(self, sizes=(first + start, *others))

    def restricted(self, valid: Tensor) -> "Coordinates":
        """Return the same with an encoding for `valid` tokens only."""
        if self.valid is not None:
            valid = ops.logical_and(self.valid, valid)
        return replace(self, valid=valid)


def on_all_tokens(
    vectors: Tensor, coordinates: Coordinates, kinds: Sequence[AxisKind]
) -> Tensor:
    """Return encodings repeated along the axes that are not encoded."""
    if None not in kinds:
        return vectors
    for axis, kind in zip(coordinates.per_token().axes, kinds, strict=True):
        if kind is None:
            vectors = vectors + ops.zeros_like(ops.cast(axis, "float32")[..., None])
    return vectors


def _per_token(size: Size, rank: int) -> Size:
    """Return a size per sample, `(batch, 1)`, with an axis for each of the tokens."""
    if rank == 1 or not is_per_sample(size):
        return size
    return ops.reshape(size, (-1,) + (1,) * rank)


def is_per_sample(size: Size) -> bool:
    """Whether a size is a tensor of a size for each sample."""
    return len(getattr(size, "shape", ())) > 0


def shift(axis: AxisCoordinates, start: float) -> AxisCoordinates:
    """Add a number to the coordinates along an axis."""
    if isinstance(start, int) and isinstance(axis, range):
        return range(axis.start + start, axis.stop + start)
    tensor = as_tensor(axis)
    if isinstance(start, float):
        tensor = ops.cast(tensor, "float32")
    return tensor + start


def as_tensor(axis: AxisCoordinates) -> Tensor:
    """Return a `range` as an int32 tensor, and a tensor as it is."""
    if isinstance(axis, range):
        return ops.arange(axis.start, axis.stop, dtype="int32")
    return axis


def int_or_tensor(size: Size) -> Size:
    """Return a size as an integer if it is known, else as a tensor.

    The size that the exporter of PyTorch traces is neither, and `ops.cast` would fix
    it to the size of the example.
    """
    if isinstance(size, int) or hasattr(size, "dtype"):
        return size
    return ops.ones((), dtype="float32") * size


def unravel(index: Tensor, sizes: Sequence[Size]) -> list[Tensor]:
    """Split an index in row-major order into an index per axis."""
    axes = []
    for size in reversed(sizes[1:]):
        size = max(size, 1) if isinstance(size, int) else size
        axes.append(index % size)
        index = index // size
    return [index, *reversed(axes)]


def unravel_blocks(
    index: Tensor, sizes: Sequence[Size], block_size: int
) -> list[Tensor]:
    """Split an index of a grid whose tokens come block by block.

    Blocks of rows and columns, and the tokens in each, come in row-major order.
    """
    if block_size == 1:
        return unravel(index, sizes)
    *outer, height, width = sizes
    blocks = [
        size // block_size
        if isinstance(size, int)
        else ops.maximum(size // block_size, 1)
        for size in (height, width)
    ]
    *lead, row, column, inner_row, inner_column = unravel(
        index, [*outer, *blocks, block_size, block_size]
    )
    row = row * block_size + inner_row
    return [*lead, row, column * block_size + inner_column]


def ravel(axes: Sequence[Tensor], sizes: Sequence[Size]) -> Tensor:
    """Join an index per axis into an index in row-major order."""
    dtypes = {str(keras.backend.standardize_dtype(axis.dtype)) for axis in axes}
    if len(dtypes) > 1:  # resized axes are float, and others are not
        axes = [ops.cast(axis, "float32") for axis in axes]
        sizes = [ops.cast(s, "float32") if hasattr(s, "dtype") else s for s in sizes]
    flat = axes[0]
    for axis, size in zip(axes[1:], sizes[1:], strict=True):
        flat = flat * size + axis
    return flat


def reindex(
    axes: Sequence[Tensor], sizes: Sequence[Size], indexing: Indexing
) -> list[Tensor]:
    """Return the coordinates that a convention encodes, from those on the grid."""
    if indexing == "axes":
        return list(axes)
    flat = ravel(axes, sizes)
    if indexing == "flat":
        return [flat]
    return list(reversed(unravel(flat, list(reversed(sizes)))))
