"""Arrays that belong to a layer and are no weights."""

import keras
from keras import ops

from keras_mmembed.common import tensors


class Constant:
    """A float32 array that a compiled step can use.

    JAX and TensorFlow make a constant of a NumPy array while they trace. The compiler
    of PyTorch cannot trace one, so there it becomes a tensor beforehand.
    """

    def __init__(self, array):
        self._array = array.astype("float32")
        self._tensor = None
        self.tensor()

    def tensor(self):
        """Return the array as a tensor, on the device that is in use."""
        if self._tensor is not None:
            return ops.convert_to_tensor(self._tensor)
        tensor = ops.convert_to_tensor(self._array)
        # while Keras tries out shapes, tensors of PyTorch hold no numbers
        if keras.backend.backend() == "torch" and not tensors.is_traced(tensor):
            self._tensor = tensor
        return tensor
