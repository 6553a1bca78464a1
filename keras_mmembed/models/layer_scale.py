"""Learned factors on what a part of a block adds."""

from typing import Any

import keras
from keras import ops

from keras_mmembed.common.types import Shape, Tensor


class LayerScale(keras.layers.Layer):
    """Multiplies each channel by a learned factor, `(width,)`.

    Args:
        value: The first value of the factors.
        **kwargs: As for every Keras layer.
    """

    def __init__(self, value: float | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.value: float | None = value

    def build(self, inputs_shape: Shape) -> None:
        self.scale: keras.Variable = self.add_weight(
            name="scale",
            shape=(inputs_shape[-1],),
            initializer=keras.initializers.Constant(self.value),
        )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * ops.convert_to_tensor(self.scale)
