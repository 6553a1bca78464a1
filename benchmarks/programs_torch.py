"""Programs on PyTorch, of Keras layers and of modules of its own."""

import keras
import torch

# each model of a process counts as one more version of the code that Keras' layers
# share, and PyTorch gives up on a code after eight of them
torch._dynamo.config.recompile_limit = 64


def weights(model):
    """Return the parameters of a layer or module."""
    if isinstance(model, keras.layers.Layer):
        return [variable.value for variable in model.trainable_variables]
    return list(model.parameters())


def call_function(model, training):
    """Return a function of the inputs, in training or not."""
    if isinstance(model, keras.layers.Layer):
        return lambda inputs: model(inputs, training=training)
    model.train(training)
    return model


def forward(model, inputs, mode):
    call = _compiled(call_function(model, training=False), mode)

    def program():
        with torch.no_grad():
            outputs = call(inputs)
        _wait()
        return outputs

    return program


def step(model, inputs, cotangent, mode):
    call = _compiled(call_function(model, training=True), mode)
    inputs = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    sources = [*inputs.values(), *weights(model)]

    def program():
        outputs = call(inputs)
        gradients = torch.autograd.grad(outputs, sources, cotangent, allow_unused=True)
        _wait()
        return outputs, gradients

    return program


def _compiled(call, mode):
    if mode == "eager":
        return call
    if mode == "compile":
        return torch.compile(call, dynamic=False)

    def own(inputs):
        return call(inputs)

    # PyTorch keeps programs by the code, and without guards takes models for the same
    own.__code__ = own.__code__.replace()
    options = {"guard_filter_fn": torch.compiler.keep_tensor_guards_unsafe}
    return torch.compile(own, dynamic=False, options=options)


def _wait():
    if torch.cuda.is_available():
        torch.cuda.synchronize()
