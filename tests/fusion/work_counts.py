"""The operations of a program that runs a layer, on each backend.

`operations` returns `(name, shape of the result)` for each operation that writes a
tensor. On JAX they are those of the compiled program, in which a fusion is one
operation, beside the sines and gathers inside of it; on TensorFlow those of the graph;
on PyTorch those that eager mode dispatches, without views.
"""

import re

import keras


def operations(layer, inputs, cotangent=None):
    """Return the operations of a call, or of a training step with a cotangent."""
    backend = {
        "jax": _operations_jax,
        "tensorflow": _operations_tensorflow,
        "torch": _operations_torch,
    }
    return backend[keras.backend.backend()](layer, inputs, cotangent)


def compiled_jax(layer, inputs, cotangent=None):
    """Return the compiled program of a call or a step."""
    import jax

    weights = [v.value for v in layer.trainable_variables]
    state = [v.value for v in layer.non_trainable_variables]

    def call(weights, inputs):
        training = cotangent is not None
        return layer.stateless_call(weights, state, inputs, training=training)[0]

    def step(weights, inputs, cotangent):
        outputs, pullback = jax.vjp(call, weights, inputs)
        return outputs, pullback(cotangent)

    if cotangent is None:
        return jax.jit(call).lower(weights, inputs).compile()
    return jax.jit(step).lower(weights, inputs, cotangent).compile()


def _operations_jax(layer, inputs, cotangent):
    text = compiled_jax(layer, inputs, cotangent).as_text()
    found, is_entry = [], False
    for line in text.splitlines():
        if line and not line.startswith(" "):
            is_entry = line.startswith("ENTRY")
        match = re.match(r"\s+(?:ROOT )?%\S+ = \w+\[([\d,]*)\]\S* ([\w-]+)\(", line)
        if not match:
            continue
        shape = tuple(int(size) for size in match[1].split(",") if size)
        name = {"sine": "sin"}.get(match[2], match[2])
        views = ("parameter", "constant", "bitcast", "get-tuple-element", "tuple")
        if (is_entry and name not in views) or name in ("sin", "gather"):
            found.append((name, shape))
    return found


def _operations_tensorflow(layer, inputs, cotangent):
    import tensorflow as tf

    weights = [v.value for v in layer.trainable_variables]

    @tf.function
    def program(inputs):
        if cotangent is None:
            return layer(inputs, training=False)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        sources = (weights, inputs)
        return outputs, tape.gradient(outputs, sources, output_gradients=cotangent)

    views = ("Placeholder", "Const", "ReadVariableOp", "Identity", "Reshape", "NoOp")
    views += ("ExpandDims", "Squeeze")
    return [
        ({"Sin": "sin"}.get(operation.type, operation.type), tuple(output.shape))
        for operation in program.get_concrete_function(inputs).graph.get_operations()
        if operation.type not in views
        for output in operation.outputs
        if output.shape.is_fully_defined()
    ]


def _operations_torch(layer, inputs, cotangent):
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    found = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            outputs = function(*args, **(kwargs or {}))
            # a view writes nothing
            if not any(r.alias_info for r in function._schema.returns):
                for output in outputs if isinstance(outputs, tuple) else (outputs,):
                    if isinstance(output, torch.Tensor):
                        name = function.overloadpacket.__name__
                        found.append((name, tuple(output.shape)))
            return outputs

    weights = [v.value for v in layer.trainable_variables]
    inputs = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    with Recorder():
        outputs = layer(inputs, training=cotangent is not None)
        if cotangent is not None:
            sources = [*inputs.values(), *weights]
            torch.autograd.grad(outputs, sources, cotangent)
    return found
