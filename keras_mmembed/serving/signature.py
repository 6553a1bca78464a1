"""The inputs and outputs of a model by the names that clients use."""

import re

import keras
import numpy as np

from keras_mmembed.common import checks

WHO = "export_for_serving"
DEFAULT_ENDPOINTS = ("serve", "serving_default")
HALF = ("float16", "bfloat16")


def inputs_by_name(model):
    """Return the symbolic inputs of a model by name, in the order of the model.

    A dict gives its keys; otherwise the inputs carry the names of `keras.Input`.
    """
    structure = _structure(model)
    if isinstance(structure, dict):
        return dict(structure)
    tensors = structure if isinstance(structure, (list, tuple)) else [structure]
    return {tensor.name: tensor for tensor in tensors}


def arrange(model, values):
    """Return values by name in the structure that the model is called with.

    What is left out becomes `None`, as an optional input wants it.
    """
    structure = _structure(model)
    if isinstance(structure, dict):
        return {name: values.get(name) for name in structure}
    if isinstance(structure, (list, tuple)):
        return [values.get(tensor.name) for tensor in structure]
    return values.get(structure.name)


def outputs_by_name(outputs):
    """Return outputs by name.

    A dict gives its keys, anything else `output_0`, `output_1`, ...; what is nested
    is joined with an underscore.
    """
    if not isinstance(outputs, dict):
        many = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        outputs = {f"output_{index}": one for index, one in enumerate(many)}
    return dict(_flat(outputs))


def served_dtype(dtype):
    """Return the dtype that clients see for a tensor: none has half precision."""
    dtype = keras.backend.standardize_dtype(dtype)
    return "float32" if dtype in HALF else dtype


def describe(name, tensor):
    """Return name, dtype and shape of an input, as clients see it."""
    return name, served_dtype(tensor.dtype), tuple(tensor.shape)


def check_model(model, who=WHO):
    """Raise unless a model is made of symbols, with names for inputs and outputs."""
    is_model = isinstance(model, keras.Model)
    received = type(model).__name__
    checks.check(is_model, who, "model", "be a keras.Model", received, error=TypeError)
    rule = "be built of keras.Input, as functional and sequential models are"
    remedy = (
        "Wrap it: inputs = {'tokens': keras.Input((None,), dtype='int32', "
        "name='tokens')}; keras.Model(inputs, model(inputs))."
    )
    is_symbolic = bool(getattr(model, "inputs", None))
    checks.check(is_symbolic, who, "model", rule, f"{model.name!r}", remedy)
    structure = _structure(model)
    parts = structure.values() if isinstance(structure, dict) else structure
    parts = [parts] if isinstance(parts, keras.KerasTensor) else parts
    is_flat = all(isinstance(part, keras.KerasTensor) for part in parts)
    rule = "take one tensor, a list or a dict of them"
    checks.check(is_flat, who, "model", rule, f"{model.name!r} with nested inputs")
    names = tuple(inputs_by_name(model))
    unnamed = [name for name in names if re.fullmatch(r"keras_tensor(_\d+)?", name)]
    remedy = "Build it from a dict of inputs, or as keras.Input(..., name='tokens')."
    checks.check(
        not unnamed, who, "model", "have named inputs", f"{model.name!r}", remedy
    )
    checks.check_names(who, "model.input", names)
    outputs = _outputs(model)
    names = tuple(outputs_by_name(outputs))
    checks.check_names(who, "model.output", names)
    is_one_to_one = len(names) == len(keras.tree.flatten(outputs))
    rule = "have names that differ when nested names are joined"
    checks.check(is_one_to_one, who, "model.output", rule, names)


