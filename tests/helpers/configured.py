"""Published modules as one configured fusion: its weights by their public paths."""

import numpy as np

import keras_mmembed as mm


def configured(configs, width=16, **options):
    """Return a fusion with no norm and no dropout, unless the options say otherwise."""
    options = {"normalization": None, "dropout": 0.0, "return_dict": True, **options}
    return mm.MultiModalFusion(configs, width, **options)


def assign(layer, **modules):
    """Give a built layer the weights of published modules, by path below the layer.

    A keyword is the path of a sublayer, or of a weight, with `__` for each `/`. Its
    value is an array, or a dict of arrays by the names of the weights.
    """
    values = {}
    for path, value in modules.items():
        path = path.replace("__", "/")
        named = value.items() if isinstance(value, dict) else [("", value)]
        values.update({f"{path}/{name}".rstrip("/"): one for name, one in named})
    # a layer that was built before keeps the path that it had
    weights = {w.path.removeprefix(f"{layer.name}/"): w for w in layer.weights}
    assert sorted(values) == sorted(weights)
    for path, weight in weights.items():
        value = np.asarray(values[path])
        assert value.size == np.prod(weight.shape), path
        weight.assign(value.reshape(weight.shape))


def numpy(tensor):
    return tensor.detach().cpu().numpy()


def dense(linear):
    """Return the weights of a `Dense` layer."""
    named = {"kernel": numpy(linear.weight).T}
    return named if linear.bias is None else {**named, "bias": numpy(linear.bias)}


def norm(layer_norm):
    """Return the weights of a layer normalization."""
    return {"gamma": numpy(layer_norm.weight), "beta": numpy(layer_norm.bias)}


def table(embedding):
    """Return the weights of an embedding."""
    return {"embeddings": numpy(getattr(embedding, "weight", embedding))}


def patches(convolution):
    """Return the weights of a `PatchEmbedding`."""
    kernel = numpy(convolution.weight)
    kernel = np.moveaxis(kernel, (0, 1), (-1, -2)).reshape(-1, kernel.shape[0])
    named = {"kernel": kernel}
    if convolution.bias is not None:
        named["bias"] = numpy(convolution.bias)
    return named


def boxes(module):
    """Return the tables of a `BoxEmbedding`, of a module with those of LayoutLM."""
    names = {"x": "x", "y": "y", "height": "h", "width": "w"}
    return {
        f"{name}_embeddings": numpy(
            getattr(module, f"{one}_position_embeddings").weight
        )
        for name, one in names.items()
        if hasattr(module, f"{one}_position_embeddings")
    }
