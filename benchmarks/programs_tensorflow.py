"""Programs on TensorFlow."""

import tensorflow as tf


def forward_function(model):
    """Return a function of the inputs."""
    return lambda inputs: model(inputs, training=False)


def step_function(model, cotangent):
    """Return a function that gives outputs and gradients."""
    weights = [variable.value for variable in model.trainable_variables]

    def run(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = model(inputs, training=True)
        sources = (weights, inputs)
        return outputs, tape.gradient(outputs, sources, output_gradients=cotangent)

    return run


def compiled(function, mode):
    """Return a function as it is, as a graph, or compiled by XLA."""
    if mode == "eager":
        return function
    return tf.function(function, jit_compile=mode == "xla")


def forward(model, inputs, mode):
    return _program(forward_function(model), inputs, mode)


def step(model, inputs, cotangent, mode):
    return _program(step_function(model, cotangent), inputs, mode)


def _program(function, inputs, mode):
    function = compiled(function, mode)

    def program():
        results = function(inputs)
        tf.test.experimental.sync_devices()
        return results

    return program
