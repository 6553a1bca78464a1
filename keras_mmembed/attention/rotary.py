"""The layer that turns queries and keys by the positions of their tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_mmembed.attention.call_positions import check_axes, standardize_axes
from keras_mmembed.attention.rotary_conventions import (
    ROTARY_CONVENTION_NAMES,
    ROTARY_CONVENTIONS,
    RotaryConvention,
    RotaryConventionName,
)
from keras_mmembed.attention.rotary_scaling import (
    RotaryScaling,
    check_factors,
    check_scaling,
    scaled_frequencies,
)
from keras_mmembed.attention.rotation import (
    RotaryChannels,
    Rotation,
    center_coordinates,
    largest_sizes,
    rotary_channels,
)
from keras_mmembed.common import checks, tensors
from keras_mmembed.common.call_arguments import standardize
from keras_mmembed.common.describe import describe
from keras_mmembed.common.types import Config, LayerArguments, Shape, Tensor
from keras_mmembed.positions.call_arguments import as_array

WHO = "RotaryEmbedding"


@keras.saving.register_keras_serializable(package="keras_mmembed")
class RotaryEmbedding(keras.layers.Layer):
    """Rotary position embedding (RoPE) of queries or keys, on one to four axes.

    Channels are turned in pairs, by angles that grow with the position:

        outputs[c] = inputs[c] cos(angle[c]) + sign[c] inputs[partner[c]] sin(angle[c])
        angle[c]   = positions[axis[c]] frequency[c]

    so that the product of a query and a key depends on the difference of their
    positions. The convention is the published rule for axis, frequency, partner and
    sign of each channel. Channels that it leaves out pass unchanged.

    Shapes:
        inputs: `(batch, length, heads, head_dim)`.
        positions: of one axis `(length,)` or `(batch, length)`; of more
            `(length, axes)` or `(batch, length, axes)`; integer or float.
        grid: `(axes,)` or `(batch, axes)`, integer.
        outputs: as `inputs`, compute dtype.

    Args:
        convention: Whose rule: `"llama"` (default), `"gptj"`, `"glm"`, `"qwen2_vl"`,
            `"qwen3_vl"`, `"qwen3_5"`, `"glm4v"`, `"ernie4_5_vl"`, `"hunyuan_vl"`,
            `"qwen2_vl_vision"`, `"gemma4_vision"`, `"pixtral"`, `"llama4_vision"`,
            `"dinov3"` or `"vjepa2"`; see
            `keras_mmembed.attention.rotary_conventions`.
        sections: Number of pairs of channels of each axis, for conventions that share
            one spectrum among axes, in the order of the published configuration.
            Defaults to `None`, those of the published model, scaled to the heads.
        max_wavelength: The base of the frequencies (`rope_theta`), in positions per
            radian. Defaults to `None`, that of the convention.
        fraction: Share of the channels of a head that are turned. Defaults to `None`,
            that of the convention, mostly 1.
        scaling: How frequencies are changed for longer sequences, a dict with the keys
            of published configurations: `rope_type` (`"linear"`, `"dynamic"`,
            `"ntk_alpha"`, `"yarn"`, `"llama3"`, `"longrope"` or `"proportional"`),
            `factor`, `original_max_position_embeddings`, ...; and `max_length`, the
            length of the longest call, for `"dynamic"` and `"longrope"`. Defaults to
            `None`, no scaling.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Queries or keys.
        positions: Position of each token on each axis: (row, column) of an image,
            (frame, row, column) of a clip, what `rotary_positions` returns of a mixed
            sequence. With `"dinov3"` and `"llama4_vision"`, a token with negative
            positions, such as a class token, is not turned.
        grid: The size of each axis, for `"dinov3"`, whose angles depend on it. Defaults
            to `None`, the largest position of each sample + 1.

    Masking: the mask of `inputs` is passed on unchanged.

    Precision: angles are exact to 4e-6 for positions below 2 ** 24 in every dtype; the
    turn is computed in float32 and rounded once.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if the convention, the scaling or one of its keys is unknown, if
            sections do not add up to the pairs of a head, if the axes cannot share its
            channels, or if positions have another number of axes.

    Example:
    The product of a query and a key depends on the offset only:

    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import RotaryEmbedding
    >>> layer = RotaryEmbedding()
    >>> query = np.random.default_rng(0).normal(size=(1, 1, 1, 64))
    >>> key = np.random.default_rng(1).normal(size=(1, 1, 1, 64))
    >>> near = keras.ops.sum(layer(query, np.array([7])) * layer(key, np.array([5])))
    >>> far = keras.ops.sum(layer(query, np.array([907])) * layer(key, np.array([905])))
    >>> bool(abs(near - far) < 1e-4)
    True

    References:
        J. Su et al., "RoFormer", 2021, https://arxiv.org/abs/2104.09864.
        P. Wang et al., "Qwen2-VL", 2024, section 2.1,
        https://arxiv.org/abs/2409.12191 (sections of several axes).
        B. Peng et al., "YaRN", 2023, https://arxiv.org/abs/2309.00071 (scaling).
    """

    def __init__(
        self,
        convention: RotaryConventionName = "llama",
        *,
        sections: Sequence[int] | None = None,
        max_wavelength: float | None = None,
        fraction: float | None = None,
        scaling: RotaryScaling | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        # positions must not be rounded to half precision on their way in
        super().__init__(autocast=False, **checks.layer_options(WHO, kwargs))
        self.supports_masking = True
        self.convention: RotaryConventionName = checks.check_choice(
            WHO, "convention", convention, ROTARY_CONVENTION_NAMES
        )
        self._rules: RotaryConvention = ROTARY_CONVENTIONS[self.convention]
        self.sections: tuple[int, ...] | None = self._check_sections(sections)
        self.max_wavelength: float | None = max_wavelength
        if max_wavelength is not None:
            self.max_wavelength = checks.check_number(
                WHO, "max_wavelength", max_wavelength, 1
            )
        self.fraction: float | None = fraction
        if fraction is not None:
            self.fraction = checks.check_number(WHO, "fraction", fraction, 0, 1)
        self.scaling: RotaryScaling | None = check_scaling(WHO, scaling)
        self._rotation: Rotation | None = None
        self._head_dim: int | None = None

    def __repr__(self) -> str:
        return describe(self)

    @property
    def num_axes(self) -> int:
        """Number of axes of a position."""
        return len(self._rules.axes)

    def build(self, inputs_shape: Shape, positions_shape: Shape | None = None) -> None:
        self._check_shape(inputs_shape)
        head_dim = tuple(inputs_shape)[-1]
        rule = "have a last axis of known size"
        checks.check(head_dim, WHO, "inputs.shape", rule, tuple(inputs_shape))
        if positions_shape is not None:
            shape = checks.known_shape(positions_shape)
            check_axes(WHO, "positions", shape, self.num_axes)
        self._head_dim = int(head_dim or 0)
        sections = self._sections_of(self._head_dim)
        channels, factor = self._channels_of(sections)
        self._rotation = Rotation(channels, self._rules.pairing, sections, factor)
        self.built = True

    def channels(self, head_dim: int) -> RotaryChannels:
        """Return what turns each channel of a head: axis, frequency, partner, sign."""
        return self._channels_of(self._sections_of(head_dim))[0]

    if TYPE_CHECKING:

        def __call__(
            self, inputs: Tensor, positions: Tensor, grid: Tensor | None = None
        ) -> Tensor: ...

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            names = ("inputs", "positions")
            args, kwargs = standardize(WHO, args, kwargs, names, ("grid",))
            return super().__call__(*args, **kwargs)

    def call(
        self, inputs: Tensor, positions: Tensor, grid: Tensor | None = None
    ) -> Tensor:
        self._check_inputs(inputs, positions, grid)
        return self.rotate(inputs, self.rotations(positions, grid))

    def rotations(
        self, positions: Tensor, grid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return cosines and sines of a built layer, for several calls of `rotate`.

        The arguments are those of a call. All layers of a model that have the same
        rotary embedding may share the result.
        """
        positions = standardize_axes(WHO, "positions", positions, self.num_axes)
        coordinates = self._coordinates(positions, grid)
        cosines, sines = self._built_rotation().tables(coordinates)
        return ops.expand_dims(cosines, -2), ops.expand_dims(sines, -2)

    def rotate(self, inputs: Tensor, rotations: tuple[Tensor, Tensor]) -> Tensor:
        """Return queries or keys turned by what `rotations` returns."""
        dtype = tensors.float32_or_better(self.compute_dtype)
        turned = self._built_rotation().apply(
            ops.cast(inputs, dtype), *(ops.cast(table, dtype) for table in rotations)
        )
        return ops.cast(turned, self.compute_dtype)

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> Any:
        return previous_mask

    def compute_output_shape(
        self, inputs_shape: Shape, positions_shape: Shape | None = None
    ) -> Shape:
        return tuple(inputs_shape)

    def compute_output_spec(
        self, inputs: Tensor, positions: Tensor, grid: Tensor | None = None
    ) -> keras.KerasTensor:
        self._check_inputs(inputs, positions, grid)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "convention": self.convention,
            "sections": None if self.sections is None else list(self.sections),
            "max_wavelength": self.max_wavelength,
            "fraction": self.fraction,
            "scaling": None if self.scaling is None else dict(self.scaling),
        }

    @property
    def rotations_width(self) -> int:
        """Number of channels of what `rotations` returns of a built layer."""
        return len(self._built_rotation().sinusoid.frequencies)

    def _built_rotation(self) -> Rotation:
        rule = "be built, by a call or by `build`"
        checks.check(self._rotation is not None, WHO, "layer", rule, "an unbuilt layer")
        assert self._rotation is not None
        return self._rotation

    def _coordinates(self, positions: Tensor, grid: Tensor | None) -> Tensor:
        """Return what channels are turned by, of the same shape as positions."""
        kind = self._rules.coordinates
        if kind == "index":
            return positions
        if kind == "index_from_1":
            return ops.maximum(positions + 1, 0)
        if grid is None:
            return center_coordinates(positions, largest_sizes(positions))
        sizes = ops.convert_to_tensor(_standardize_grid(grid))
        is_per_sample = len(sizes.shape) == 2
        sizes = ops.expand_dims(sizes, 1) if is_per_sample else sizes
        return center_coordinates(positions, sizes)

    def _channels_of(self, sections: tuple[int, ...]) -> tuple[RotaryChannels, float]:
        """Return what turns each channel, and the factor on sines and cosines."""
        base = self.max_wavelength or self._rules.max_wavelength

        def frequencies_of(width: int) -> np.ndarray:
            return scaled_frequencies(base, width, self.scaling)[0]

        width = 2 * sum(sections)
        spectrum_width = 2 * sections[0] if self._is_per_axis else width
        check_factors(WHO, self.scaling, spectrum_width // 2)
        _, factor = scaled_frequencies(base, spectrum_width, self.scaling)
        return rotary_channels(self._rules, sections, frequencies_of), factor

    @property
    def _is_per_axis(self) -> bool:
        return self._rules.spectrum == "per_axis"

    def _sections_of(self, head_dim: int) -> tuple[int, ...]:
        """Return the number of pairs of each section."""
        rules = self._rules
        fraction = rules.fraction if self.fraction is None else self.fraction
        width, axes = int(head_dim * fraction), len(rules.section_axes)
        remedy = (
            "" if fraction == 1.0 else f"The fraction that is turned is {fraction}."
        )
        if rules.leaves_rest:
            pairs = width // axes // 2
            rule = f"be at least {2 * axes}"
            checks.check(pairs, WHO, "inputs.shape[-1]", rule, head_dim, remedy)
            return (pairs,) * axes
        shares = 1 if rules.sections else axes
        fits = width > 0 and width % (2 * shares) == 0
        rule = f"have a multiple of {2 * shares} channels that are turned"
        checks.check(fits, WHO, "inputs.shape[-1]", rule, head_dim, remedy)
        kinds = ("dynamic", "ntk_alpha")
        stretches = self.scaling is not None and self.scaling["rope_type"] in kinds
        rule = f"be at least 4 with scaling of type {kinds}"
        fits = not stretches or width // (axes if self._is_per_axis else 1) > 2
        checks.check(fits, WHO, "inputs.shape[-1]", rule, head_dim)
        if not rules.sections:
            return (width // 2 // axes,) * axes
        return self._shared_sections(width // 2, rules.sections)

    def _shared_sections(
        self, pairs: int, published: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return the sections of one spectrum: configured, or as published."""
        rule = f"add up to {pairs}, the pairs of channels that are turned"
        if self.sections is not None:
            fits = sum(self.sections) == pairs
            checks.check(fits, WHO, "sections", rule, list(self.sections))
            return self.sections
        total = sum(published)
        fits = not any(one * pairs % total for one in published)
        rule = f"{rule}; those of {self.convention}, {published}, do not scale to it"
        checks.check(fits, WHO, "sections", rule, None)
        return tuple(one * pairs // total for one in published)

    def _check_sections(self, sections: Any) -> tuple[int, ...] | None:
        if sections is None:
            return None
        rule = f"be None with convention={self.convention!r}"
        fits = self._rules.sections is not None
        checks.check(fits, WHO, "sections", rule, repr(sections))
        number = len(self._rules.section_axes)
        rule = f"be a list of {number} integers"
        fits = isinstance(sections, (list, tuple)) and len(sections) == number
        checks.check(fits, WHO, "sections", rule, repr(sections))
        return tuple(
            checks.check_integer(WHO, f"sections[{i}]", size, minimum=0)
            for i, size in enumerate(sections)
        )

    def _check_shape(self, shape: Shape) -> None:
        shape = checks.known_shape(shape)
        axes = "(batch, length, heads, head_dim)"
        checks.check_rank(WHO, "inputs.shape", shape, (4,), axes)
        rule = f"be {self._head_dim}, as the layer was built for"
        fits = self._head_dim is None or shape[-1] in (None, self._head_dim)
        checks.check(fits, WHO, "inputs.shape[-1]", rule, shape[-1])

    def _check_inputs(
        self, inputs: Tensor, positions: Tensor, grid: Tensor | None
    ) -> None:
        tensors.check_kind(WHO, "inputs", inputs, "float", "Cast them to floats.")
        self._check_shape(inputs.shape)
        positions = as_array(WHO, "positions", positions, "be numbers")
        tensors.check_kind(WHO, "positions", positions, "number", "")
        shape = checks.known_shape(positions.shape)
        check_axes(WHO, "positions", shape, self.num_axes)
        bare: Shape = shape if self.num_axes == 1 and len(shape) < 3 else shape[:-1]
        batch, length = checks.known_shape(inputs.shape)[:2]
        rule = f"hold a position for each of the {length} tokens"
        agrees = checks.shapes_match(bare[-1:], (length,))
        checks.check(agrees, WHO, "positions.shape", rule, shape)
        rule = f"hold positions for each of the {batch} samples, or the same for all"
        agrees = bare[:-1] in ((), (1,))
        agrees = agrees or checks.shapes_match(bare[:1], (batch,))
        checks.check(agrees, WHO, "positions.shape", rule, shape)
        if grid is None:
            return
        rule = "be None with a convention whose angles do not depend on it"
        fits = self._rules.coordinates == "centers"
        sizes = _standardize_grid(grid)
        shape, axes = checks.known_shape(sizes.shape), self.num_axes
        checks.check(fits, WHO, "grid", rule, shape)
        rule = f"be ({axes},) or (batch, {axes})"
        fits = len(shape) in (1, 2) and shape[-1] in (None, axes)
        checks.check(fits, WHO, "grid.shape", rule, shape)
        rule = f"hold sizes for each of the {batch} samples, or the same for all"
        agrees = len(shape) == 1 or shape[0] in (None, 1, batch) or batch is None
        checks.check(agrees, WHO, "grid.shape", rule, shape)
        tensors.check_range(WHO, "grid", sizes, 1, checks.LARGEST)


def _standardize_grid(grid: Any) -> Tensor:
    grid = as_array(WHO, "grid", grid, "be integers")
    tensors.check_kind(WHO, "grid", grid, "integer")
    return grid
