"""A gate that is closed at first, for a new part of a trained model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import keras
from keras import ops

from keras_mmembed.common import call_arguments, checks
from keras_mmembed.common.calls import clear_calls
from keras_mmembed.common.describe import describe
from keras_mmembed.common.tensors import check_kind, float32_or_better
from keras_mmembed.common.types import LayerArguments, Shape, Tensor

WHO = "ZeroGate"
PAIR = "be a list of two tensors of one shape"


@keras.saving.register_keras_serializable(package="keras_mmembed")
@clear_calls
class ZeroGate(keras.layers.Layer):
    """Tanh gate that lets a new part of a model in, starting from zero.

        outputs = without + tanh(gate) * (with - without)

    The gate is a learned scalar that starts at zero. The outputs are then equal to
    `without`, bit for bit, so a trained model keeps its outputs when a part is added.
    The gradient of the gate is not zero, so training opens it.

    Shapes:
        inputs: a list `[without, with]` of two tensors of one shape `(...)`.
        outputs: `(...)`, compute dtype.
        gate: `()`, trainable.

    Args:
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: The outputs of the model without the new part, and with it.

    Masking: the mask of the first input is passed on.

    Precision: the sum is taken in float32 and rounded once.

    Raises:
        ValueError: if the inputs are not two tensors of one shape.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import ZeroGate
    >>> without, more = np.ones((2, 3)), np.full((2, 3), 5.0)
    >>> layer = ZeroGate()
    >>> bool(keras.ops.all(layer([without, more]) == without))
    True
    >>> layer.set_weights([np.arctanh(0.5)])
    >>> keras.ops.convert_to_numpy(layer([without, more]))[0].round(4).tolist()
    [3.0, 3.0, 3.0]

    References:
        J. Alayrac et al., "Flamingo", 2022, section 2.2,
        https://arxiv.org/abs/2204.14198. Unlike there, the gate interpolates between
        the two inputs instead of adding the second one.
    """

    if TYPE_CHECKING:

        def __call__(self, inputs: Sequence[Tensor]) -> Tensor: ...

    else:

        def __call__(self, inputs: Any = None, **kwargs: Any) -> Tensor:
            checks.check(_is_pair(inputs), WHO, "inputs", PAIR, type(inputs).__name__)
            arrays = [call_arguments.as_array(WHO, "inputs", x) for x in inputs]
            return super().__call__(arrays, **kwargs)

    def __init__(self, **kwargs: Unpack[LayerArguments]) -> None:
        options = checks.layer_options("ZeroGate", kwargs)
        super().__init__(autocast=False, **options)
        self.supports_masking = True

    def __repr__(self) -> str:
        return describe(self)

    def build(self, inputs_shape: Sequence[Any] | None = None) -> None:
        self.gate: keras.Variable = self.add_weight(
            name="gate", shape=(), initializer="zeros", autocast=False
        )
        self.built = True

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        self._check(inputs)
        dtype = float32_or_better(self.compute_dtype)
        without, more = (ops.cast(x, dtype) for x in inputs)
        return ops.cast(self.mix(without, more), self.compute_dtype)

    def mix(self, without: Tensor, more: Tensor) -> Tensor:
        """Return `without + tanh(gate) (more - without)`, in the dtype of `more`."""
        share: Any = ops.cast(ops.tanh(self.gate), more.dtype)
        difference = ops.subtract(more, without)
        # zero times infinity is no number: closed, the gate lets none of it through
        passes = ops.logical_or(ops.isfinite(difference), ops.not_equal(share, 0.0))
        difference = ops.where(passes, difference, ops.zeros_like(difference))
        return ops.add(without, share * difference)

    def compute_mask(
        self, inputs: Sequence[Tensor], previous_mask: Sequence[Tensor] | None = None
    ) -> Tensor | None:
        return previous_mask[0] if previous_mask else None

    def compute_output_shape(self, inputs_shape: Sequence[Shape]) -> Shape:
        return tuple(inputs_shape[0])

    def compute_output_spec(
        self, inputs: Sequence[keras.KerasTensor]
    ) -> keras.KerasTensor:
        self._check(inputs)
        return keras.KerasTensor(inputs[0].shape, dtype=self.compute_dtype)

    def _check(self, inputs: Any) -> None:
        is_pair = _is_pair(inputs)
        shapes = [checks.known_shape(x.shape) for x in inputs] if is_pair else []
        fits = is_pair and checks.shapes_match(*shapes)
        received = shapes if is_pair else type(inputs).__name__
        checks.check(fits, WHO, "inputs", PAIR, received)
        for index, x in enumerate(inputs):
            remedy = "Cast them to floats."
            check_kind(WHO, f"inputs[{index}]", x, "number", remedy)


def _is_pair(inputs: Any) -> bool:
    return isinstance(inputs, (list, tuple)) and len(inputs) == 2
