"""Programs on JAX."""

import jax


def forward_function(model):
    """Return a pure function of the weights and the inputs."""

    def run(weights, state, inputs):
        return model.stateless_call(weights, state, inputs, training=False)[0]

    return run


def step_function(model):
    """Return a pure function that gives outputs, gradients and the next state."""

    def run(weights, state, inputs, cotangent):
        def call(weights, inputs):
            return model.stateless_call(weights, state, inputs, training=True)

        outputs, pullback, state = jax.vjp(call, weights, inputs, has_aux=True)
        return outputs, pullback(cotangent), state

    return run


def arguments(model, inputs, cotangent=None):
    """Return what the pure functions are called with."""
    weights = [variable.value for variable in model.trainable_variables]
    state = [variable.value for variable in model.non_trainable_variables]
    return (weights, state, inputs) + (() if cotangent is None else (cotangent,))


def forward(model, inputs, mode):
    return _program(forward_function(model), arguments(model, inputs), mode)


def step(model, inputs, cotangent, mode):
    given = arguments(model, inputs, cotangent)
    return _program(step_function(model), given, mode)


def _program(function, given, mode):
    function = jax.jit(function) if mode == "jit" else function
    return lambda: jax.block_until_ready(function(*given))
