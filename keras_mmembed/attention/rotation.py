"""Rotary position embeddings as pure functions: what turns which channel, and turns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_mmembed.attention.rotary_conventions import Pairing, RotaryConvention
from keras_mmembed.common.sequences import product
from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.sinusoid import Sinusoid

# frequencies of a number of channels, in radians per position
FrequenciesOf = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class RotaryChannels:
    """The turn of every channel of a head: data of a convention, as arrays.

        outputs[c] = x[c] cos(angle[c]) + sign[c] x[partner[c]] sin(angle[c])
        angle[c]   = positions[axis[c]] * frequency[c]

    Attributes:
        axis: `(channels,)`, integer: the axis of the positions.
        frequency: `(channels,)`, float64, in radians per position.
        partner: `(channels,)`, integer: the other channel of the pair.
        sign: `(channels,)`: -1 for the first channel of a pair, and 1 for the second.
    """

    axis: np.ndarray
    frequency: np.ndarray
    partner: np.ndarray
    sign: np.ndarray


def rotary_channels(
    rules: RotaryConvention, sections: Sequence[int], frequencies_of: FrequenciesOf
) -> RotaryChannels:
    """Return axis, frequency, partner and sign of every channel that is turned.

    Args:
        rules: The convention.
        sections: The number of pairs of each section.
        frequencies_of: Returns the frequencies of a number of channels.
    """
    section = pair_sections(rules, sections)
    pairs = len(section)
    first, second = pair_members(rules.pairing, section)
    pair = np.empty(2 * pairs, dtype=int)
    pair[first] = pair[second] = np.arange(pairs)
    channel_section = section[pair]
    frequency = pair_frequencies(rules, section, frequencies_of)[pair]
    if rules.axis_by_channel:
        doubled = [2 * size for size in sections]
        channel_section = np.repeat(np.arange(len(sections)), doubled)
    if rules.frequency_by_channel:
        spectra = [frequencies_of(2 * size) for size in sections]
        frequency = np.concatenate([np.tile(one, 2) for one in spectra])
    partner = np.empty(2 * pairs, dtype=int)
    partner[first], partner[second] = second, first
    sign = np.ones(2 * pairs)
    sign[first] = -1.0
    axis = np.array(rules.section_axes)[channel_section]
    return RotaryChannels(axis, frequency * rules.radians, partner, sign)


def pair_sections(rules: RotaryConvention, sections: Sequence[int]) -> np.ndarray:
    """Return the section of each pair of channels."""
    pairs, number = sum(sections), len(sections)
    if rules.allocation == "round_robin":
        pair = np.arange(pairs)
        turn = pair % number
        return np.where(pair < number * np.array(sections)[turn], turn, 0)
    blocks = np.repeat(np.arange(number), sections)
    if rules.allocation == "alternate":
        shared = sections[0] + sections[1]
        blocks[:shared] = np.arange(shared) % 2
    return blocks


def pair_frequencies(
    rules: RotaryConvention, section: np.ndarray, frequencies_of: FrequenciesOf
) -> np.ndarray:
    """Return the frequency of each pair of channels."""
    if rules.spectrum == "shared":
        return frequencies_of(2 * len(section))
    frequency = np.empty(len(section))
    number = len(rules.section_axes)
    for one in range(number):
        places = np.flatnonzero(section == one)
        if rules.spectrum == "strided":
            spectrum = frequencies_of(2 * len(section))[one::number]
        else:
            spectrum = frequencies_of(2 * len(places))
        frequency[places] = spectrum
    return frequency


def pair_members(
    pairing: Pairing, section: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the second channel of each pair."""
    pair, pairs = np.arange(len(section)), len(section)
    if pairing == "interleaved":
        return 2 * pair, 2 * pair + 1
    if pairing == "halves":
        return pair, pair + pairs
    sizes = block_sizes(section)
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return pair + start, pair + start + np.repeat(sizes, sizes)


def block_sizes(section: np.ndarray) -> np.ndarray:
    """Return the number of pairs of each section, in their order."""
    return np.bincount(section)


