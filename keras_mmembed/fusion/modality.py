"""The layer that adds a vector per modality."""

import keras
from keras import initializers, ops

from keras_mmembed.common import checks
from keras_mmembed.positions import tables


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ModalityEmbedding(keras.layers.Layer):
    """Adds a learned vector that tells the tokens which modality they come from.

    All tokens of a modality get the same vector, at every position:

        outputs[..., t, :] = inputs[..., t, :] + embeddings[m, :]

    `m` is the place of the modality's name in `modalities`. Saved weights are kept
    by name, so that a later configuration can list the names in another order, or
    more of them, and still load every trained row.

    Shapes:
        inputs: `(..., width)`; `(batch, length, width)` with `modality_ids`.
        modality_ids: `(batch, length)` or `(length,)`, integer.
        outputs: as `inputs`, compute dtype.
        embeddings: `(len(modalities), width)`, trainable.

    Args:
        modalities: The names, in the order of their ids. A name starts with a
            letter and holds letters, digits and underscores, so that it can name
            weights and the inputs of a served model.
        embeddings_initializer: Initializer of `embeddings`.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        modality: The name of the modality of all tokens, or
        modality_ids: the id of each token's modality; -1 for none.

    Masking: a mask on `inputs` is passed on unread.

    Precision: the sum is taken in float32 and rounded once.

    Raises:
        TypeError: if `modality_ids` are not integer.
        ValueError: if names are missing, repeated or unfit; if not just one of
            `modality` and `modality_ids` is given; if a name or a known id is not
            among the modalities. An id that turns out to be none of them inside a
            compiled step reads the nearest row.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import (ModalityEmbedding)
    >>> layer = ModalityEmbedding(["text", "image"])
    >>> x = np.zeros((1, 3, 8))
    >>> by_name = layer(x, modality="image")
    >>> by_id = layer(x, modality_ids=np.array([[1, 1, -1]]))
    >>> bool(keras.ops.all(by_name[0, :2] == by_id[0, :2]))
    True
    >>> bool(keras.ops.all(by_id[0, 2] == 0))
    True

    References:
        W. Kim et al., "ViLT", 2021, section 3.1, https://arxiv.org/abs/2102.03334.
        Unlike there, ids are bound to names and not to the order of the inputs.
    """

    def __init__(self, modalities, *, embeddings_initializer=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.modalities = checks.check_names(
            "ModalityEmbedding", "modalities", modalities
        )
        self.embeddings_initializer = tables.default_initializer(embeddings_initializer)

    def build(self, inputs_shape, modality_ids_shape=None):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(len(self.modalities), inputs_shape[-1]),
            initializer=tables.clone_initializer(self.embeddings_initializer),
            autocast=False,
        )
        self.built = True

    def call(self, inputs, modality=None, modality_ids=None):
        self._check_choice(modality, modality_ids)
        return checks.add_once(self, inputs, self.encode(modality, modality_ids))

    def encode(self, modality=None, modality_ids=None):
        """Return the vector of a name, or the vectors of ids, without adding."""
        if modality is not None:
            return self.embeddings[self.modalities.index(modality)]
        ids = ops.convert_to_tensor(modality_ids)
        checks.check_kind("ModalityEmbedding", "modality_ids", ids, "integer")
        count = len(self.modalities)
        checks.check_range("ModalityEmbedding", "modality_ids", ids, -1, count)
        vectors = tables.read_nearest_row(self.embeddings, ids)
        is_some = ops.expand_dims(ids >= 0, -1)
        return ops.where(is_some, vectors, ops.zeros_like(vectors))

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, inputs_shape, modality_ids_shape=None):
        return tuple(inputs_shape)

    def compute_output_spec(self, inputs, modality=None, modality_ids=None):
        self._check_choice(modality, modality_ids)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def save_own_variables(self, store):
        rows = ops.convert_to_numpy(self.embeddings)
        for name, row in zip(self.modalities, rows, strict=True):
            store[name] = row

    def load_own_variables(self, store):
        rows = ops.convert_to_numpy(self.embeddings).copy()
        for index, name in enumerate(self.modalities):
            if name in store.keys():
                rows[index] = store[name]
        self.embeddings.assign(rows)

    def get_config(self):
        initializer = initializers.serialize(self.embeddings_initializer)
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            "embeddings_initializer": initializer,
        }

    def _check_choice(self, modality, modality_ids):
        rule = "be given, or else `modality_ids`, and not both"
        is_one = (modality is None) != (modality_ids is None)
        checks.check(is_one, "ModalityEmbedding", "modality", rule, repr(modality))
        if modality is not None:
            names = self.modalities
            checks.check_choice("ModalityEmbedding", "modality", modality, names)
        else:
            ids = ops.convert_to_tensor(modality_ids)
            checks.check_kind("ModalityEmbedding", "modality_ids", ids, "integer")
