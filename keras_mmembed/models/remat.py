"""Rematerialization: activations are recomputed in the backward pass."""

from collections.abc import Callable, Sequence

import keras
from keras import ops

from keras_mmembed.common.types import Tensor


def rematerialize(
    function: Callable[..., Tensor],
    layer: keras.layers.Layer,
    *tensors: Tensor,
    **named: Tensor | None,
) -> Tensor:
    """Return `function(*tensors, **named)`, and keep only these for the gradients.

    The backward pass calls `function` again, with the same random numbers. For this
    the variables of `layer` are passed in and returned as values: a seed that is
    updated inside would differ the second time, and on JAX would leak a tracer.
    `keras.RematScope` does not do this, and passes `training` on as a tensor.
    """
    # TensorFlow has gradients of arguments alone, and takes no None
    names = [name for name, tensor in named.items() if tensor is not None]
    tensors = (*tensors, *(named[name] for name in names))
    first = len(tensors) - len(names)
    weights = {id(weight) for weight in layer.weights}
    seeds = [v for v in layer.non_trainable_variables if id(v) not in weights]
    variables = [*layer.weights, *seeds]

    def stateless(
        values: Sequence[Tensor], *tensors: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            last = dict(zip(names, tensors[first:], strict=True))
            outputs = function(*tensors[:first], **last)
        return outputs, [scope.get_current_value(seed) for seed in seeds]

    # copies of the seeds: PyTorch would change them in place before the second time
    values = [v.value for v in layer.weights] + [ops.copy(v.value) for v in seeds]
    outputs, new_seeds = keras.remat(stateless)(values, *tensors)
    for seed, value in zip(seeds, new_seeds, strict=True):
        seed.assign(value)
    return outputs
