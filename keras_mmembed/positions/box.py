"""The layer that adds an embedding of the bounding box of each token."""

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack, cast, get_args

import keras
import numpy as np
from keras import initializers, ops

from keras_mmembed.common import call_arguments, checks, tensors
from keras_mmembed.common.calls import clear_calls
from keras_mmembed.common.describe import describe
from keras_mmembed.common.types import (
    Config,
    Initializer,
    LayerArguments,
    Shape,
    Tensor,
)
from keras_mmembed.positions import box_numbers, tables
from keras_mmembed.positions.box_numbers import (
    BOX_COMBINATIONS,
    BOX_NUMBERS,
    BoxCombination,
    BoxNumber,
    Numbers,
)
from keras_mmembed.positions.checks import check_sequence
from keras_mmembed.positions.combination import add_up
from keras_mmembed.positions.conventions import CONVENTIONS
from keras_mmembed.positions.sinusoid import Sinusoid, channel_frequencies
from keras_mmembed.positions.size_checks import LARGEST

WHO = "BoxEmbedding"

BoxKind: TypeAlias = Literal["learned", "sinusoidal", "linear"]
BOX_KINDS: tuple[BoxKind, ...] = get_args(BoxKind)
# the conventions of `PositionEmbedding1D` that differ along one axis
BoxConvention: TypeAlias = Literal["transformer", "whisper", "mae"]
BOX_CONVENTIONS: tuple[BoxConvention, ...] = get_args(BoxConvention)


