"""The layer that adds where on a page the box of a token lies."""

import keras
from keras import initializers, ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.positions import resize, sinusoid, tables

# the table or axis that each of the six numbers of a box is read from
NUMBERS = ("x", "y", "x", "y", "height", "width")


@keras.saving.register_keras_serializable(package="keras_mmembed")
class BoxEmbedding(keras.layers.Layer):
    """Adds where on a page, or in an image, the box of each token lies.

    With `b` the six numbers `x0, y0, x1, y1, y1 - y0, x1 - x0` of a box, token `t`
    becomes

        outputs[t] = inputs[t] + sum_i     E_i(b_i)    with combination "sum"
        outputs[t] = inputs[t] + concat_i [E_i(b_i)]   with combination "concat"

    where `E` reads a learned row, or is the sinusoid of `PositionEmbedding1D`. The
    learned tables are four: both x are read from one, and both y.

    Shapes:
        inputs: `(batch, length, width)`.
        boxes: `(batch, length, 4)` or `(length, 4)`, as x0, y0, x1, y1.
        outputs: `(batch, length, width)`, compute dtype.
        tables: `(num_positions, share)`; the share is `width` in a sum,
            `coordinate_width` for x and y of a concat, and half of what four of
            these leave for height and width.

    Args:
        kind: `"learned"` or `"sinusoidal"`.
        combination: `"sum"` or `"concat"`.
        num_positions: Rows of the learned tables; coordinates are below it.
        coordinate_width: Channels of each coordinate in a concat; a sixth of the
            width by default.
        max_wavelength: Base of the sinusoid.
        embeddings_initializer: Initializer of the learned tables.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        boxes: Box of each token, in the units of the table (a thousandth of the page
            in LayoutLM); integer for `"learned"`, integer or float for
            `"sinusoidal"`. Where a height or width falls outside the table, such as
            of a box with its corners swapped, the nearest row is read.

    Masking: a mask on `inputs` is passed on unread.

    Precision: the sum is taken in float32 and rounded once.

    Raises:
        TypeError: if a number is of the wrong type, or boxes for `"learned"` are not
            integer.
        ValueError: if a choice is unknown, boxes have no last axis of 4, the width
            cannot be shared out, or a known coordinate has no row. A coordinate that
            turns out to have no row inside a compiled step reads the nearest.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import (BoxEmbedding)
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

    def __init__(
        self,
        *,
        kind="learned",
        combination="sum",
        num_positions=1024,
        coordinate_width=None,
        max_wavelength=10000.0,
        embeddings_initializer=None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        name = "BoxEmbedding"
        self.kind = checks.check_choice(name, "kind", kind, ("learned", "sinusoidal"))
        self.combination = checks.check_choice(
            name, "combination", combination, ("sum", "concat")
        )
        self.num_positions = checks.check_integer(name, "num_positions", num_positions)
        self.coordinate_width = checks.check_integer(
            name, "coordinate_width", coordinate_width, optional=True
        )
        self.max_wavelength = checks.check_number(
            name, "max_wavelength", max_wavelength, 0
        )
        self.embeddings_initializer = tables.default_initializer(embeddings_initializer)

    def build(self, inputs_shape, boxes_shape=None):
        self._shares = shares(inputs_shape[-1], self.combination, self.coordinate_width)
        if self.kind == "learned":
            self.tables = {
                number: self.add_weight(
                    name=f"{number}_embeddings",
                    shape=(self.num_positions, self._shares[number]),
                    initializer=tables.clone_initializer(self.embeddings_initializer),
                    autocast=False,
                )
                for number in dict.fromkeys(NUMBERS)
            }
        else:
            self._waves = {
                number: sinusoid.Waves(
                    *sinusoid.spectrum(
                        self._shares[number], "interleaved", False, self.max_wavelength
                    )
                )
                for number in dict.fromkeys(NUMBERS)
            }
        self.built = True

    def call(self, inputs, boxes):
        boxes = ops.convert_to_tensor(boxes)
        self._check_boxes(boxes, inputs)
        x0, y0, x1, y1 = (boxes[..., i] for i in range(4))
        numbers = (x0, y0, x1, y1, y1 - y0, x1 - x0)
        vectors = [self._encode(*pair) for pair in zip(NUMBERS, numbers, strict=True)]
        if self.combination == "concat":
            return tensors.add_once(self, inputs, ops.concatenate(vectors, axis=-1))
        return tensors.add_once(self, inputs, sum(vectors[1:], vectors[0]))

    def _encode(self, number, values):
        if self.kind == "learned":
            return resize.read_nearest_row(self.tables[number], values)
        return self._waves[number].at(values)

    def _check_boxes(self, boxes, inputs):
        shape = checks.known_shape(boxes.shape)
        fits = len(shape) in (2, 3) and shape[-1] == 4
        axes = "have the shape (batch, length, 4) or (length, 4)"
        checks.check(fits, "BoxEmbedding", "boxes", axes, shape)
        length = checks.known_shape(inputs.shape)[1]
        rule = f"hold one box for each of the {length} tokens"
        agrees = checks.shapes_match(shape[-2:-1], (length,))
        checks.check(agrees, "BoxEmbedding", "boxes", rule, shape)
        if self.kind == "learned":
            tensors.check_kind("BoxEmbedding", "boxes", boxes, "integer")
            remedy = "Raise `num_positions`, or scale the boxes."
            tensors.check_range(
                "BoxEmbedding", "boxes", boxes, 0, self.num_positions, remedy
            )

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, inputs_shape, boxes_shape=None):
        return tuple(inputs_shape)

    def compute_output_spec(self, inputs, boxes):
        self._check_boxes(boxes, inputs)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self):
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


def shares(width, combination, coordinate_width=None):
    """Return the channels of each number of a box, by the name of its table."""
    if combination == "sum":
        return dict.fromkeys(NUMBERS, width)
    coordinate = coordinate_width or width // 6
    size, rest = divmod(width - 4 * coordinate, 2)
    rule = f"leave an even number of the {width} channels for height and width"
    fits = rest == 0 and size > 0
    remedy = "Set `coordinate_width` so that `width - 4 coordinate_width` is even."
    checks.check(
        fits, "BoxEmbedding", "coordinate_width", rule, coordinate_width, remedy
    )
    sizes = dict.fromkeys(NUMBERS, coordinate)
    return {**sizes, "height": size, "width": size}
