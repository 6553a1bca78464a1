"""The layer that adds a vector per segment."""

import keras
from keras import initializers, ops

from keras_mmembed.common import checks
from keras_mmembed.positions import tables


@keras.saving.register_keras_serializable(package="keras_mmembed")
class SegmentEmbedding(keras.layers.Layer):
    """Adds a learned vector that tells the segments of one modality apart.

    Token `t` of segment `j` becomes

        outputs[..., t, :] = inputs[..., t, :] + embeddings[segment_ids[..., t], :]

    Segments are sentences of a text, images of a series, or sections of a sound.

    Shapes:
        inputs: `(batch, length, width)`.
        segment_ids: `(batch, length)` or `(length,)`, integer.
        outputs: `(batch, length, width)`, compute dtype.
        embeddings: `(num_segments, width)`, trainable.

    Args:
        num_segments: Number of segments; an integer, at least 1.
        embeddings_initializer: Initializer of `embeddings`.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        segment_ids: Segment of each token, from 0 to `num_segments - 1`.

    Masking: a mask on `inputs` is passed on unread.

    Precision: the sum is taken in float32 and rounded once.

    Raises:
        TypeError: if `num_segments` or `segment_ids` is not of an integer type.
        ValueError: if `num_segments` is below 1, or a known id has no row. An id
            that turns out to have no row inside a compiled step reads the nearest.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import (SegmentEmbedding)
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

    def __init__(self, num_segments, *, embeddings_initializer=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.num_segments = checks.check_integer(
            "SegmentEmbedding", "num_segments", num_segments
        )
        self.embeddings_initializer = tables.default_initializer(embeddings_initializer)

    def build(self, inputs_shape, segment_ids_shape=None):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_segments, inputs_shape[-1]),
            initializer=self.embeddings_initializer,
            autocast=False,
        )
        self.built = True

    def call(self, inputs, segment_ids):
        return checks.add_once(self, inputs, self.encode(segment_ids))

    def encode(self, segment_ids=None):
        """Return the vectors of the ids, or the vector of segment 0 without ids."""
        if segment_ids is None:
            return self.embeddings[0]
        segment_ids = ops.convert_to_tensor(segment_ids)
        checks.check_kind("SegmentEmbedding", "segment_ids", segment_ids, "integer")
        checks.check_range(
            "SegmentEmbedding", "segment_ids", segment_ids, 0, self.num_segments
        )
        return tables.read_nearest_row(self.embeddings, segment_ids)

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, inputs_shape, segment_ids_shape=None):
        return tuple(inputs_shape)

    def compute_output_spec(self, inputs, segment_ids):
        checks.check_kind("SegmentEmbedding", "segment_ids", segment_ids, "integer")
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self):
        initializer = initializers.serialize(self.embeddings_initializer)
        return {
            **super().get_config(),
            "num_segments": self.num_segments,
            "embeddings_initializer": initializer,
        }
