"""Sinusoidal encodings that are computed before the call, in float64."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.conventions import Indexing
from keras_mmembed.positions.coordinates import reindex
from keras_mmembed.positions.sinusoid import (
    Constant,
    SinusoidTerm,
    sinusoidal_vectors,
)

# larger ones are computed in every call: a compiled program would store them
LARGEST_SIZE = 2**22


class PrecomputedGrid:
    """Sinusoidal encodings of regular grids of known sizes.

    As constants they cost a compiled step nothing: XLA would compute the sines again
    for each sample. The table of the declared grid is made with the layer, and that
    of another grid while a step is traced.

    Args:
        terms: The terms of the encoding, as for `sinusoidal_vectors`.
        width: Number of channels.
        indexing: The indexing of the convention.
        declared: The coordinates along each axis of the declared grid, or `None`.
    """

    def __init__(
        self,
        terms: Sequence[SinusoidTerm],
        width: int,
        indexing: Indexing,
        declared: Sequence[range] | None = None,
    ) -> None:
        self.terms: Sequence[SinusoidTerm] = terms
        self.width: int = width
        self.indexing: Indexing = indexing
        self.declared: Sequence[range] | None = declared
        self.table: Constant | None = None
        if declared is not None and self._is_small(declared):
            self.table = Constant(self._compute(declared))

    def at(self, axes: Sequence[range]) -> Tensor | None:
        """Return the encoding of a grid, or `None` if the call should compute it.

        Shapes:
            axes: the coordinates along each axis.
            result: `(size, ..., width)`, float32.
        """
        if self.table is not None and self.declared is not None:
            first, *others = self.declared
            inside = first.start <= axes[0].start and axes[0].stop <= first.stop
            if self.indexing == "width_outer" and axes[0].start == first.start:
                inside = axes[0] == first  # a grid of fewer rows is another one
            if inside and others == list(axes[1:]):
                start = axes[0].start - first.start
                return self.table.tensor()[start : start + len(axes[0])]
        # the compiler of PyTorch cannot trace NumPy
        if keras.backend.backend() == "torch" or not self._is_small(axes):
            return None
        return ops.convert_to_tensor(self._compute(axes))

    def _is_small(self, axes: Sequence[range]) -> bool:
        return math.prod(map(len, axes)) * self.width <= LARGEST_SIZE

    def _compute(self, axes: Sequence[range]) -> np.ndarray:
        values = [np.arange(axis.start, axis.stop, dtype="float64") for axis in axes]
        grid = np.meshgrid(*values, indexing="ij", sparse=True)
        indices = reindex(grid, [len(axis) for axis in axes], self.indexing)
        return sinusoidal_vectors(indices, self.terms).astype("float32")
