"""Positions to sines and cosines: pure functions."""

import numpy as np
from keras import ops

from keras_mmembed.positions.constant import Constant

# positions are split at this power of two, so that partial products are exact
DIGIT = 4096


def spectrum(width, layout, endpoint, max_wavelength):
    """Return the frequency and the phase of every channel.

    Channel `c` of position `p` is `sin(2 pi (frequency[c] p + phase[c]))`; a cosine
    is a sine a quarter of a turn ahead. With `h = width / 2` pairs, pair `i` has the
    wavelength `2 pi max_wavelength ** (i / h)`, or `i / (h - 1)` with `endpoint`.

    Returns:
        Two float64 arrays of shape `(width,)`: turns per position, and turns.
    """
    pair = np.arange((width + 1) // 2)
    exponent = pair / (width / 2 - 1) if endpoint else pair / (width / 2)
    frequency = float(max_wavelength) ** -exponent / (2 * np.pi)
    quarter = np.full(len(pair), 0.25)
    if layout == "interleaved":
        frequencies = np.repeat(frequency, 2)
        phases = np.stack([0 * quarter, quarter], axis=-1).ravel()
    else:
        frequencies = np.concatenate([frequency, frequency])
        phases = np.concatenate([0 * quarter, quarter])
    return frequencies[:width], phases[:width]


class Waves:
    """The sines `sin(2 pi (frequencies p + phases))` of positions `p`.

    A float32 product would lose the turn of a large position, so the position is
    split in a fraction and two digits of 12 bits, and each digit times the first 12
    bits of a frequency is exact. The error stays below 4e-6 for positions of
    magnitude below 2 ** 24.

    Args:
        frequencies: `(width,)`, float64 NumPy array, in turns.
        phases: Likewise.
    """

    def __init__(self, frequencies, phases):
        self.frequencies, self.phases = frequencies, phases
        self._constants = [Constant(frequencies), Constant(phases)]
        for unit in (1, DIGIT):
            per_unit = frequencies * unit % 1.0
            coarse = np.floor(per_unit * DIGIT) / DIGIT
            self._constants += [Constant(coarse), Constant(per_unit - coarse)]

    def at(self, positions):
        """Return the sines at every position.

        Shapes:
            positions: `(...)`, integer or float; a tensor, or a NumPy array.
            result: `(..., width)`, a float32 tensor, or a float64 array.
        """
        if isinstance(positions, np.ndarray):
            turns = positions[..., None] * self.frequencies + self.phases
            return np.sin(2 * np.pi * turns)
        frequencies, phases, *digits = [c.tensor() for c in self._constants]
        positions = ops.expand_dims(ops.cast(positions, "float32"), -1)
        whole = ops.floor(positions)
        high = ops.floor(whole / DIGIT)
        low = whole - DIGIT * high
        turns = (positions - whole) * frequencies + phases
        for digit, coarse, fine in ((low, *digits[:2]), (high, *digits[2:])):
            exact = digit * coarse
            turns = turns + (exact - ops.floor(exact)) + digit * fine
        return ops.sin(2 * np.pi * (turns - ops.floor(turns + 0.5)))


def fourier_features(coordinates, resolutions, num_bands):
    """Return raw coordinates, then their sines, then their cosines.

    For each axis the bands are `num_bands` frequencies spaced evenly from 1 to half
    the resolution, and the waves are `sin(pi f c)` and `cos(pi f c)`.

    Shapes:
        coordinates: one tensor `(...)` per axis, from -1 to 1, of one shape.
        resolutions: an integer per axis, or a tensor that broadcasts with them.
        result: `(..., axes (2 num_bands + 1))`, float32.
    """
    sines, cosines = [], []
    for coordinate, resolution in zip(coordinates, resolutions, strict=True):
        for waves, phase in ((sines, 0.0), (cosines, 0.25)):
            waves.append(_bands(coordinate, resolution, num_bands, phase))
    raw = [ops.expand_dims(ops.cast(c, "float32"), -1) for c in coordinates]
    return ops.concatenate(raw + sines + cosines, axis=-1)


def _bands(coordinate, resolution, num_bands, phase):
    """Return the waves of one axis, `phase` of a turn ahead."""
    if isinstance(resolution, int):
        turns = np.linspace(1.0, resolution / 2, num_bands) / 2
        return Waves(turns, np.full(num_bands, phase)).at(coordinate)
    share = ops.arange(num_bands, dtype="float32") / max(num_bands - 1, 1)
    widest = ops.expand_dims(ops.cast(resolution, "float32") / 4.0 - 0.5, -1)
    turns = ops.expand_dims(coordinate, -1) * (0.5 + widest * share) + phase
    return ops.sin(2 * np.pi * (turns - ops.floor(turns + 0.5)))