class Rotation:
    """The turn of the channels of a head, as slices and reshapes.

    Args:
        channels: What turns each channel.
        pairing: Which channels form a pair.
        blocks: The number of pairs of each axis, for pairs of halves per axis.
        factor: Factor on sines and cosines.
    """

    def __init__(
        self,
        channels: RotaryChannels,
        pairing: Pairing,
        blocks: Sequence[int],
        factor: float,
    ) -> None:
        self.pairing: Pairing = pairing
        self.blocks: tuple[int, ...] = tuple(int(size) for size in blocks)
        self.factor: float = factor
        self.width: int = len(channels.sign)
        first = np.flatnonzero(channels.sign < 0)
        second = channels.partner[first]
        same_axis = (channels.axis[first] == channels.axis[second]).all()
        same = (
            same_axis
            and (channels.frequency[first] == channels.frequency[second]).all()
        )
        members = first if same else np.concatenate([first, second])
        self.is_per_pair: bool = bool(same)
        axis, frequency = channels.axis[members], channels.frequency[members]
        self.axis: np.ndarray | None = axis if axis.any() else None
        turns = frequency / (2 * np.pi)
        self.sinusoid: Sinusoid = Sinusoid(turns, np.zeros(len(turns)))

    def tables(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines of the angles of positions.

        Shapes:
            positions: `(..., axes)`.
            result: two of `(..., pairs)`, or `(..., channels)`, the first channel of
                each pair and then the second; float32.
        """
        if self.axis is not None:
            # no product of matrices, which would round positions
            positions = ops.take(positions, self.axis, axis=-1)
        else:
            positions = positions[..., :1]
        angles = 2 * np.pi * self.sinusoid.turns(positions)
        both = ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)
        both = computed_once(both if self.factor == 1.0 else self.factor * both)
        width = len(self.sinusoid.frequencies)
        return both[..., :width], both[..., width:]

    def apply(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """Return channels turned by their angles; those past the last pass.

        Shapes:
            x: `(batch, length, heads, channels)`, float.
            cosines, sines: what `tables` returns, with an axis for heads.
            result: as `x`.
        """
        first, second = self._split(x)
        if self.is_per_pair:
            cosine, sine = (cosines, cosines), (sines, sines)
        else:
            half = self.width // 2
            cosine = cosines[..., :half], cosines[..., half:]
            sine = sines[..., :half], sines[..., half:]
        turned = (
            first * cosine[0] - second * sine[0],
            second * cosine[1] + first * sine[1],
        )
        return self._join(x, *turned)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first and second channels of all pairs."""
        half = self.width // 2
        if self.pairing == "halves":
            return x[..., :half], x[..., half : self.width]
        if self.pairing == "interleaved":
            pairs = ops.reshape(x[..., : self.width], (*ops.shape(x)[:-1], half, 2))
            return pairs[..., 0], pairs[..., 1]
        parts: tuple[list[Tensor], list[Tensor]] = ([], [])
        start = 0
        for size in self.blocks:
            parts[0].append(x[..., start : start + size])
            parts[1].append(x[..., start + size : start + 2 * size])
            start += 2 * size
        return ops.concatenate(parts[0], axis=-1), ops.concatenate(parts[1], axis=-1)

    def _join(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Return pairs as channels again, with the channels of `x` that are left."""
        rest = [x[..., self.width :]] if x.shape[-1] > self.width else []
        if self.pairing == "halves":
            return ops.concatenate([first, second, *rest], axis=-1)
        if self.pairing == "interleaved":
            pairs = ops.stack([first, second], axis=-1)
            shape = (*ops.shape(x)[:-1], self.width)
            turned = ops.reshape(pairs, shape)
            return ops.concatenate([turned, *rest], axis=-1) if rest else turned
        parts, start = [], 0
        for size in self.blocks:
            span = slice(start, start + size)
            parts += [first[..., span], second[..., span]]
            start += size
        return ops.concatenate([*parts, *rest], axis=-1)


def computed_once(x: Tensor) -> Tensor:
    """Return `(..., channels)` as it is, by an operation that XLA does not fuse.

    It would compute the sines anew for every head that they turn.
    """
    backend, shape = keras.backend.backend(), ops.shape(x)
    rows = product(shape[:-1])
    # a number that JAX does not know is that of an export of unknown length
    is_known = isinstance(rows, int) or backend == "tensorflow"
    if backend == "torch" or isinstance(x, keras.KerasTensor) or not is_known:
        return x
    flat = ops.reshape(x, (rows, shape[-1]))
    return ops.reshape(ops.segment_sum(flat, ops.arange(rows), rows), shape)


def center_coordinates(positions: Tensor, grid: Tensor) -> Tensor:
    """Return the centers of positions in a grid that spans -1 to 1; 0 for negatives.

    Shapes:
        positions: `(..., axes)`.
        grid: sizes that broadcast with `positions`.
        result: as `positions`, float32.
    """
    positions = ops.cast(positions, "float32")
    centers = (2.0 * positions + 1.0) / ops.cast(grid, "float32") - 1.0
    return ops.where(positions < 0.0, ops.zeros_like(centers), centers)


def largest_sizes(positions: Tensor) -> Tensor:
    """Return the size of the grid that holds all positions of a sample.

    Shapes:
        positions: `(..., length, axes)`.
        result: `(..., 1, axes)`, at least 1.
    """
    last = ops.max(positions, axis=-2, keepdims=True, initial=0)
    return ops.floor(ops.cast(last, "float32")) + 1.0
