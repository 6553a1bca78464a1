"""Sinusoidal encodings of the coordinates of tokens."""

from collections.abc import Sequence
from typing import TypeAlias, cast

from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.combination import Terms, split_width
from keras_mmembed.positions.conventions import Convention
from keras_mmembed.positions.coordinates import (
    Coordinates,
    Size,
    int_or_tensor,
    is_per_sample,
    on_all_tokens,
    reindex,
)
from keras_mmembed.positions.grid_spec import GridSpec
from keras_mmembed.positions.interpolation import source_position
from keras_mmembed.positions.precomputed import PrecomputedGrid
from keras_mmembed.positions.sinusoid import (
    Sinusoid,
    SinusoidTerm,
    channel_frequencies,
    fourier_features,
    sinusoidal_vectors,
)


class SinusoidalEncoding:
    """Sines and cosines of coordinates, with the frequencies of a convention.

    Args:
        spec: The axes and the rules of the layer.
        terms: The terms of the encoding.
        width: Number of channels.
        max_wavelength: Longest wavelength, in positions per radian.
    """

    def __init__(
        self, spec: GridSpec, terms: Terms, width: int, max_wavelength: float
    ) -> None:
        self.spec: GridSpec = spec
        self.terms: list[SinusoidTerm] = make_sinusoids(
            spec, terms, width, max_wavelength
        )
        self.precomputed: PrecomputedGrid | None = None
        first = spec.rules.first_index
        is_whole = None not in spec.kinds
        if is_whole and not spec.rules.normalize and isinstance(first, int):
            declared = [range(first, first + size) for size in spec.sizes if size]
            is_declared = len(declared) == spec.rank
            self.precomputed = PrecomputedGrid(
                self.terms,
                width,
                spec.rules.indexing,
                declared if is_declared else None,
            )

    def at(self, coordinates: Coordinates) -> Tensor:
        """Return the encoding in float32, broadcastable to the tokens."""
        vectors = self._precomputed_at(coordinates)
        if vectors is not None:
            return vectors
        axes, sizes = on_declared_grid(self.spec, coordinates)
        rules = self.spec.rules
        if rules.normalize:
            axes = normalize(axes, sizes, rules)
        axes = reindex(axes, sizes, rules.indexing)
        vectors = sinusoidal_vectors(axes, self.terms)
        return on_all_tokens(vectors, coordinates, self.spec.kinds)

    def _precomputed_at(self, coordinates: Coordinates) -> Tensor | None:
        """Return the encoding of a regular grid of known sizes, or `None`."""
        ranges = [axis for axis in coordinates.axes if isinstance(axis, range)]
        is_regular = coordinates.is_grid and len(ranges) == len(coordinates.axes)
        is_whole = coordinates.valid is None and not coordinates.new_sizes
        if self.spec.rules.indexing != "axes":
            # it counts with the sizes of the grid, which are not those of the tokens
            sizes = _sizes_of(self.spec, coordinates)
            is_whole = is_whole and sizes == list(coordinates.sizes or ())
            is_whole = is_whole and not any(map(is_per_sample, sizes))
        if self.precomputed is None or not (is_regular and is_whole):
            return None
        return self.precomputed.at(ranges)


class FourierEncoding:
    """Fourier features of coordinates, with evenly spaced frequencies.

    Args:
        spec: The axes and the rules of the layer.
        width: Number of channels, which decides that of frequencies.
    """

    def __init__(self, spec: GridSpec, width: int) -> None:
        rank = spec.rank
        rule = f"be {rank} * (2 * bands + 1) with convention={spec.convention!r}"
        fits = width % rank == 0 and width // rank % 2 == 1 and width > rank
        checks.check(fits, spec.who, "inputs.shape[-1]", rule, width)
        self.spec: GridSpec = spec
        self.num_frequencies: int = width // rank // 2

    def at(self, coordinates: Coordinates) -> Tensor:
        """Return the encoding in float32, broadcastable to the tokens."""
        axes, sizes = on_declared_grid(self.spec, coordinates)
        sizes = [int_or_tensor(size) for size in sizes]
        scaled = [
            2.0 * ops.cast(axis, "float32") / _last_position(size) - 1.0
            for axis, size in zip(axes, sizes, strict=True)
        ]
        zeros = sum(ops.zeros_like(axis) for axis in scaled)
        features = [axis + zeros for axis in scaled]
        return fourier_features(features, sizes, self.num_frequencies)


