"""The segment embedding."""

from typing import TYPE_CHECKING, Any, Unpack

import keras
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
from keras_mmembed.fusion import ids as id_checks
from keras_mmembed.positions import tables

WHO = "SegmentEmbedding"


@keras.saving.register_keras_serializable(package="keras_mmembed")
@clear_calls
class SegmentEmbedding(keras.layers.Layer):
    """Adds a learned segment embedding to features.

        outputs[..., t, :] = inputs[..., t, :] + embeddings[segment_ids[..., t], :]

    Segments are parts of one modality: sentences of a text, images of a series,
    sections of a sound.

    Shapes:
        inputs: `(batch, length, width)`.
        segment_ids: `(batch, length)`, or `(length,)` for all samples; integer.
        outputs: `(batch, length, width)`, compute dtype.
        embeddings: `(num_segments, width)`, trainable.

    Args:
        num_segments: Number of segments; an integer, at least 1.
        embeddings_initializer: Initializer of `embeddings`; by default normal with a
            standard deviation of 0.02.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        segment_ids: Segment id of each token, from 0 to `num_segments - 1`.

    Masking: a mask on `inputs` is passed on unread.

    Precision: the sum is taken in float32 and rounded once.

    Raises:
        TypeError: if `num_segments` or `segment_ids` is not of an integer type.
        ValueError: if `num_segments` is below 1, shapes do not agree, the width
            changes, or a known id is out of range. Inside a compiled step ids are
            unknown, and one out of range reads the nearest row.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import SegmentEmbedding
    >>> layer = SegmentEmbedding(2)
    >>> sentences = np.array([[0, 0, 0, 1, 1]])
    >>> outputs = layer(np.zeros((1, 5, 8)), sentences)
    >>> bool(keras.ops.all(outputs[0, 0] == outputs[0, 2]))
    True
    >>> bool(keras.ops.all(outputs[0, 2] == outputs[0, 3]))
    False

    References:
        J. Devlin et al., "BERT", 2018, section 3, https://arxiv.org/abs/1810.04805.
    """

    if TYPE_CHECKING:

        def __call__(self, inputs: Tensor, segment_ids: Tensor) -> Tensor: ...

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            names = ("inputs", "segment_ids")
            args, kwargs = call_arguments.standardize(WHO, args, kwargs, names)
            return super().__call__(*args, **kwargs)

    def __init__(
        self,
        num_segments: int,
        *,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        options = checks.layer_options("SegmentEmbedding", kwargs)
        super().__init__(autocast=False, **options)
        self.supports_masking = True
        self.num_segments: int = checks.check_integer(WHO, "num_segments", num_segments)
        self.embeddings_initializer: initializers.Initializer = (
            tables.default_initializer(embeddings_initializer, WHO)
        )
        self._width: int | None = None

    def __repr__(self) -> str:
        return describe(self)

    def build(
        self, inputs_shape: Shape, segment_ids_shape: Shape | None = None
    ) -> None:
        self._width = id_checks.check_width(WHO, inputs_shape)
        self.embeddings: keras.Variable = self.add_weight(
            name="embeddings",
            shape=(self.num_segments, self._width),
            initializer=self.embeddings_initializer,
            autocast=False,
        )
        self.built = True

    def call(self, inputs: Tensor, segment_ids: Tensor) -> Tensor:
        segment_ids = self._check_call(inputs, segment_ids)
        return tensors.add_once(self, inputs, self.encode(segment_ids))

    def encode(self, segment_ids: Tensor | None = None) -> Tensor:
        """Return the vectors of segments, as a call adds them.

        The layer is built by a call or by `build((None, None, width))`.

        Args:
            segment_ids: Segment ids `(...)`, integer, for vectors `(..., width)`.
                Defaults to `None`, the vector of segment 0, `(width,)`.
        """
        checks.check_built(self)
        if segment_ids is None:
            return self.embeddings[0]
        segment_ids = ops.convert_to_tensor(segment_ids)
        tensors.check_kind(WHO, "segment_ids", segment_ids, "integer")
        tensors.check_range(WHO, "segment_ids", segment_ids, 0, self.num_segments)
        return tables.read_nearest_row(self.embeddings, segment_ids)

    def compute_mask(
        self, inputs: Tensor, previous_mask: Tensor | None = None
    ) -> Tensor | None:
        return previous_mask

    def compute_output_shape(
        self, inputs_shape: Shape, segment_ids_shape: Shape | None = None
    ) -> Shape:
        return tuple(inputs_shape)

    def compute_output_spec(
        self, inputs: keras.KerasTensor, segment_ids: Tensor
    ) -> keras.KerasTensor:
        self._check_call(inputs, segment_ids)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        initializer = initializers.serialize(self.embeddings_initializer)
        return {
            **super().get_config(),
            "num_segments": self.num_segments,
            "embeddings_initializer": initializer,
        }

    def _check_call(self, inputs: Tensor, segment_ids: Tensor) -> Tensor:
        """Return the ids as a tensor; raise for wrong shapes and dtypes."""
        id_checks.check_inputs(WHO, inputs, self._width)
        return id_checks.check_ids(WHO, "segment_ids", segment_ids, inputs)