@keras.saving.register_keras_serializable(package="keras_mmembed")
@clear_calls
class BoxEmbedding(keras.layers.Layer):
    """Adds an embedding of the bounding box of each token on a page or in an image.

    With `b` the numbers of a box, `x0, y0, x1, y1, y1 - y0, x1 - x0`, token `t`
    becomes

        outputs[t] = inputs[t] + sum_i     E_i(b_i)    with combination "sum"
        outputs[t] = inputs[t] + concat_i [E_i(b_i)]   with combination "concat"

    where `E_i` looks up a learned row, or is the sinusoidal encoding of
    `PositionEmbedding1D`. `x0` and `x1` share one table, and so do `y0` and `y1`. With
    kind `"linear"` the numbers themselves are projected to the width:

        outputs[t] = inputs[t] + b[t] kernel + bias

    Shapes:
        inputs: `(batch, length, width)`.
        boxes: `(batch, length, 4)` or `(length, 4)`, as x0, y0, x1, y1; or all
            `numbers` in the place of 4.
        outputs: `(batch, length, width)`, compute dtype.
        x_embeddings, y_embeddings: `(num_positions, width)` for a sum,
            `(num_positions, coordinate_width)` for a concatenation; trainable, if
            learned.
        height_embeddings, width_embeddings: `(num_positions, width)` for a sum,
            `(num_positions, size_width)` for a concatenation; trainable, if learned
            and of six numbers.
        projection: `kernel` `(channels, width)` and `bias` `(width,)`, trainable, if
            linear or with `projection`.

    Args:
        kind: `"learned"` (default), `"sinusoidal"` or `"linear"`.
        combination: `"sum"` (default) or `"concat"`. Linear boxes have no other than
            the default.
        numbers: How many numbers of a box are encoded: 4, two corners; 6 (default),
            height and width too; or 8, four corners, clockwise from the first. A box
            has all of them, or 4, from which the others are derived.
        num_positions: Number of rows of each learned table; coordinates lie below it.
            Defaults to 1024.
        scale: Factor of the boxes: for fractions of a page, the position of its end,
            such as 1000. Rows of a table are rounded down. Defaults to 1.
        coordinate_width: Number of channels of each coordinate in a concatenation.
            Defaults to `None`, an even share of the width.
        size_width: Number of channels of height and width in a concatenation.
            Defaults to `None`, half of what the four coordinates leave.
        convention: Whose sinusoids: `"transformer"` (default), `"whisper"` or `"mae"`,
            as of `PositionEmbedding1D`.
        projection: Whether the sum or the concatenation is projected to the width of
            the inputs; `True`, `False` (default) or a dict of arguments of
            `keras.layers.Dense`, such as `{"use_bias": False}`. Linear boxes always
            are.
        max_wavelength: The longest wavelength of a sinusoidal encoding, in positions
            per radian. Defaults to 10000.
        embeddings_initializer: Initializer of the learned tables. Defaults to `None`,
            a normal distribution of standard deviation 0.02.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        boxes: Box of each token, in the units of the table (in LayoutLM a thousandth
            of the page), or of that divided by `scale`. For `"learned"` integer, or
            with a `scale` other than 1 integer or float. A height or width outside the
            table, such as that of a box with its corners swapped, is that of the
            nearest row.

    Masking: the mask of `inputs` is passed on unchanged.

    Precision: the sum is taken in float32 and rounded once; linear boxes are projected
    in float32, and others in the compute dtype.

    Raises:
        TypeError: if an argument is of the wrong type, or boxes for `"learned"` are
            not integer without a `scale`.
        ValueError: if an argument is not as said above, if boxes have no last axis of
            4 or `numbers`, if the channels cannot be shared, or if a known coordinate
            has no row. A compiled step cannot raise; a coordinate without a row is that
            of the nearest.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import BoxEmbedding
    >>> layer = BoxEmbedding(combination="concat")
    >>> words = np.zeros((1, 2, 24))
    >>> boxes = np.array([[[10, 20, 110, 40], [120, 20, 180, 40]]])
    >>> tuple(layer(words, boxes).shape)
    (1, 2, 24)
    >>> [(w.name, tuple(w.shape)) for w in layer.weights][:2]
    [('x_embeddings', (1024, 4)), ('y_embeddings', (1024, 4))]

    References:
        Y. Xu et al., "LayoutLM", 2020, https://arxiv.org/abs/1912.13318 (sum).
        Y. Xu et al., "LayoutLMv2", 2021, https://arxiv.org/abs/2012.14740 (concat).
        Heights and widths are kept inside the table as in LayoutLMv3.
        H. Tan and M. Bansal, "LXMERT", 2019, https://arxiv.org/abs/1908.07490 (linear).
        Z. Tang et al., "UDOP", 2022, https://arxiv.org/abs/2212.02623 (fractions).
        T. Hong et al., "BROS", 2021, https://arxiv.org/abs/2108.04539 (four corners).
    """

    tables: dict[BoxNumber, keras.Variable]
    _sinusoids: dict[BoxNumber, Sinusoid]

    def __init__(
        self,
        *,
        kind: BoxKind = "learned",
        combination: BoxCombination = "sum",
        numbers: Numbers = 6,
        num_positions: int = 1024,
        scale: float = 1.0,
        coordinate_width: int | None = None,
        size_width: int | None = None,
        convention: BoxConvention = "transformer",
        projection: bool | Config = False,
        max_wavelength: float = 10000.0,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        # boxes must not be rounded to half precision on their way in
        options = checks.layer_options(WHO, kwargs)
        super().__init__(autocast=False, **options)
        self.supports_masking = True
        self.kind: BoxKind = checks.check_choice(WHO, "kind", kind, BOX_KINDS)
        self.combination: BoxCombination = checks.check_choice(
            WHO, "combination", combination, BOX_COMBINATIONS
        )
        self.numbers: Numbers = checks.check_choice(
            WHO, "numbers", numbers, tuple(BOX_NUMBERS)
        )
        self.num_positions: int = checks.check_integer(
            WHO, "num_positions", num_positions
        )
        self.scale: float = checks.check_number(WHO, "scale", scale, 0)
        self.coordinate_width: int | None = checks.check_integer(
            WHO, "coordinate_width", coordinate_width, optional=True
        )
        self.size_width: int | None = checks.check_integer(
            WHO, "size_width", size_width, optional=True
        )
        self.convention: BoxConvention = checks.check_choice(
            WHO, "convention", convention, BOX_CONVENTIONS
        )
        self._projection_options: Config | None = box_numbers.projection_options(
            WHO, projection, kind == "linear"
        )
        self.max_wavelength: float = checks.check_number(
            WHO, "max_wavelength", max_wavelength, 0
        )
        self.embeddings_initializer: Initializer = tables.default_initializer(
            embeddings_initializer, WHO
        )
        self._check_effects()
        self.projection: keras.layers.Dense | None = None
        self._width: int | None = None

    def _check_effects(self) -> None:
        """Raise for arguments that have no effect beside the others."""
        defaults = {"convention": "transformer", "combination": "sum"}
        if self.kind == "learned":
            del defaults["combination"]
        for name, default in defaults.items() if self.kind != "sinusoidal" else ():
            value = getattr(self, name)
            rule = f"be {default!r} with kind={self.kind!r}"
            checks.check(value == default, WHO, name, rule, repr(value))
        rule = "be None without height and width, which numbers=6 has"
        fits = self.size_width is None or self.numbers == 6
        checks.check(fits, WHO, "size_width", rule, self.size_width)

    def build(self, inputs_shape: Shape, boxes_shape: Shape | None = None) -> None:
        (width,) = tuple(inputs_shape)[-1:] or (None,)
        rule = "have a last axis of known size, at least 1"
        checks.check(bool(width), WHO, "inputs.shape", rule, tuple(inputs_shape))
        width, channels = cast(int, width), self.numbers
        if self.kind != "linear":
            channels = self._build_numbers(width)
        if self._projection_options is not None:
            # coordinates must not be rounded to half precision
            dtype = "float32" if self.kind == "linear" else self.dtype_policy
            projection = keras.layers.Dense(
                width, **self._projection_options, dtype=dtype, name="projection"
            )
            projection.build((None, channels))
            self.projection = projection
        self._width = width
        self.built = True

    def _build_numbers(self, width: int) -> int:
        """Make the tables or the sinusoids; return the number of channels of all."""
        widths = box_numbers.box_widths(
            WHO,
            width,
            self.combination,
            self.numbers,
            self.coordinate_width,
            self.size_width,
        )
        channels = width
        if self.combination == "concat":
            channels = sum(widths[name] for name in BOX_NUMBERS[self.numbers])
        rule = f"add up to the {width} channels without `projection`"
        fits = channels == width or self._projection_options is not None
        checks.check(fits, WHO, "coordinate_width", rule, self.coordinate_width)
        if self.kind == "learned":
            self.tables = {
                number: self.add_weight(
                    name=f"{number}_embeddings",
                    shape=(self.num_positions, size),
                    initializer=tables.clone_initializer(self.embeddings_initializer),
                    autocast=False,
                )
                for number, size in widths.items()
            }
        else:
            self._sinusoids = {
                number: self._make_sinusoid(size) for number, size in widths.items()
            }
        return channels

    def _make_sinusoid(self, width: int) -> Sinusoid:
        rules = CONVENTIONS[self.convention]
        frequencies, phases = channel_frequencies(
            width, rules.layout, rules.endpoint, self.max_wavelength
        )
        return Sinusoid(frequencies * self.scale, phases)

    if TYPE_CHECKING:

        def __call__(self, inputs: Tensor, boxes: Tensor) -> Tensor: ...

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            names = ("inputs", "boxes")
            args, kwargs = call_arguments.standardize(WHO, args, kwargs, names)
            return super().__call__(*args, **kwargs)

    def call(self, inputs: Tensor, boxes: Tensor) -> Tensor:
        boxes = self._standardize(boxes)
        check_sequence(WHO, inputs, self._width)
        self._check_boxes(boxes, inputs)
        return tensors.add_once(self, inputs, self._vectors(boxes))

    def encode(self, boxes: Tensor) -> Tensor:
        """Return the vectors of boxes, `(..., width)`, in float32, as a call adds them.

        The layer is built by a call or by `build((None, None, width))`.

        Args:
            boxes: `(..., 4)` or `(..., numbers)`, such as `(length, 4)` or
                `(batch, length, 4)`.
        """
        checks.check_built(self)
        boxes = self._standardize(boxes)
        self._check_numbers(boxes)
        return self._vectors(boxes)

    @staticmethod
    def boxes_of_grid(
        height: int, width: int, page_size: int | None = None
    ) -> np.ndarray:
        """Return the boxes of the cells of a grid on a page, such as image patches.

        They are `(height * width, 4)`, row by row: x0, y0, x1, y1.

        Args:
            height: Number of rows.
            width: Number of columns.
            page_size: Position of the end of the page, for integer boxes that are
                rounded down, such as 1000 in LayoutLMv2. Defaults to `None`, fractions
                of the page as in UDOP, for a layer with a `scale`.
        """
        height = checks.check_integer(WHO, "height", height)
        width = checks.check_integer(WHO, "width", width)
        page_size = checks.check_integer(WHO, "page_size", page_size, optional=True)
        return box_numbers.boxes_of_cells(height, width, page_size)

    def _vectors(self, boxes: Tensor) -> Tensor:
        if self.kind == "linear":
            boxes = ops.cast(boxes, "float32") * self.scale
            values = box_numbers.split_numbers(boxes, self.numbers)
            return self._project(ops.stack(values, axis=-1))
        if self.kind == "learned":
            boxes = box_numbers.whole_rows(boxes, self.scale)
        values = box_numbers.split_numbers(tensors.widen(boxes), self.numbers)
        names = BOX_NUMBERS[self.numbers]
        vectors = [self._encode(*one) for one in zip(names, values, strict=True)]
        if self.combination == "concat":
            total = ops.concatenate(vectors, axis=-1)
        else:
            total = add_up(vectors)
        return total if self.projection is None else self._project(total)

    def _project(self, vectors: Tensor) -> Tensor:
        projection = cast(keras.layers.Dense, self.projection)
        is_one = len(vectors.shape) == 1
        vectors = projection(vectors[None])[0] if is_one else projection(vectors)
        return ops.cast(vectors, "float32")

    def _encode(self, number: BoxNumber, values: Tensor) -> Tensor:
        if self.kind == "learned":
            rows = tables.read_nearest_row(self.tables[number], values)
            return ops.cast(rows, "float32")
        return self._sinusoids[number].at(values)

    def _standardize(self, boxes: Any) -> Tensor:
        boxes = call_arguments.as_array(WHO, "boxes", boxes)
        tensors.check_kind(WHO, "boxes", boxes, "number", "Cast them to numbers.")
        return ops.convert_to_tensor(boxes) if isinstance(boxes, np.ndarray) else boxes

    def _check_boxes(self, boxes: Tensor, inputs: Tensor) -> None:
        shape = checks.known_shape(boxes.shape)
        box_numbers.check_box_shape(WHO, shape, self.numbers, axes=True)
        box_numbers.check_tokens(WHO, shape, checks.known_shape(inputs.shape))
        self._check_numbers(boxes)

    def _check_numbers(self, boxes: Tensor) -> None:
        shape = checks.known_shape(boxes.shape)
        box_numbers.check_box_shape(WHO, shape, self.numbers, axes=False)
        # NaN and infinity lie nowhere
        tensors.check_range(WHO, "boxes", boxes, -LARGEST, LARGEST)
        if self.kind == "learned":
            box_numbers.check_rows(WHO, boxes, self.num_positions, self.scale)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Tensor:
        return previous_mask

    def compute_output_shape(
        self, inputs_shape: Shape, boxes_shape: Shape | None = None
    ) -> Shape:
        return tuple(inputs_shape)

    def compute_output_spec(self, inputs: Tensor, boxes: Tensor) -> keras.KerasTensor:
        boxes = self._standardize(boxes)
        check_sequence(WHO, inputs, self._width)
        self._check_boxes(boxes, inputs)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        initializer = initializers.serialize(self.embeddings_initializer)
        names = (
            "kind",
            "combination",
            "numbers",
            "num_positions",
            "scale",
            "coordinate_width",
            "size_width",
            "convention",
            "max_wavelength",
        )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "projection": self._projection_config(),
            "embeddings_initializer": initializer,
        }

    def __repr__(self) -> str:
        return describe(self, projection=self._projection_config())

    def _projection_config(self) -> bool | Config:
        """Return the argument of the constructor."""
        if self._projection_options is None:
            return False
        return dict(self._projection_options) or self.kind != "linear"
