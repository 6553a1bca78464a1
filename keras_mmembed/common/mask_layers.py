"""Layers that put a Keras mask on a tensor, and read it."""

import keras


@keras.saving.register_keras_serializable(package="keras_mmembed")
class AttachMask(keras.layers.Layer):
    """Attaches a Keras mask to a tensor: `layer([tensor, mask])`."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.built = True  # Keras quantises no model with a layer that is not

    def call(self, inputs):
        return inputs[0]

    def compute_mask(self, inputs, previous_mask=None):
        return inputs[1]

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ReadMask(keras.layers.Layer):
    """Returns the Keras mask of a tensor, or `None`.

    Only the call of a layer finds the mask of a tensor that is being traced.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.built = True  # Keras quantises no model with a layer that is not

    def call(self, inputs, mask=None):
        return mask

    def compute_mask(self, inputs, previous_mask=None):
        return None
