"""Activations worked out again in the backward pass, with the same random draws."""

import keras
from keras import ops


def rematerialize(function, layer, *tensors):
    """Return `function(*tensors)`, of which only the inputs are kept for gradients.

    The variables of `layer` go in as values and come out as values: a seed that is
    drawn from inside would differ the second time, and on JAX would leak a tracer.
    `keras.RematScope` does not do this, and hands `training` on as a tensor.
    """
    weights = {id(weight) for weight in layer.weights}
    seeds = [v for v in layer.non_trainable_variables if id(v) not in weights]
    variables = [*layer.weights, *seeds]

    def stateless(values, *tensors):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = function(*tensors)
        return outputs, [scope.get_current_value(seed) for seed in seeds]

    # copies of the seeds: PyTorch would change them in place before the second time
    values = [v.value for v in layer.weights] + [ops.copy(v.value) for v in seeds]
    outputs, drawn = keras.remat(stateless)(values, *tensors)
    for seed, value in zip(seeds, drawn, strict=True):
        seed.assign(value)
    return outputs
