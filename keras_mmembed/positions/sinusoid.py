"""Sines and cosines of positions along one axis."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import tensors
from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.combination import add_up, concatenate
from keras_mmembed.positions.conventions import ChannelLayout

# positions are split at this power of two, so that partial products are exact
DIGIT = 4096


class Constant:
    """A float32 array that a compiled step can use, and that is no weight.

    JAX and TensorFlow turn a NumPy array into a constant while they trace. The
    compiler of PyTorch cannot trace one, so there it becomes a tensor beforehand.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._array: np.ndarray = array.astype("float32")
        self._tensor: Tensor = None
        self.tensor()

    def tensor(self) -> Tensor:
        """Return the array as a tensor, on the device that is in use."""
        if self._tensor is not None:
            return ops.convert_to_tensor(self._tensor)
        tensor = ops.convert_to_tensor(self._array)
        # while Keras tries out shapes, tensors of PyTorch hold no numbers
        if keras.backend.backend() == "torch" and not tensors.is_traced(tensor):
            self._tensor = tensor
        return tensor


def channel_frequencies(
    width: int,
    layout: ChannelLayout,
    endpoint: bool,
    max_wavelength: float,
    cosine_first: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frequency and the phase of every channel.

    Channel `c` of position `p` is `sin(2 pi (frequency[c] p + phase[c]))`; a cosine
    is a sine a quarter of a turn ahead. With `h = width / 2` pairs, pair `i` has the
    wavelength `2 pi max_wavelength ** (i / h)`, or `i / (h - 1)` with `endpoint`. Of
    an odd number of channels, the last one is a sine if interleaved, else zero.

    Returns:
        Two float64 arrays of shape `(width,)`: turns per position, and turns.
    """
    is_halved = layout == "halves"
    pair = np.arange(width // 2 if is_halved else (width + 1) // 2)
    pairs = width // 2 if is_halved else width / 2
    exponent = pair / (pairs - 1) if endpoint else pair / pairs
    frequency = float(max_wavelength) ** -exponent / (2 * np.pi)
    phase = (0.25, 0.0) if cosine_first else (0.0, 0.25)
    if is_halved:
        frequencies = np.concatenate([frequency, frequency, [0.0]])
        phases = np.concatenate([np.repeat(phase, len(pair)), [0.0]])
    else:
        frequencies = np.repeat(frequency, 2)
        phases = np.tile(phase, len(pair))
    return frequencies[:width], phases[:width]


class Sinusoid:
    """The sines `sin(2 pi (frequencies p + phases))` of positions `p`.

    A float32 product would round the angle of a large position, so the position is
    split into a fraction and two digits of 12 bits, and each digit times the first 12
    bits of a frequency is exact. The error stays below 4e-6 for positions of
    magnitude below 2 ** 24.

    Args:
        frequencies: `(width,)`, float64, in turns per position.
        phases: `(width,)`, float64, in turns.
    """

    def __init__(self, frequencies: np.ndarray, phases: np.ndarray) -> None:
        self.frequencies: np.ndarray = frequencies
        self.phases: np.ndarray = phases
        self._constants: list[Constant] = [Constant(frequencies), Constant(phases)]
        for unit in (1, DIGIT):
            per_unit = frequencies * unit % 1.0
            coarse = np.floor(per_unit * DIGIT) / DIGIT
            self._constants += [Constant(coarse), Constant(per_unit - coarse)]

    def at(self, positions: Tensor) -> Tensor:
        """Return the sines at every position.

        Shapes:
            positions: `(...)`, integer or float; a tensor, or a NumPy array.
            result: `(..., width)`, a float32 tensor, or a float64 array.
        """
        if isinstance(positions, np.ndarray):
            turns = positions[..., None] * self.frequencies + self.phases
            return np.sin(2 * np.pi * turns)
        turns = self.turns(ops.expand_dims(positions, -1))
        return ops.sin(2 * np.pi * turns)

    def turns(self, positions: Tensor) -> Tensor:
        """Return the argument of every sine, in turns between -1/2 and 1/2.

        Shapes:
            positions: `(..., 1)`, or `(..., width)` for a position per channel.
            result: `(..., width)`, float32.
        """
        frequencies, phases, *digits = [c.tensor() for c in self._constants]
        positions = ops.cast(positions, "float32")
        whole = ops.floor(positions)
        high = ops.floor(whole / DIGIT)
        low = whole - DIGIT * high
        turns = (positions - whole) * frequencies + phases
        for digit, coarse, fine in ((low, *digits[:2]), (high, *digits[2:])):
            exact = digit * coarse
            turns = turns + (exact - ops.floor(exact)) + digit * fine
        return turns - ops.floor(turns + 0.5)


# the sinusoid of each axis, in channel order
SinusoidTerm: TypeAlias = Mapping[int, Sinusoid]


def sinusoidal_vectors(axes: Sequence[Tensor], terms: Sequence[SinusoidTerm]) -> Tensor:
    """Return the sum of the terms of a sinusoidal encoding.

    Shapes:
        axes: one `(...)` per axis, tensors or NumPy arrays, of shapes that broadcast.
        result: `(..., width)`, a float32 tensor or a float64 array.
    """
    vectors = [
        concatenate([sinusoid.at(axes[axis]) for axis, sinusoid in term.items()])
        for term in terms
    ]
    return add_up(vectors)


def fourier_features(
    coordinates: Sequence[Tensor], resolutions: Sequence[int | Tensor], number: int
) -> Tensor:
    """Return raw coordinates, then their sines, then their cosines.

    Each axis has `number` frequencies `f`, spaced evenly from 1 to half the
    resolution, and the features `sin(pi f c)` and `cos(pi f c)`.

    Shapes:
        coordinates: one tensor `(...)` per axis, from -1 to 1, of one shape.
        resolutions: an integer per axis, or a tensor that broadcasts with them.
        result: `(..., axes (2 number + 1))`, float32.
    """
    sines, cosines = [], []
    for coordinate, resolution in zip(coordinates, resolutions, strict=True):
        for parts, phase in ((sines, 0.0), (cosines, 0.25)):
            parts.append(_linear_sinusoid(coordinate, resolution, number, phase))
    raw = [ops.expand_dims(ops.cast(c, "float32"), -1) for c in coordinates]
    return ops.concatenate(raw + sines + cosines, axis=-1)


def _linear_sinusoid(
    coordinate: Tensor, resolution: int | Tensor, number: int, phase: float
) -> Tensor:
    """Return sines of evenly spaced frequencies, `phase` of a turn ahead."""
    if isinstance(resolution, int):
        frequencies = np.linspace(1.0, resolution / 2, number) / 2
        return Sinusoid(frequencies, np.full(number, phase)).at(coordinate)
    share = ops.arange(number, dtype="float32") / max(number - 1, 1)
    span = ops.expand_dims(ops.cast(resolution, "float32") / 4.0 - 0.5, -1)
    turns = ops.expand_dims(coordinate, -1) * (0.5 + span * share) + phase
    return ops.sin(2 * np.pi * (turns - ops.floor(turns + 0.5)))
