"""The export of each backend, loaded again."""

import keras


def export(model, traced, path):
    """Export a model, and return a function of inputs by name.

    `traced` are inputs of the sizes that the export sees.
    """
    by_backend = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    return by_backend[keras.backend.backend()](model, traced, path)


def _tensorflow(model, traced, path):
    import tensorflow as tf

    model.export(path, format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(path)
    return lambda inputs: loaded.serve(inputs).numpy()


def _jax(model, traced, path):
    import jax
    from jax import export

    def owner(name):
        # ids are as long as what they belong to
        return "x" if "x" in model.input else name.split("_")[-1]

    scope = export.SymbolicScope()
    shapes = {
        name: export.symbolic_shape(
            ",".join(
                "batch"
                if axis == 0
                else f"{owner(name)}{axis}"
                if size is None
                else f"{size}"
                for axis, size in enumerate(tensor.shape)
            ),
            scope=scope,
        )
        for name, tensor in model.input.items()
    }
    structs = {
        name: jax.ShapeDtypeStruct(shape, traced[name].dtype)
        for name, shape in shapes.items()
    }
    state = (
        [v.value for v in model.trainable_variables],
        [v.value for v in model.non_trainable_variables],
    )

    def predict(inputs):
        return model.stateless_call(*state, inputs)[0]

    # to write it to a file takes flatbuffers, which JAX does not bring along
    return export.export(jax.jit(predict))(structs).call


def _torch(model, traced, path):
    import torch

    shapes = dynamic_shapes(model)
    traced = {name: torch.tensor(value) for name, value in traced.items()}
    with torch.no_grad():
        program = torch.export.export(
            of_one_dict(model), (traced,), dynamic_shapes=(shapes,), strict=False
        )
    torch.export.save(program, path)
    call = torch.export.load(path).module()
    return lambda inputs: call(
        {name: torch.tensor(value) for name, value in inputs.items()}
    )


def dynamic_shapes(model):
    """Return which axes of the inputs `torch.export` must leave open."""
    import torch

    free = torch.export.Dim.DYNAMIC
    return {
        name: {axis: free for axis, size in enumerate(tensor.shape) if size is None}
        for name, tensor in model.input.items()
    }


def of_one_dict(model):
    """Return a module that takes one dict, whatever Keras hands on."""
    import torch

    class Program(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, inputs):
            return self.model(inputs)

    return Program().eval()