def check_endpoints(model, endpoints):
    """Return the names of the inputs of every endpoint; `serve` has them all."""
    inputs = inputs_by_name(model)
    endpoints = {} if endpoints is None else endpoints
    rule = "be a dict of input names by endpoint"
    is_dict = isinstance(endpoints, dict)
    received = type(endpoints).__name__
    checks.check(is_dict, WHO, "endpoints", rule, received, error=TypeError)
    if endpoints:
        checks.check_names(WHO, "endpoints", endpoints)
    checked = {DEFAULT_ENDPOINTS[0]: tuple(inputs)}
    for endpoint, names in endpoints.items():
        argument = f"endpoints[{endpoint!r}]"
        taken = endpoint in DEFAULT_ENDPOINTS
        rule = "have a name of its own, because every model has those two"
        checks.check(not taken, WHO, argument, rule, repr(endpoint))
        rule = f"name some of the inputs {list(inputs)}"
        is_known = isinstance(names, (list, tuple)) and set(names) <= set(inputs)
        checks.check(is_known and len(names) > 0, WHO, argument, rule, repr(names))
        left_out = [
            name for name in inputs if name not in names and not optional(inputs[name])
        ]
        rule = "name every input that is not optional"
        remedy = (
            f"{left_out} can be left out if they are made by "
            "keras.Input(..., optional=True)."
        )
        checks.check(not left_out, WHO, argument, rule, repr(names), remedy)
        checked[endpoint] = tuple(name for name in inputs if name in names)
    return checked


def check_requests(model, requests, endpoints):
    """Return requests as (endpoint, arrays by name), with the dtypes of the model."""
    inputs = inputs_by_name(model)
    rule = "be a list of dicts, each with an array for every input of an endpoint"
    is_list = isinstance(requests, (list, tuple))
    received = type(requests).__name__
    checks.check(is_list, WHO, "warmup", rule, received, error=TypeError)
    most = 1000
    rule = f"hold at most {most} requests, which is what a server reads"
    checks.check(len(requests) <= most, WHO, "warmup", rule, len(requests))
    return [
        _check_request(f"warmup[{index}]", request, inputs, endpoints)
        for index, request in enumerate(requests)
    ]


def _check_request(argument, request, inputs, endpoints):
    rule = "be a dict of arrays"
    received = type(request).__name__
    is_dict = isinstance(request, dict)
    checks.check(is_dict, WHO, argument, rule, received, error=TypeError)
    endpoint = next((e for e, n in endpoints.items() if set(n) == set(request)), None)
    rule = f"have the inputs of one of the endpoints {endpoints}"
    checks.check(endpoint is not None, WHO, argument, rule, sorted(request))
    arrays = {
        name: _check_array(f"{argument}[{name!r}]", request[name], inputs[name])
        for name in endpoints[endpoint]
    }
    sizes = {name: array.shape[0] for name, array in arrays.items() if array.ndim}
    rule = "have one batch size for all inputs"
    checks.check(len(set(sizes.values())) == 1, WHO, argument, rule, sizes)
    return endpoint, arrays


def _check_array(argument, value, tensor):
    array = np.asarray(value)
    dtype = served_dtype(tensor.dtype)
    fits = np.can_cast(array.dtype, dtype, "same_kind")
    rule = f"be of a dtype that becomes {dtype}"
    checks.check(fits, WHO, argument, rule, array.dtype, error=TypeError)
    shape = tuple(tensor.shape)
    fits = checks.shapes_match(array.shape, shape)
    checks.check(fits, WHO, f"{argument}.shape", f"fit {shape}", array.shape)
    return array.astype(dtype)


def optional(tensor):
    """Whether an input of a model may be left out."""
    return bool(getattr(tensor._keras_history.operation, "optional", False))


def _structure(model):
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _outputs(model):
    return model.outputs[0] if isinstance(model, keras.Sequential) else model.output


def _flat(outputs):
    for name, output in outputs.items():
        if isinstance(output, (list, tuple)):
            output = {str(index): one for index, one in enumerate(output)}
        if isinstance(output, dict):
            yield from ((f"{name}_{rest}", one) for rest, one in _flat(output))
        else:
            yield name, output
