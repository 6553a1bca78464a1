"""The layer that lets a new part of a model in, little by little."""

import keras
from keras import ops

from keras_mmembed.common import checks


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ZeroGate(keras.layers.Layer):
    """Mixes what a new part of a model gives into what there was, from nothing on.

        outputs = without + tanh(gate) * (with - without)

    The gate is a learned scalar that starts at zero. The outputs are then those of
    the model before, bit for bit, but the gradient of the gate is not zero.

    Shapes:
        inputs: a list `[without, with]` of two tensors of one shape `(...)`.
        outputs: `(...)`, compute dtype.
        gate: `()`, trainable.

    Args:
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: What the model gives without the new part, and with it.

    Masking: the mask of the first input is passed on.

    Precision: the sum is taken in float32 and rounded once.

    Raises:
        ValueError: if the inputs are not two tensors of one shape.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import (ZeroGate)
    >>> without, more = np.ones((2, 3)), np.full((2, 3), 5.0)
    >>> layer = ZeroGate()
    >>> bool(keras.ops.all(layer([without, more]) == without))
    True
    >>> layer.set_weights([np.arctanh(0.5)])
    >>> keras.ops.convert_to_numpy(layer([without, more]))[0].round(4).tolist()
    [3.0, 3.0, 3.0]

    References:
        J. Alayrac et al., "Flamingo", 2022, section 2.2,
        https://arxiv.org/abs/2204.14198. Unlike there, the gate mixes with what there
        was instead of adding to it.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def build(self, inputs_shape=None):
        self.gate = self.add_weight(
            name="gate", shape=(), initializer="zeros", autocast=False
        )
        self.built = True

    def call(self, inputs):
        self._check(inputs)
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        without, more = (ops.cast(x, dtype) for x in inputs)
        return ops.cast(self.mix(without, more), self.compute_dtype)

    def mix(self, without, more):
        """Return `without + tanh(gate) (more - without)`, in the dtype of `more`."""
        share = ops.cast(ops.tanh(self.gate), more.dtype)
        return ops.add(without, share * ops.subtract(more, without))

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask[0] if previous_mask else None

    def compute_output_shape(self, inputs_shape):
        return tuple(inputs_shape[0])

    def compute_output_spec(self, inputs):
        self._check(inputs)
        return keras.KerasTensor(inputs[0].shape, dtype=self.compute_dtype)

    def _check(self, inputs):
        rule = "be a list of two tensors of one shape"
        is_pair = isinstance(inputs, (list, tuple)) and len(inputs) == 2
        received = type(inputs).__name__
        if is_pair:
            received = [checks.known_shape(x.shape) for x in inputs]
        fits = is_pair and checks.shapes_match(*received)
        checks.check(fits, "ZeroGate", "inputs", rule, received)
