"""Functional models of the cases, and what they are fed with."""

import keras
from cases import inputs_of


def symbolic(case):
    """Return the input of a case and its other tensors, nested and by one name each."""

    def one(name, shape):
        return keras.Input(shape, name=name)

    x = case.unknown
    x = {k: one(k, s) for k, s in x.items()} if isinstance(x, dict) else one("x", x)
    extra, flat = {}, {}
    for argument, spec in case.ids.items():
        many = spec if isinstance(spec, dict) else {argument: spec}
        made = {
            name: keras.Input(
                (None, *shape[1:]),
                dtype="float32" if count is None else "int32",
                name=f"{argument}_{name}",
            )
            for name, (shape, count) in many.items()
        }
        flat.update({f"{argument}_{name}": i for name, i in made.items()})
        extra[argument] = made if isinstance(spec, dict) else made[argument]
    return x, extra, flat


def functional(case, layer):
    """Return a model of a layer, whose inputs are all in one dict."""
    x, extra, flat = symbolic(case)
    outputs = layer(x, **extra, **case.call)
    inputs = {**(x if isinstance(x, dict) else {"x": x}), **flat}
    return keras.Model(inputs, outputs)


def model_inputs(case, **kwargs):
    """Return what such a model is fed with."""
    x, extra = inputs_of(case, **kwargs)
    fed = dict(x) if isinstance(x, dict) else {"x": x}
    for argument, value in extra.items():
        many = value if isinstance(value, dict) else {argument: value}
        fed.update({f"{argument}_{name}": ids for name, ids in many.items()})
    return fed
