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
from keras_mmembed.positions import tables
from keras_mmembed.positions.combination import add_up
from keras_mmembed.positions.conventions import Kind
from keras_mmembed.positions.sinusoid import Sinusoid, channel_frequencies
from keras_mmembed.positions.size_checks import LARGEST

WHO = "BoxEmbedding"

BoxCombination: TypeAlias = Literal["sum", "concat"]
BOX_COMBINATIONS: tuple[BoxCombination, ...] = get_args(BoxCombination)

BoxNumber: TypeAlias = Literal["x", "y", "height", "width"]
# the table of each of the six numbers of a box
BOX_NUMBERS: tuple[BoxNumber, ...] = ("x", "y", "x", "y", "height", "width")


@keras.saving.register_keras_serializable(package="keras_mmembed")
@clear_calls
class BoxEmbedding(keras.layers.Layer):
    """Adds an embedding of the bounding box of each token on a page or in an image.

    With `b` the six numbers `x0, y0, x1, y1, y1 - y0, x1 - x0` of a box, token `t`
    becomes

        outputs[t] = inputs[t] + sum_i     E_i(b_i)    with combination "sum"
        outputs[t] = inputs[t] + concat_i [E_i(b_i)]   with combination "concat"

    where `E_i` looks up a learned row, or is the sinusoidal encoding of
    `PositionEmbedding1D`. There are four learned tables: `x0` and `x1` share one, and
    so do `y0` and `y1`.

    Shapes:
        inputs: `(batch, length, width)`.
        boxes: `(batch, length, 4)` or `(length, 4)`, as x0, y0, x1, y1.
        outputs: `(batch, length, width)`, compute dtype.
        x_embeddings, y_embeddings: `(num_positions, width)` for a sum,
            `(num_positions, coordinate_width)` for a concatenation; trainable, if
            learned.
        height_embeddings, width_embeddings: `(num_positions, width)` for a sum; half
            of the channels beside four coordinates for a concatenation; trainable, if
            learned.

    Args:
        kind: `"learned"` (default) or `"sinusoidal"`.
        combination: `"sum"` (default) or `"concat"`.
        num_positions: Number of rows of each learned table; coordinates lie below it.
            Defaults to 1024.
        coordinate_width: Number of channels of each coordinate in a concatenation.
            Defaults to `None`, a sixth of the width.
        max_wavelength: The longest wavelength of a sinusoidal encoding, in positions
            per radian. Defaults to 10000.
        embeddings_initializer: Initializer of the learned tables. Defaults to `None`,
            a normal distribution of standard deviation 0.02.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        boxes: Box of each token, in the units of the table (in LayoutLM a thousandth
            of the page; fractions of a page are multiplied by `num_positions` and
            rounded); integer for `"learned"`, integer or float for
            `"sinusoidal"`. A height or width outside the table, such as that of a box
            with its corners swapped, is that of the nearest row.

    Masking: the mask of `inputs` is passed on unchanged.

    Precision: the sum is taken in float32 and rounded once.

    Raises:
        TypeError: if an argument is of the wrong type, or boxes for `"learned"` are
            not integer.
        ValueError: if an argument is not as said above, if boxes have no last axis of
            4, if the channels cannot be shared, or if a known coordinate has no row.
            A compiled step cannot raise; a coordinate without a row is that of the
            nearest.

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
    """

    tables: dict[BoxNumber, keras.Variable]
    _sinusoids: dict[BoxNumber, Sinusoid]

    def __init__(
        self,
        *,
        kind: Kind = "learned",
        combination: BoxCombination = "sum",
        num_positions: int = 1024,
        coordinate_width: int | None = None,
        max_wavelength: float = 10000.0,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        # boxes must not be rounded to half precision on their way in
        options = checks.layer_options(WHO, kwargs)
        super().__init__(autocast=False, **options)
        self.supports_masking = True
        self.kind: Kind = checks.check_choice(
            WHO, "kind", kind, ("learned", "sinusoidal")
        )
        self.combination: BoxCombination = checks.check_choice(
            WHO, "combination", combination, BOX_COMBINATIONS
        )
        self.num_positions: int = checks.check_integer(
            WHO, "num_positions", num_positions
        )
        self.coordinate_width: int | None = checks.check_integer(
            WHO, "coordinate_width", coordinate_width, optional=True
        )
        self.max_wavelength: float = checks.check_number(
            WHO, "max_wavelength", max_wavelength, 0
        )
        self.embeddings_initializer: Initializer = tables.default_initializer(
            embeddings_initializer, WHO
        )
        self._width: int | None = None

    def build(self, inputs_shape: Shape, boxes_shape: Shape | None = None) -> None:
        (width,) = tuple(inputs_shape)[-1:] or (None,)
        rule = "have a last axis of known size, at least 1"
        checks.check(bool(width), WHO, "inputs.shape", rule, tuple(inputs_shape))
        width = cast(int, width)
        widths = box_widths(width, self.combination, self.coordinate_width)
        if self.kind == "learned":
            self.tables = {
                number: self.add_weight(
                    name=f"{number}_embeddings",
                    shape=(self.num_positions, channels),
                    initializer=tables.clone_initializer(self.embeddings_initializer),
                    autocast=False,
                )
                for number, channels in widths.items()
            }
        else:
            self._sinusoids = {
                number: Sinusoid(
                    *channel_frequencies(
                        channels, "interleaved", False, self.max_wavelength
                    )
                )
                for number, channels in widths.items()
            }
        self._width = width
        self.built = True

    if TYPE_CHECKING:

        def __call__(self, inputs: Tensor, boxes: Tensor) -> Tensor: ...

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            names = ("inputs", "boxes")
            args, kwargs = call_arguments.standardize(WHO, args, kwargs, names)
            return super().__call__(*args, **kwargs)

    def call(self, inputs: Tensor, boxes: Tensor) -> Tensor:
        boxes = self._standardize(boxes)
        self._check_inputs(inputs)
        self._check_boxes(boxes, inputs)
        return tensors.add_once(self, inputs, self._vectors(boxes))

    def encode(self, boxes: Tensor) -> Tensor:
        """Return the vectors of boxes, `(..., width)`, in float32, as a call adds them.

        The layer is built by a call or by `build((None, None, width))`.

        Args:
            boxes: `(..., 4)`, such as `(length, 4)` or `(batch, length, 4)`.
        """
        checks.check_built(self)
        boxes = self._standardize(boxes)
        self._check_numbers(boxes)
        return self._vectors(boxes)

    def _vectors(self, boxes: Tensor) -> Tensor:
        # narrow integers would overflow in the difference of two corners
        boxes = tensors.widen(boxes)
        x0, y0, x1, y1 = (boxes[..., i] for i in range(4))
        values = (x0, y0, x1, y1, y1 - y0, x1 - x0)
        vectors = [
            self._encode(number, value)
            for number, value in zip(BOX_NUMBERS, values, strict=True)
        ]
        if self.combination == "concat":
            return ops.concatenate(vectors, axis=-1)
        return add_up(vectors)

    def _encode(self, number: BoxNumber, values: Tensor) -> Tensor:
        if self.kind == "learned":
            return tables.read_nearest_row(self.tables[number], values)
        return self._sinusoids[number].at(values)

    def _standardize(self, boxes: Any) -> Tensor:
        boxes = call_arguments.as_array(WHO, "boxes", boxes)
        tensors.check_kind(WHO, "boxes", boxes, "number", "Cast them to numbers.")
        return ops.convert_to_tensor(boxes) if isinstance(boxes, np.ndarray) else boxes

    def _check_inputs(self, inputs: Tensor) -> None:
        tensors.check_kind(WHO, "inputs", inputs, "number", "Cast them to floats.")
        shape, axes = checks.known_shape(inputs.shape), "(batch, length, width)"
        checks.check_rank(WHO, "inputs.shape", shape, (3,), axes)
        rule = f"be {self._width}, as the layer was built for"
        fits = self._width is None or shape[-1] in (None, self._width)
        checks.check(fits, WHO, "inputs.shape[-1]", rule, shape[-1])

    def _check_boxes(self, boxes: Tensor, inputs: Tensor) -> None:
        shape = checks.known_shape(boxes.shape)
        fits = len(shape) in (2, 3) and shape[-1] == 4
        axes = "have the shape (batch, length, 4) or (length, 4)"
        checks.check(fits, WHO, "boxes", axes, shape)
        batch, length = checks.known_shape(inputs.shape)[:2]
        rule = f"hold one box for each of the {length} tokens"
        agrees = checks.shapes_match(shape[-2:-1], (length,))
        checks.check(agrees, WHO, "boxes", rule, shape)
        rule = f"hold boxes for each of the {batch} samples, or the same for all"
        agrees = (
            len(shape) == 2 or shape[0] == 1 or checks.shapes_match((batch,), shape[:1])
        )
        checks.check(agrees, WHO, "boxes", rule, shape)
        self._check_numbers(boxes)

    def _check_numbers(self, boxes: Tensor) -> None:
        shape = checks.known_shape(boxes.shape)
        rule = "have a last axis of 4, x0, y0, x1 and y1"
        checks.check(shape[-1:] == (4,), WHO, "boxes.shape", rule, shape)
        # NaN and infinity lie nowhere
        tensors.check_range(WHO, "boxes", boxes, -LARGEST, LARGEST)
        if self.kind == "learned":
            remedy = (
                "Multiply fractions of a page by the number of positions, and round "
                "them; only then cast them to integers."
            )
            tensors.check_kind(WHO, "boxes", boxes, "integer", remedy)
            remedy = "Raise `num_positions`, or scale the boxes."
            tensors.check_range(WHO, "boxes", boxes, 0, self.num_positions, remedy)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Tensor:
        return previous_mask

    def compute_output_shape(
        self, inputs_shape: Shape, boxes_shape: Shape | None = None
    ) -> Shape:
        return tuple(inputs_shape)

    def compute_output_spec(self, inputs: Tensor, boxes: Tensor) -> keras.KerasTensor:
        boxes = self._standardize(boxes)
        self._check_inputs(inputs)
        self._check_boxes(boxes, inputs)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        initializer = initializers.serialize(self.embeddings_initializer)
        return {
            **super().get_config(),
            "kind": self.kind,
            "combination": self.combination,
            "num_positions": self.num_positions,
            "coordinate_width": self.coordinate_width,
            "max_wavelength": self.max_wavelength,
            "embeddings_initializer": initializer,
        }

    def __repr__(self) -> str:
        return describe(self)


def box_widths(
    width: int, combination: BoxCombination, coordinate_width: int | None = None
) -> dict[BoxNumber, int]:
    """Return the number of channels of each number of a box."""
    if combination == "sum":
        return dict.fromkeys(BOX_NUMBERS, width)
    coordinate = coordinate_width or width // 6
    size, rest = divmod(width - 4 * coordinate, 2)
    rule = f"leave an even number of the {width} channels for height and width"
    fits = rest == 0 and size > 0
    remedy = "Set `coordinate_width` so that `width - 4 coordinate_width` is even."
    checks.check(fits, WHO, "coordinate_width", rule, coordinate_width, remedy)
    return {"x": coordinate, "y": coordinate, "height": size, "width": size}
