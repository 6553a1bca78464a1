"""Layers that attach a Keras mask to a tensor, and read it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import keras

from keras_mmembed.common.types import LayerArguments, Tensor


@keras.saving.register_keras_serializable(package="keras_mmembed")
class AttachMask(keras.layers.Layer):
    """Attaches a Keras mask to a tensor: `layer([tensor, mask])`."""

    if TYPE_CHECKING:

        def __call__(self, inputs: Sequence[Tensor]) -> Tensor: ...

    def __init__(self, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.built = True  # Keras quantizes no model with a layer that is not

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return inputs[0]

    def compute_mask(
        self, inputs: Sequence[Tensor], previous_mask: Any = None
    ) -> Tensor:
        return inputs[1]

    def compute_output_spec(
        self, inputs: Sequence[keras.KerasTensor]
    ) -> keras.KerasTensor:
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ReadMask(keras.layers.Layer):
    """Returns the Keras mask of a tensor, or `None`.

    While a tensor is traced, only the call of a layer finds its mask.
    """

    if TYPE_CHECKING:

        def __call__(self, inputs: Tensor) -> Tensor | None: ...

    def __init__(self, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.built = True  # Keras quantizes no model with a layer that is not

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor | None:
        return mask

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> None:
        return None
