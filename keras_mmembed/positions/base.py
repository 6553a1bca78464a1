"""The base class of the position layers of one, two and three axes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import keras
from keras import initializers, ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.calls import clear_calls
from keras_mmembed.common.describe import describe
from keras_mmembed.common.types import (
    Config,
    Initializer,
    LayerArguments,
    Shape,
    Tensor,
)
from keras_mmembed.positions import checks as position_checks
from keras_mmembed.positions import options, tables
from keras_mmembed.positions.arrangement import arrange, zero_invalid
from keras_mmembed.positions.call_arguments import (
    standardize_call,
    standardize_grid,
    standardize_mask,
    standardize_positions,
    standardize_start,
)
from keras_mmembed.positions.combination import Terms, concatenate, make_terms
from keras_mmembed.positions.conventions import (
    AxisKind,
    AxisKinds,
    Combination,
    ConventionName,
    Kind,
)
from keras_mmembed.positions.coordinates import Coordinates
from keras_mmembed.positions.grid_spec import (
    OUT_OF_RANGE,
    GridSizes,
    GridSpec,
    OutOfRange,
)
from keras_mmembed.positions.interpolation import INTERPOLATIONS, Interpolation
from keras_mmembed.positions.learned_encoding import combined_vectors, table_shapes
from keras_mmembed.positions.locate import locate, split_positions
from keras_mmembed.positions.out_of_range import bound
from keras_mmembed.positions.sinusoid import SinusoidTerm
from keras_mmembed.positions.sinusoidal_encoding import (
    FixedEncoding,
    make_encoding,
    make_sinusoids,
)


@clear_calls
class PositionEmbedding(keras.layers.Layer):
    """Positional encoding over the axes whose sizes a subclass names.

    A subclass names its sizes in `size_names`, the `combinations` of its axes, and
    the `default_combination` of each kind of encoding.
    """

    size_names: ClassVar[tuple[str, ...]] = ()
    combinations: ClassVar[tuple[Combination, ...]] = ()
    default_combination: ClassVar[Mapping[Kind, Combination]] = {}

    embeddings: keras.Variable
    prefix_embeddings: keras.Variable

    def __init__(
        self,
        sizes: Sequence[int | None],
        *,
        kind: AxisKinds,
        convention: ConventionName,
        combination: Combination | None,
        axis_order: Sequence[str] | None,
        cosine_first: bool | None,
        offset: float | None,
        scale: float | Sequence[float],
        max_wavelength: float,
        interpolation: Interpolation | None,
        antialias: bool,
        align_corners: bool,
        out_of_range: OutOfRange,
        num_prefix_tokens: int,
        block_size: int,
        embeddings_initializer: Initializer,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        # float positions must not be rounded to half precision on their way in
        who = type(self).__name__
        super().__init__(autocast=False, **checks.layer_options(who, kwargs))
        self.supports_masking = True
        kinds = options.check_kinds(who, kind, self.size_names)
        self.kind: AxisKind | tuple[AxisKind, ...] = options.shortest(kinds)
        for name, size, one in zip(self.size_names, sizes, kinds, strict=True):
            setattr(self, name, position_checks.check_size(who, name, size, one))
        self.convention: ConventionName = options.check_convention(
            who, convention, kinds
        )
        self.combination: Combination | None = options.check_combination(
            who, combination, self.combinations, kinds
        )
        self.axis_order: tuple[str, ...] | None = options.check_axis_order(
            who, axis_order, self.size_names
        )
        self.cosine_first: bool | None = options.check_cosine(who, cosine_first)
        self.offset: float | None = options.check_offset(who, offset)
        scales = options.check_scale(who, scale, self.size_names)
        self.scale: float | tuple[float, ...] = options.shortest(scales)
        self.max_wavelength: float = checks.check_number(
            who, "max_wavelength", max_wavelength, 0
        )
        self.interpolation: Interpolation | None = checks.check_choice(
            who, "interpolation", interpolation, (*INTERPOLATIONS, None)
        )
        check_flag = partial(checks.check_flag, who)
        self.antialias: bool = check_flag("antialias", antialias)
        self.align_corners: bool = check_flag("align_corners", align_corners)
        self.out_of_range: OutOfRange = checks.check_choice(
            who, "out_of_range", out_of_range, OUT_OF_RANGE
        )
        self.num_prefix_tokens: int = checks.check_integer(
            who, "num_prefix_tokens", num_prefix_tokens, minimum=0
        )
        self.block_size: int = checks.check_integer(who, "block_size", block_size)
        self.embeddings_initializer: Initializer = tables.default_initializer(
            embeddings_initializer, who
        )
        self._spec: GridSpec = options.make_spec(self, kinds, scales)
        position_checks.check_resizing(self._spec)
        self._terms: Terms = make_terms(
            self._spec.rules,
            kinds,
            self.combination,
            self.default_combination[self._spec.main_kind],
        )
        options.check_effects(self, self._spec, self._terms)
        self._table_names: tuple[str, ...] = ()
        self._fixed_encoding: FixedEncoding | None = None
        self._sinusoids: list[SinusoidTerm] = []
        self._width: int | None = None

    def build(self, inputs_shape: Shape) -> None:
        width = position_checks.check_width(self._spec, inputs_shape)
        if not self._spec.has_tables:
            self._fixed_encoding = make_encoding(
                self._spec, self._terms, width, self.max_wavelength
            )
        else:
            self._build_tables(width)
            self._sinusoids = make_sinusoids(
                self._spec, self._terms, width, self.max_wavelength
            )
        self._width = width
        self.built = True

    def _build_tables(self, width: int) -> None:
        shapes = table_shapes(self._spec, self._terms, width)
        self._table_names = tuple(shapes)
        if self.num_prefix_tokens:
            shapes["prefix_embeddings"] = (self.num_prefix_tokens, width)
        for name, shape in shapes.items():
            initializer = tables.clone_initializer(self.embeddings_initializer)
            weight = self.add_weight(
                name=name, shape=shape, initializer=initializer, autocast=False
            )
            setattr(self, name, weight)

    def call(
        self,
        inputs: Tensor,
        positions: Tensor = None,
        start_index: int | Tensor = 0,
        mask: Tensor = None,
        grid: GridSizes | None = None,
    ) -> Tensor:
        position_checks.check_inputs(self._spec, inputs, self._width)
        vectors = self.encode_tokens(inputs, positions, start_index, mask, grid)
        return tensors.add_once(self, inputs, vectors)

    if TYPE_CHECKING:
        __call__ = call
    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            args, kwargs = standardize_call(self._spec.who, args, kwargs)
            return super().__call__(*args, **kwargs)

    def encode(self, positions: Tensor) -> Tensor:
        """Return the vectors of positions, `(..., width)`, in float32.

        They are those that a call adds to tokens with these `positions`. The layer is
        built by a call or by `build((None, None, width))`.

        Args:
            positions: `(...)` for one axis, such as `(length,)` or `(batch, length)`;
                else `(..., axes)`, a coordinate for each axis.
        """
        checks.check_built(self)
        positions = standardize_positions(self._spec.who, positions)
        position_checks.check_encoded(self._spec, positions)
        coordinates = bound(self._spec, split_positions(self._spec, positions, 1))
        return zero_invalid(self._vectors(coordinates), coordinates.valid)

    def encode_tokens(
        self,
        inputs: Tensor,
        positions: Tensor = None,
        start_index: int | Tensor = 0,
        mask: Tensor = None,
        grid: GridSizes | None = None,
    ) -> Tensor:
        """Return the vectors of the tokens of a call, broadcastable to `inputs`.

        They are float32, those of prefix tokens included. There is no batch axis where
        all samples have the same, so that they can be added to other terms before they
        are broadcast. The arguments are those of a call.
        """
        spec = self._spec
        arguments = self._standardize(positions, start_index, mask, grid)
        position_checks.check_call(spec, inputs, *arguments)
        coordinates = bound(spec, locate(spec, inputs, *arguments))
        vectors = zero_invalid(self._vectors(coordinates), coordinates.valid)
        prefix = getattr(self, "prefix_embeddings", None)
        return self._arrange(vectors, inputs, coordinates.token_rank, prefix)

    def token_positions(
        self,
        inputs: Tensor,
        positions: Tensor = None,
        start_index: int | Tensor = 0,
        mask: Tensor = None,
        grid: GridSizes | None = None,
    ) -> Tensor:
        """Return the coordinates of each token, `(..., tokens, axes)`, in float32.

        Those of prefix tokens are 0. There is no batch axis where all samples have the
        same. The arguments are those of a call.
        """
        arguments = self._standardize(positions, start_index, mask, grid)
        coordinates = locate(self._spec, inputs, *arguments)
        axes = coordinates.per_token().axes
        vectors = concatenate([ops.cast(axis, "float32")[..., None] for axis in axes])
        return self._arrange(vectors, inputs, coordinates.token_rank)

    def check_shapes(
        self,
        shape: Shape,
        positions: Tensor = None,
        start_index: int | Tensor = 0,
        mask: Tensor = None,
        grid: GridSizes | None = None,
    ) -> None:
        """Raise for inputs of a shape that the layer cannot encode.

        Args:
            shape: The shape of the inputs, `None` for sizes that are unknown.
            positions: As in a call.
            start_index: As in a call.
            mask: As in a call.
            grid: As in a call.
        """
        arguments = self._standardize(positions, start_index, mask, grid)
        position_checks.check_shapes(self._spec, shape, *arguments)

    @property
    def skips_masked(self) -> bool:
        """Whether only valid tokens are counted."""
        return self._spec.rules.skips_masked

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor) -> Tensor:
        return previous_mask

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        self.check_shapes(inputs_shape)
        return tuple(inputs_shape)

    def compute_output_spec(
        self,
        inputs: Tensor,
        positions: Tensor = None,
        start_index: int | Tensor = 0,
        mask: Tensor = None,
        grid: GridSizes | None = None,
    ) -> keras.KerasTensor:
        position_checks.check_inputs(self._spec, inputs, self._width)
        self.check_shapes(inputs.shape, positions, start_index, mask, grid)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        names = (*self.size_names, *options.NAMES)
        values = {name: getattr(self, name) for name in names}
        initializer = initializers.serialize(self.embeddings_initializer)
        return {
            **super().get_config(),
            **{n: list(v) if isinstance(v, tuple) else v for n, v in values.items()},
            "embeddings_initializer": initializer,
        }

    def __repr__(self) -> str:
        return describe(self)

    def _standardize(
        self,
        positions: Tensor,
        start_index: int | Tensor,
        mask: Tensor,
        grid: GridSizes | None,
    ) -> tuple[Tensor, int | Tensor, Tensor, GridSizes | None]:
        """Return the arguments of a call as tensors or integers."""
        who = self._spec.who
        return (
            standardize_positions(who, positions),
            standardize_start(who, start_index),
            standardize_mask(who, mask),
            standardize_grid(self._spec, grid),
        )

    def _vectors(self, coordinates: Coordinates) -> Tensor:
        """Return the encoding of coordinates, in float32."""
        if self._fixed_encoding is not None:
            return self._fixed_encoding.at(coordinates)
        weights = [ops.cast(getattr(self, n), "float32") for n in self._table_names]
        return combined_vectors(
            self._spec, coordinates, weights, self._terms, self._sinusoids
        )

    def _arrange(
        self, vectors: Tensor, inputs: Tensor, token_rank: int, prefix: Tensor = None
    ) -> Tensor:
        """Return vectors in the shape of the tokens, those of prefix tokens first."""
        if self.num_prefix_tokens and prefix is None:
            prefix = ops.zeros((self.num_prefix_tokens, vectors.shape[-1]))
        return arrange(vectors, inputs, self._spec.rank, token_rank, prefix)
