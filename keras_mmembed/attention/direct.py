"""Calls of built sublayers without what Keras does around them, for one token."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras

# Keras has no public function for the dtype that variables are read in
from keras.src.backend import AutocastScope

from keras_mmembed.common.types import Tensor

# a function of a layer and its inputs
LayerCall: TypeAlias = Callable[[Any, Any], Tensor]


def calls_directly() -> bool:
    """Whether the time of a call counts: elsewhere it is compiled away."""
    return keras.backend.backend() == "torch"


def by_keras(layer: Any, inputs: Any) -> Tensor:
    """Return what a call of Keras makes of inputs."""
    return layer(inputs)


def direct(layer: Any, inputs: Any) -> Tensor:
    """Return what a built layer makes of inputs of its compute dtype, without a mask.

    A call of Keras checks and converts arguments, which takes PyTorch longer than the
    layer itself if there is one token.
    """
    if not calls_directly():
        return layer(inputs)
    is_quantized = getattr(layer, "quantization_mode", None) is not None
    if layer.compute_dtype == layer.variable_dtype:
        if is_quantized:
            return layer.quantized_call(inputs)
        is_product = type(layer) in (keras.layers.Dense, keras.layers.EinsumDense)
        return _product(layer, inputs) if is_product else layer.call(inputs)
    with AutocastScope(layer.compute_dtype if layer.autocast else None):
        call = layer.quantized_call if is_quantized else layer.call
        return call(inputs)


def _product(layer: Any, inputs: Any) -> Tensor:
    """Return what a dense layer makes of inputs, whose last axes it adds up."""
    kernel = layer.kernel
    kernel = kernel.value if isinstance(kernel, keras.Variable) else kernel
    # of the two equations of an attention layer, the outputs have fewer axes
    axes = 2 if getattr(layer, "equation", "") == "abcd,cde->abe" else 1
    lead, rest = inputs.shape[:-axes], kernel.shape[axes:]
    size = kernel.shape[:axes].numel()
    outputs = inputs.reshape(*lead, size) @ kernel.reshape(size, -1)
    outputs = outputs.reshape(*lead, *rest)
    if layer.bias is not None:
        outputs = outputs + layer.bias.value
    return outputs if layer.activation is None else layer.activation(outputs)