FixedEncoding: TypeAlias = SinusoidalEncoding | FourierEncoding


def make_encoding(
    spec: GridSpec, terms: Terms, width: int, max_wavelength: float
) -> FixedEncoding:
    """Return the encoding of a convention for a number of channels."""
    if spec.rules.linear_frequencies:
        return FourierEncoding(spec, width)
    return SinusoidalEncoding(spec, terms, width, max_wavelength)


def make_sinusoids(
    spec: GridSpec, terms: Terms, width: int, max_wavelength: float
) -> list[SinusoidTerm]:
    """Return the sinusoids of each term, whose axes share the channels evenly."""
    rules, made = spec.rules, []
    for term in terms:
        if all(part.kind == "learned" for part in term):
            continue
        _check_width(spec, width, len(term))
        sinusoids = {}
        for part, share in zip(term, split_width(width, len(term)), strict=True):
            if part.kind == "learned":
                continue
            (axis,) = part.axes
            frequencies, phases = channel_frequencies(
                share, rules.layout, rules.endpoint, max_wavelength, rules.cosine_first
            )
            sinusoids[axis] = Sinusoid(frequencies * spec.scale[axis], phases)
        made.append(sinusoids)
    return made


def _check_width(spec: GridSpec, width: int, parts: int) -> None:
    """Raise if the channels cannot be shared by so many axes."""
    rules, convention = spec.rules, spec.convention
    # a sequence of an odd width ends with a channel of zeros
    if rules.layout == "halves" and parts > 1:
        rule = f"be divisible by {2 * parts} with convention={convention!r}"
        fits = width % (2 * parts) == 0
        checks.check(fits, spec.who, "inputs.shape[-1]", rule, width)
    least = parts * (4 if rules.endpoint else 2 if rules.layout == "halves" else 1)
    rule = f"be at least {least} with convention={convention!r}"
    checks.check(width >= least, spec.who, "inputs.shape[-1]", rule, width)


def on_declared_grid(
    spec: GridSpec, coordinates: Coordinates
) -> tuple[list[Tensor], list[Size]]:
    """Return the coordinates of each token and the sizes of their grid.

    Where the grid is resized, these are coordinates on the declared one.
    """
    coordinates, first = coordinates.per_token(), spec.rules.first_index
    axes = list(coordinates.axes)
    sizes = _sizes_of(spec, coordinates)
    for axis, new_size in coordinates.new_sizes.items():
        index, new_size = ops.cast(axes[axis], "float32"), ops.cast(new_size, "float32")
        size = cast(int, spec.sizes[axis])
        axes[axis] = source_position(index - first, new_size, size) + first
    return axes, sizes


def _sizes_of(spec: GridSpec, coordinates: Coordinates) -> list[Size]:
    """Return the sizes of the grid that coordinates are on once they are resized."""
    sizes = spec.sizes if coordinates.sizes is None else coordinates.sizes
    return [
        declared if spec.resizes and declared is not None else cast(Size, size)
        for size, declared in zip(sizes, spec.sizes, strict=True)
    ]


def normalize(
    axes: Sequence[Tensor], sizes: Sequence[Size], rules: Convention
) -> list[Tensor]:
    """Return coordinates as shares of the size of their axis, in radians."""
    return [
        ops.cast(axis, "float32")
        * (rules.turn / (ops.cast(int_or_tensor(size), "float32") + 1e-6))
        for axis, size in zip(axes, sizes, strict=True)
    ]


def _last_position(size: Size) -> Size:
    """Return the last position of an axis, and 1 for an axis of one token."""
    if isinstance(size, int):
        return max(size - 1, 1)
    return ops.maximum(ops.cast(size, "float32") - 1.0, 1.0)
