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
        function = FUNCTIONS.get(type(layer))
        return function(layer, inputs) if function else layer.call(inputs)
    with AutocastScope(layer.compute_dtype if layer.autocast else None):
        call = layer.quantized_call if is_quantized else layer.call
        return call(inputs)


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float
) -> Tensor:
    """Return what queries attend to, by the kernel of PyTorch.

    Shapes:
        query, key, value: `(batch, length, heads, head_dim)`.
        mask: of four axes that broadcast with the scores, bool.
        result: as `query`.
    """
    import torch

    heads_first = (x.transpose(1, 2) for x in (query, key, value))
    kernel = torch.nn.functional.scaled_dot_product_attention
    return kernel(*heads_first, attn_mask=mask, scale=scale).transpose(1, 2)


def _rms_norm(layer: Any, inputs: Any) -> Tensor:
    """Return what a norm of the last axis makes of inputs."""
    import torch

    if list(layer.axis) not in ([-1], [len(inputs.shape) - 1]):
        return layer.call(inputs)
    scale = layer.scale.value
    return torch.nn.functional.rms_norm(inputs, scale.shape, scale, layer.epsilon)


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


# by the class of a layer, what computes the same with fewer calls
FUNCTIONS: dict[type, Callable[[Any, Any], Tensor]] = {
    keras.layers.Dense: _product,
    keras.layers.EinsumDense: _product,
    keras.layers.RMSNormalization: _rms_norm,
}
