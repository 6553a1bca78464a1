"""Encodings of grids that are known before the call, worked out in float64."""

import math

import keras
import numpy as np
from keras import ops

from keras_mmembed.positions import encoding
from keras_mmembed.positions.constant import Constant

# larger tables are worked out in every call: a compiled program would hold them
LARGEST_TABLE = 2**22


class KnownGrid:
    """Sinusoidal encodings that need no tensors: XLA would work sines out per sample.

    A grid of the declared sizes, or a part of its first axis, is read from a table
    that is made with the layer; that of another grid is made while a step is traced.

    Args:
        waves: The terms of the encoding, as for `sinusoidal_encoding`.
        width: Number of channels.
        indexing: What the convention counts; see `Convention.indexing`.
        declared: A `range` for each axis, or `None` if a size is not declared.
    """

    def __init__(self, waves, width, indexing, declared=None):
        self.waves, self.width, self.indexing = waves, width, indexing
        self.declared, self.table = declared, None
        if declared is not None and self._fits(declared):
            self.table = Constant(self._make(declared))

    def read(self, lines):
        """Return the encoding of a grid, `None` if it is better worked out later.

        Shapes:
            lines: a `range` for each axis.
            result: `(size, ..., width)`, float32.
        """
        if self.table is not None:
            first, *others = self.declared
            inside = first.start <= lines[0].start and lines[0].stop <= first.stop
            if inside and others == lines[1:]:
                start = lines[0].start - first.start
                return self.table.tensor()[start : start + len(lines[0])]
        # the compiler of PyTorch cannot trace NumPy
        if keras.backend.backend() == "torch" or not self._fits(lines):
            return None
        return ops.convert_to_tensor(self._make(lines))

    def _fits(self, lines):
        return math.prod(map(len, lines)) * self.width <= LARGEST_TABLE

    def _make(self, lines):
        values = [np.arange(line.start, line.stop, dtype="float64") for line in lines]
        axes = np.meshgrid(*values, indexing="ij", sparse=True)
        axes = encoding.reindex(axes, [len(line) for line in lines], self.indexing)
        return encoding.sinusoidal_encoding(axes, self.waves).astype("float32")
