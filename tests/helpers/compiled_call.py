"""One call of a model, compiled where every operation of its own takes long."""

import keras


def outputs_of(model, inputs, **call):
    """Return the outputs of a built model in evaluation.

    JAX compiles each operation of an eager call by itself.
    """
    if keras.backend.backend() != "jax":
        return model(inputs, **call)
    import jax

    variables = model.trainable_variables, model.non_trainable_variables
    step = jax.jit(
        lambda inputs, call: model.stateless_call(*variables, inputs, **call)[0]
    )
    return step(inputs, call)
