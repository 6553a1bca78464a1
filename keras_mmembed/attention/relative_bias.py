"""The layer that computes a bias of attention scores from relative positions."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

import keras
import numpy as np
from keras import initializers, ops

from keras_mmembed.attention.bias_call_checks import (
    check_call_grid,
    check_positions,
)
from keras_mmembed.attention.bias_checks import check_grid, check_per_term, make_terms
from keras_mmembed.attention.bias_conventions import (
    BIAS_CONVENTION_NAMES,
    BIAS_CONVENTIONS,
    BiasConvention,
    BiasConventionName,
    BiasTerm,
)
from keras_mmembed.attention.call_positions import check_axes, standardize_axes
from keras_mmembed.attention.offsets import (
    alibi_slopes,
    bucket_bias,
    grid_bias,
    log_buckets,
    offsets,
    resize_offset_table,
    slope_bias,
)
from keras_mmembed.common import checks
from keras_mmembed.common.call_arguments import standardize
from keras_mmembed.common.describe import describe
from keras_mmembed.common.types import (
    Config,
    Initializer,
    LayerArguments,
    Shape,
    Tensor,
)
from keras_mmembed.positions import tables
from keras_mmembed.positions.interpolation import (
    INTERPOLATIONS,
    Interpolation,
    Kernel,
    check_kernel,
)

WHO = "RelativePositionBias"


@keras.saving.register_keras_serializable(package="keras_mmembed")
class RelativePositionBias(keras.layers.Layer):
    """Relative position bias, added to the scores of an attention layer.

    The bias of head `h` for query `q` and key `k` depends on the offset of their
    positions:

        outputs[h, q, k] = scale sum_a embeddings_a[bucket(p[k, a] - p[q, a]), h]
        outputs[h, q, k] = scale embeddings[p[q] - p[k], h]                 of a grid
        outputs[h, q, k] = -scale 2 ** (-8 h / num_heads) |p[k] - p[q]|     ALiBi

    where `p` are positions, `a` their axes, and near offsets have a bucket each, far
    ones a bucket of logarithmic size.

    Shapes:
        positions: of one axis `(length,)` or `(batch, length)`; of more
            `(length, axes)` or `(batch, length, axes)`; integer or float.
        key_positions: as `positions`, of another length.
        outputs: `(batch or 1, num_heads, length, key length)`, compute dtype.
        embeddings: `(num_buckets, num_heads)` with `"t5"`; `(2 size - 1, ...,
            num_heads)` with `"swin"` and `"beit"`, an axis for each size of the grid;
            trainable.
        position_embeddings, x_embeddings, y_embeddings: `(num_buckets, num_heads)`
            with `"layoutlmv3"`, trainable.
        special_embeddings: `(3, num_heads)` with `"beit"`, trainable: a special query,
            a special key, and both.

    Args:
        num_heads: Number of heads of the attention layer.
        convention: Whose rule: `"t5"` (default); `"layoutlmv3"`, of position, left and
            lower edge of a box; `"swin"`; `"beit"`, with special tokens; or `"alibi"`,
            which has no weights.
        num_buckets: Number of buckets, or one for each axis. Defaults to `None`, those
            of the convention: 32, and 64 for the edges of boxes.
        max_distance: The offset from which on all share a bucket, or one for each
            axis. Defaults to `None`, those of the convention: 128, and 256 for the
            edges of boxes.
        bidirectional: Whether keys behind the query have buckets of their own; with
            `False`, for causal attention, they share one. Defaults to `True`.
        grid: The sizes of the grid of `"swin"` and `"beit"`, one to three. Defaults to
            `None`, for the others.
        interpolation: Interpolation of the table for a call with another grid:
            `"nearest"`, `"bilinear"`, `"bicubic"`, or `None` (default) for none.
        antialias: Whether to widen the kernel where the table shrinks. Defaults to
            `False`.
        align_corners: Whether the corners of a resized table stay in place. Defaults
            to `False`.
        scale: Factor on the bias; LayoutLM divides it by the square root of the size
            of a head, as the scores. Defaults to 1.
        embeddings_initializer: Initializer of the tables. Defaults to `None`, a normal
            distribution of standard deviation 0.02.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        positions: Position of each query on each axis. In a grid, a token with a
            negative position is special, such as a class token; `"swin"` gives its
            pairs no bias.
        key_positions: Positions of the keys. Defaults to `None`, those of the queries.
        grid: The sizes of another grid, integers. Defaults to `None`, those of the
            layer.

    Masking: none; the bias of masked tokens has no meaning.

    Precision: computed in float32 and rounded once. Positions are never cast to half
    precision; fractions of an offset are cut off where it is looked up.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if the convention is unknown or lacks an argument, if positions have
            another number of axes or lie outside the grid, or if the grid of a call is
            another and there is no interpolation. A compiled step cannot raise for
            values; a position outside the grid has the nearest offset.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import RelativePositionBias
    >>> layer = RelativePositionBias(8)
    >>> bias = layer(np.arange(20))
    >>> tuple(bias.shape)
    (1, 8, 20, 20)

    Equal offsets have the same bias:

    >>> bool(keras.ops.all(bias[0, :, 3, 5] == bias[0, :, 13, 15]))
    True

    References:
        C. Raffel et al., "T5", 2020, section 2.1, https://arxiv.org/abs/1910.10683.
        Y. Huang et al., "LayoutLMv3", 2022, https://arxiv.org/abs/2204.08387.
        Z. Liu et al., "Swin Transformer", 2021, https://arxiv.org/abs/2103.14030.
        H. Bao et al., "BEiT", 2021, https://arxiv.org/abs/2106.08254.
        O. Press et al., "ALiBi", 2021, https://arxiv.org/abs/2108.12409. Unlike there,
        keys behind the query have a bias too, which a causal mask hides.
    """

    embeddings: keras.Variable
    special_embeddings: keras.Variable

    def __init__(
        self,
        num_heads: int,
        *,
        convention: BiasConventionName = "t5",
        num_buckets: int | Sequence[int] | None = None,
        max_distance: int | Sequence[int] | None = None,
        bidirectional: bool = True,
        grid: Sequence[int] | None = None,
        interpolation: Interpolation | None = None,
        antialias: bool = False,
        align_corners: bool = False,
        scale: float = 1.0,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        # positions must not be rounded to half precision on their way in
        super().__init__(autocast=False, **checks.layer_options(WHO, kwargs))
        self.num_heads: int = checks.check_integer(WHO, "num_heads", num_heads)
        self.convention: BiasConventionName = checks.check_choice(
            WHO, "convention", convention, BIAS_CONVENTION_NAMES
        )
        self._rules: BiasConvention = BIAS_CONVENTIONS[self.convention]
        self.num_buckets: int | tuple[int, ...] | None = check_per_term(
            self._rules, self.convention, "num_buckets", num_buckets
        )
        self.max_distance: int | tuple[int, ...] | None = check_per_term(
            self._rules, self.convention, "max_distance", max_distance
        )
        check_flag = partial(checks.check_flag, WHO)
        self.bidirectional: bool = check_flag("bidirectional", bidirectional)
        self.grid: tuple[int, ...] | None = check_grid(
            self._rules, self.convention, grid
        )
        self.interpolation: Interpolation | None = interpolation
        self.antialias: bool = check_flag("antialias", antialias)
        self.align_corners: bool = check_flag("align_corners", align_corners)
        self._kernel: Kernel = Kernel(interpolation, antialias, align_corners)
        checks.check_choice(
            WHO, "interpolation", interpolation, (*INTERPOLATIONS, None)
        )
        if interpolation is not None:
            check_kernel(WHO, self._kernel)
        self.scale: float = checks.check_number(WHO, "scale", scale, 0)
        self.embeddings_initializer: Initializer = tables.default_initializer(
            embeddings_initializer, WHO
        )
        self._terms: list[BiasTerm] = make_terms(
            self._rules, self.num_buckets, self.max_distance, self.bidirectional
        )
        sizes = [(term.num_buckets, term.max_distance) for term in self._terms]
        self._buckets: list[np.ndarray] = [
            log_buckets(*size, self.bidirectional) for size in sizes
        ]

    def __repr__(self) -> str:
        return describe(self)

    @property
    def num_axes(self) -> int:
        """Number of axes of a position."""
        return len(self.grid or self._terms or (None,))

    def build(
        self, positions_shape: Shape, key_positions_shape: Shape | None = None
    ) -> None:
        check_axes(WHO, "positions", checks.known_shape(positions_shape), self.num_axes)
        shapes: dict[str, tuple[int, ...]] = {
            term.name: (term.num_buckets,) for term in self._terms
        }
        if self.grid is not None:
            shapes["embeddings"] = tuple(2 * size - 1 for size in self.grid)
        if self._rules.special_rows:
            shapes["special_embeddings"] = (3,)
        for name, shape in shapes.items():
            weight = self.add_weight(
                name=name,
                shape=(*shape, self.num_heads),
                initializer=tables.clone_initializer(self.embeddings_initializer),
                autocast=False,
            )
            setattr(self, name, weight)
        self.built = True

    def call(
        self,
        positions: Tensor,
        key_positions: Tensor | None = None,
        grid: Sequence[int] | None = None,
    ) -> Tensor:
        sizes = self._check_call(positions, key_positions, grid)
        queries = self._standardize("positions", positions)
        keys = queries
        if key_positions is not None:
            keys = self._standardize("key_positions", key_positions)
        bias = self._bias(queries, keys, sizes)
        if self.scale != 1.0:
            bias = self.scale * bias
        bias = ops.transpose(bias, (0, 3, 1, 2))
        return ops.cast(bias, self.compute_dtype)

    if TYPE_CHECKING:
        __call__ = call

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            named = {"required": ("positions",), "optional": ("key_positions",)}
            args, kwargs = standardize(WHO, args, kwargs, **named)
            self._sizes_of(args[2] if len(args) > 2 else kwargs.get("grid"))
            return super().__call__(*args, **kwargs)

    def compute_mask(self, positions: Tensor, previous_mask: Any = None) -> None:
        # a bias has no tokens
        return None

    def compute_output_shape(
        self, positions_shape: Shape, key_positions_shape: Shape | None = None
    ) -> Shape:
        shapes = [checks.known_shape(positions_shape)]
        if key_positions_shape is not None:
            shapes.append(checks.known_shape(key_positions_shape))
        is_bare = self.num_axes == 1
        shapes = [
            shape if is_bare and len(shape) < 3 else shape[:-1] for shape in shapes
        ]
        batches = [shape[0] for shape in shapes if len(shape) == 2]
        batch = next((size for size in batches if size != 1), 1)
        lengths = (shapes[0][-1:], shapes[-1][-1:])
        return (batch, self.num_heads, *lengths[0], *lengths[1])

    def compute_output_spec(
        self,
        positions: Tensor,
        key_positions: Tensor | None = None,
        grid: Sequence[int] | None = None,
    ) -> keras.KerasTensor:
        self._check_call(positions, key_positions, grid)
        keys = None if key_positions is None else np.shape(key_positions)
        shape = self.compute_output_shape(positions.shape, keys)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        def plain(value: Any) -> Any:
            return list(value) if isinstance(value, tuple) else value

        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "convention": self.convention,
            "num_buckets": plain(self.num_buckets),
            "max_distance": plain(self.max_distance),
            "bidirectional": self.bidirectional,
            "grid": plain(self.grid),
            "interpolation": self.interpolation,
            "antialias": self.antialias,
            "align_corners": self.align_corners,
            "scale": self.scale,
            "embeddings_initializer": initializers.serialize(
                self.embeddings_initializer
            ),
        }

    def _bias(self, queries: Tensor, keys: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """Return the bias in float32, with heads last."""
        if self._rules.kind == "slopes":
            offset = offsets(queries[..., 0], keys[..., 0])
            return slope_bias(alibi_slopes(self.num_heads), offset)
        if self._rules.kind == "grid":
            table = ops.cast(self.embeddings, "float32")
            if sizes != self.grid:
                table = resize_offset_table(table, sizes, self._kernel)
            special = ops.zeros((3, self.num_heads))
            if self._rules.special_rows:
                special = ops.cast(self.special_embeddings, "float32")
            return grid_bias(table, special, queries, keys)
        total: Tensor = None
        for axis, (term, buckets) in enumerate(
            zip(self._terms, self._buckets, strict=True)
        ):
            table = ops.cast(getattr(self, term.name), "float32")
            offset = offsets(queries[..., axis], keys[..., axis])
            bias = bucket_bias(table, buckets, offset)
            total = bias if total is None else total + bias
        return total

    def _standardize(self, argument: str, positions: Tensor) -> Tensor:
        """Return positions as `(batch or 1, length, axes)`."""
        positions = standardize_axes(WHO, argument, positions, self.num_axes)
        is_shared = len(positions.shape) == 2
        return ops.expand_dims(positions, 0) if is_shared else positions

    def _check_call(
        self, positions: Tensor, key_positions: Tensor | None, grid: Any
    ) -> tuple[int, ...]:
        """Raise for a wrong call; return the sizes of its grid."""
        sizes = self._sizes_of(grid)
        check_positions(self.num_axes, sizes, positions, key_positions)
        return sizes

    def _sizes_of(self, grid: Any) -> tuple[int, ...]:
        is_resized = self.interpolation is not None
        return check_call_grid(self.convention, self.grid, is_resized, grid)
