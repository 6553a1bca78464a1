"""The modality (token type) embedding."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import keras
import numpy as np
from keras import initializers, ops

from keras_mmembed.common import call_arguments, checks, sublayer_state, tensors
from keras_mmembed.common.describe import describe
from keras_mmembed.common.types import (
    Config,
    DType,
    Initializer,
    LayerArguments,
    Shape,
    Tensor,
)
from keras_mmembed.fusion import ids as id_checks
from keras_mmembed.positions import tables

WHO = "ModalityEmbedding"


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ModalityEmbedding(keras.layers.Layer):
    """Adds a learned modality (token type) embedding to features.

    All tokens of a modality get the same vector, at every position:

        outputs[..., t, :] = inputs[..., t, :] + embeddings[m, :]

    where `m` is the index of the modality in `modalities`. Each vector is a weight of
    its own, saved by name: a later configuration can list the names in another order,
    or more of them, still load every trained vector, and train a new one alone.

    Shapes:
        inputs: `(..., width)`; `(batch, length, width)` with `modality_ids`.
        modality_ids: `(batch, length)`, or `(length,)` for all samples; integer.
        outputs: as `inputs`, compute dtype.
        weights: `(width,)` for each modality, under its name, trainable.

    Args:
        modalities: Names of the modalities, in the order of their ids. A name starts
            with a letter and holds letters, digits and underscores, so that it can
            name weights and the inputs of a served model.
        embeddings_initializer: Initializer of the vectors; by default normal with a
            standard deviation of 0.02.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        modality: Name of the modality of all tokens; this or `modality_ids`.
        modality_ids: Modality id of each token; -1 adds nothing.

    Masking: a mask on `inputs` is passed on unread.

    Precision: the sum is taken in float32 and rounded once.

    Raises:
        TypeError: if `modality_ids` are not integer.
        ValueError: if names are missing, repeated or malformed; if `modality` and
            `modality_ids` are both `None` or both set; if shapes do not agree or the
            width changes; if a name or a known id is not among the modalities. Inside
            a compiled step ids are unknown, and one out of range reads the nearest
            row.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import ModalityEmbedding
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

    if TYPE_CHECKING:

        def __call__(
            self,
            inputs: Tensor,
            modality: str | None = None,
            modality_ids: Tensor | None = None,
        ) -> Tensor: ...

    else:

        def __call__(
            self,
            inputs: Tensor = None,
            modality: str | None = None,
            modality_ids: Tensor = None,
            **kwargs: Any,
        ) -> Tensor:
            self._check_name(modality)
            named = {"modality": modality, "modality_ids": modality_ids}
            named = {name: v for name, v in named.items() if v is not None}
            args, kwargs = call_arguments.standardize(
                WHO, (inputs,), {**named, **kwargs}, optional=("modality_ids",)
            )
            return super().__call__(*args, **kwargs)

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        checks.check_keywords(WHO, kwargs)
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.modalities: tuple[str, ...] = checks.check_names(
            WHO, "modalities", modalities
        )
        self._is_joint = False
        self.embeddings_initializer: initializers.Initializer = (
            tables.default_initializer(embeddings_initializer, WHO)
        )
        checks.check_float_policy(self)
        self._width: int | None = None

    def __repr__(self) -> str:
        return describe(self)

    def build(
        self, inputs_shape: Shape, modality_ids_shape: Shape | None = None
    ) -> None:
        names = ("embeddings",) if self._is_joint else self.modalities
        self._width = id_checks.check_width(WHO, inputs_shape)
        shape = (len(self.modalities), self._width)
        self.rows: list[keras.Variable] = [
            self.add_weight(
                name=name,
                shape=shape if self._is_joint else shape[1:],
                initializer=self._initializer(index),
                autocast=False,
            )
            for index, name in enumerate(names)
        ]
        self.built = True

    def as_in_first_files(self) -> None:
        """Hold all vectors in one weight, as the state of an optimizer expects."""
        self._is_joint = True

    def _initializer(self, index: int) -> Any:
        """Return the initializer of a row: that of all rows, of which it takes one."""
        initializer: Any = tables.clone_initializer(self.embeddings_initializer)
        if self._is_joint:
            return initializer

        def initialize(shape: Shape, dtype: DType = None) -> Tensor:
            return initializer((len(self.modalities), *shape), dtype=dtype)[index]

        return initialize

    def call(
        self,
        inputs: Tensor,
        modality: str | None = None,
        modality_ids: Tensor | None = None,
    ) -> Tensor:
        modality_ids = self._check_call(inputs, modality, modality_ids)
        values = modality_ids if modality is None else modality
        return tensors.add_once(self, inputs, self.encode(values))

    def encode(self, values: str | Tensor) -> Tensor:
        """Return the vectors of modalities, as a call adds them.

        The layer is built by a call or by `build((None, None, width))`.

        Args:
            values: The name of a modality, for its vector `(width,)`; or modality ids
                `(...)`, integer, for `(..., width)`. The vector of -1 is zero.
        """
        checks.check_built(self)
        if isinstance(values, str):
            checks.check_choice(WHO, "modality", values, self.modalities)
            index = self.modalities.index(values)
            rows = self.rows[0] if self._is_joint else self.rows
            return ops.convert_to_tensor(rows[index])
        ids: Any = ops.convert_to_tensor(values)
        tensors.check_kind(WHO, "modality_ids", ids, "integer")
        count = len(self.modalities)
        tensors.check_range(WHO, "modality_ids", ids, -1, count)
        vectors = tables.read_nearest_row(self.embeddings, ids)
        has_modality = ops.expand_dims(ids >= 0, -1)
        return ops.where(has_modality, vectors, ops.zeros_like(vectors))

    @property
    def embeddings(self) -> Tensor:
        """The vectors of all modalities, `(len(modalities), width)`."""
        width = self.rows[0].shape[-1]
        # not ops.stack: on TensorFlow it does not take variables
        return ops.concatenate([ops.reshape(row, (-1, width)) for row in self.rows])

    def compute_mask(
        self, inputs: Tensor, previous_mask: Tensor | None = None
    ) -> Tensor | None:
        return previous_mask

    def compute_output_shape(
        self, inputs_shape: Shape, modality_ids_shape: Shape | None = None
    ) -> Shape:
        return tuple(inputs_shape)

    def compute_output_spec(
        self,
        inputs: keras.KerasTensor,
        modality: str | None = None,
        modality_ids: Tensor | None = None,
    ) -> keras.KerasTensor:
        self._check_call(inputs, modality, modality_ids)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def save_own_variables(self, store: Any) -> None:
        if not self.built:
            return
        rows = np.asarray(ops.convert_to_numpy(self.embeddings))
        for name, row in zip(self.modalities, rows, strict=True):
            store[name] = row

    def load_own_variables(self, store: Any) -> None:
        stored = set(store.keys())
        if self.built:
            rows = np.array(ops.convert_to_numpy(self.embeddings))
            for index, name in enumerate(self.modalities):
                if name in stored:
                    rows[index] = store[name]
            values = [rows] if self._is_joint else rows
            for weight, value in zip(self.rows, values, strict=True):
                weight.assign(value)
        sublayer_state.check_stored(WHO, self.modalities, stored)

    def get_build_config(self) -> Config | None:
        config = super().get_build_config()
        return config if self._is_joint or config is None else {**config, "rows": True}

    def build_from_config(self, config: Config) -> None:
        if "rows" not in config:
            self.as_in_first_files()
        super().build_from_config(config)

    def get_config(self) -> Config:
        initializer = initializers.serialize(self.embeddings_initializer)
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            "embeddings_initializer": initializer,
        }

    def _check_call(
        self, inputs: Tensor, modality: Any, modality_ids: Tensor | None
    ) -> Tensor | None:
        """Return the ids as a tensor; raise for wrong names, shapes and dtypes."""
        id_checks.check_inputs(WHO, inputs, self._width)
        rule = "be given, or else `modality_ids`, and not both"
        is_one = (modality is None) != (modality_ids is None)
        checks.check(is_one, WHO, "modality", rule, repr(modality))
        if modality_ids is not None:
            return id_checks.check_ids(WHO, "modality_ids", modality_ids, inputs)
        self._check_name(modality)
        return None

    def _check_name(self, modality: Any) -> None:
        if modality is not None:
            checks.check_choice(WHO, "modality", modality, self.modalities)
