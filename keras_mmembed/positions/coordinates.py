"""Where tokens stand: counts along the axes of a tensor, and grids unravelled."""

import math
from dataclasses import dataclass

from keras import ops

from keras_mmembed.common.sequences import count


def count_or_range(tensor, axis, skip=0):
    """Return what `count` does, as a `range` where the size is known.

    A `range` can be asked for its ends while a step is traced, on every backend.
    """
    size = tensor.shape[axis]
    return range(size - skip) if isinstance(size, int) else count(tensor, axis, skip)


def shift(line, start):
    """Add an integer to a `range` or a tensor."""
    if isinstance(line, range):
        return range(line.start + start, line.stop + start)
    return line + start


def is_within(line, size):
    """Whether the coordinates of a line are known to lie in `[0, size)`."""
    return isinstance(line, range) and line.start >= 0 and line.stop <= size


def as_tensor(line):
    """Return a `range` as an int32 tensor, and a tensor as it is."""
    if isinstance(line, range):
        return ops.arange(line.start, line.stop, dtype="int32")
    return line


def tensor_or_known(size):
    """Return a size as an integer if it is known, else as a tensor.

    The size that the exporter of PyTorch traces is neither, and `ops.cast` would fix
    it to the size of the example.
    """
    if isinstance(size, int) or hasattr(size, "dtype"):
        return size
    return ops.ones((), dtype="float32") * size


def unravel(index, sizes):
    """Split a flat, row-major index in one index per axis."""
    axes = []
    for size in reversed(sizes[1:]):
        axes.append(index % size)
        index = index // size
    return [index, *reversed(axes)]


def ravel(axes, sizes):
    """Join one index per axis in a flat, row-major index."""
    flat = axes[0]
    for axis, size in zip(axes[1:], sizes[1:], strict=True):
        flat = flat * size + axis
    return flat


@dataclass
class Coordinates:
    """Where the tokens of one call stand.

    Attributes:
        axes: One tensor per axis. On a regular grid, lines of shape `(size_a,)`, each
            a `range` where its size is known; otherwise tensors that broadcast to the
            shape of the tokens.
        sizes: The size of the grid along each axis, an integer or a tensor that
            broadcasts with `axes`; `None` where positions were given.
        token_rank: How many axes the tokens have: 1, or one per axis of a grid.
        is_grid: Whether `axes` are the lines of a regular grid.
        valid: Which tokens get an encoding, broadcastable to the tokens, or `None`.
    """

    axes: list
    sizes: list | None
    token_rank: int
    is_grid: bool
    valid: object = None

    def spread(self):
        """Return `axes` as tensors that broadcast to the shape of the tokens."""
        if not self.is_grid:
            return self.axes
        rank = len(self.axes)
        return [
            ops.reshape(as_tensor(line), (1,) * axis + (-1,) + (1,) * (rank - axis - 1))
            for axis, line in enumerate(self.axes)
        ]

    def leave_grid(self):
        """Turn the lines of a grid in one coordinate per token."""
        self.axes = self.spread()
        self.is_grid = False

    def restrict(self, valid):
        """Let only `valid` tokens have an encoding, besides those ruled out before."""
        self.valid = valid if self.valid is None else ops.logical_and(self.valid, valid)

    def bound(self, limits, out_of_range, is_exact=False):
        """Bring the coordinates inside of limits; return which axes to resize.

        Args:
            limits: The size of each axis, or `None` for no limit.
            out_of_range: `"error"`, `"clip"`, `"zero"` or `"resize"`.
            is_exact: Whether coordinates that should not be there stay.
        """
        resized = [False] * len(limits)
        if out_of_range == "zero":
            self.leave_grid()
        for axis, size in enumerate(limits):
            if size is None:
                continue
            if out_of_range == "resize" and self.sizes is not None:
                new_size = tensor_or_known(self.sizes[axis])
                if len(limits) == 1:
                    # a sequence has no size of its own: only a long one is squeezed in
                    is_known = isinstance(new_size, int)
                    new_size = (max if is_known else ops.maximum)(new_size, size)
                self.sizes[axis] = new_size
                resized[axis] = not isinstance(new_size, int) or new_size != size
            line = self.axes[axis]
            if resized[axis] or is_exact or is_within(line, size):
                continue
            line = as_tensor(line)
            bounded = ops.clip(line, 0, size - 1)
            if out_of_range == "zero":
                self.restrict(ops.equal(bounded, line))
            self.axes[axis] = bounded
        return resized

    def start_at(self, start_index):
        """Add a start, a number or one per sample, to the first axis."""
        if isinstance(start_index, int):
            if start_index:
                self.axes[0] = shift(self.axes[0], start_index)
            return
        self.leave_grid()
        start_index = ops.cast(ops.convert_to_tensor(start_index), "int32")
        if len(start_index.shape) == 1:
            start_index = ops.reshape(start_index, (-1,) + (1,) * self.token_rank)
        self.axes[0] = self.axes[0] + start_index

    def count_valid(self, mask, masked):
        """Count along each axis the valid tokens only; see `Convention.masked`."""
        tokens_axis = len(mask.shape) - len(self.axes)
        self.axes = [
            ops.cumsum(ops.cast(mask, "int32"), axis=tokens_axis + a) - 1
            for a in range(len(self.axes))
        ]
        self.sizes = [
            ops.max(axis, axis=tokens_axis + a, keepdims=True) + 1
            for a, axis in enumerate(self.axes)
        ]
        self.is_grid = False
        if masked == "before_first":
            self.axes = [ops.where(mask, axis, -1) for axis in self.axes]
        elif masked == "zero":
            self.restrict(mask)


def locate_axes(inputs, token_axes, skip=0):
    """Return the coordinates of tokens that have an axis of `inputs` each."""
    lines = [count_or_range(inputs, axis, skip) for axis in token_axes]
    shape = ops.shape(inputs)
    sizes = [shape[axis] - skip for axis in token_axes]
    return Coordinates(lines, sizes, len(lines), is_grid=True)


def locate_flat(inputs, sizes, skip=0):
    """Return the coordinates of grid tokens in row-major order along axis 1.

    `sizes` is an integer per axis, or a tensor `(axes,)` or `(batch, axes)`. Tokens
    that the grid does not have, because it is smaller than the longest of the batch,
    get no encoding.
    """
    whole = isinstance(sizes, (tuple, list))
    is_known = isinstance(inputs.shape[1], int)
    if whole and is_known and inputs.shape[1] == skip + math.prod(sizes):
        lines = [range(size) for size in sizes]
        return Coordinates(lines, list(sizes), len(lines), is_grid=True)
    index = count(inputs, 1, skip)
    if not whole:
        sizes = ops.cast(ops.convert_to_tensor(sizes), "int32")
        sizes = [sizes[..., a, None] for a in range(sizes.shape[-1])]
    index = index + ops.zeros_like(sizes[0]) if not whole else index
    place = Coordinates(unravel(index, sizes), list(sizes), 1, is_grid=False)
    place.restrict(index < math.prod(sizes))
    return place
