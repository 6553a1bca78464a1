"""Requests to a model, its answers, and how far other answers are from them."""

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.serving import signature

WHO = signature.WHO
BATCHES = (1, 2, 3, 4)
# what roundings that add up may make of the largest output
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 6e-2}
# a value may be rounded to the next of 255 steps, in every layer
QUANTIZED = 5e-2


def requests_and_answers(model, endpoints, warmup):
    """Return requests as (endpoint, arrays by name), and the answers of the model.

    Every endpoint gets four requests of drawn values, with the batch sizes 1 to 4, if
    the model takes them; then come those of `warmup`.
    """
    requests, answers = [], []
    for endpoint, names in endpoints.items():
        made = _made_requests(model, names, required=not warmup)
        requests += [(endpoint, arrays) for arrays, _ in made]
        answers += [expected for _, expected in made]
    for index, (endpoint, arrays) in enumerate(warmup):
        try:
            answers.append(answer(model, arrays))
        except Exception as error:  # whatever a model may raise
            shapes = {name: array.shape for name, array in arrays.items()}
            rule = "be a request that the model answers"
            text = checks.error_text(WHO, f"warmup[{index}]", rule, shapes)
            raise ValueError(f"{text} The model says: {error}") from error
        requests.append((endpoint, arrays))
    return requests, answers


def _made_requests(model, names, required):
    """Return four pairs of a request and its answer.

    Integers are 0 or 1. Axes of unknown size differ from each other; or are as large
    as each other, if the model wants that.
    """
    inputs = signature.inputs_by_name(model)
    inputs = {name: tensor for name, tensor in inputs.items() if name in names}
    for differ in (1, 0):
        rng = np.random.default_rng(0)
        requests = [_draw(rng, inputs, batch, differ) for batch in BATCHES]
        try:
            return [(request, answer(model, request)) for request in requests]
        except Exception as caught:  # whatever a model may raise
            error = caught
    if not required:
        return []
    rule = "be given, because the model does not take inputs that are made up"
    remedy = "Give a few real requests, each a dict of arrays by input name."
    text = checks.error_text(WHO, "warmup", rule, "None", remedy)
    raise ValueError(f"{text} The model says: {error}") from error


def answer(model, request):
    """Return the outputs of a model by name, floats as float32."""
    values = signature.arrange(model, request)
    if keras.backend.backend() == "jax":
        # an eager call would compile every operation for every shape
        outputs = model.predict_on_batch(values)
    else:
        outputs = model(values, training=False)
    outputs = signature.outputs_by_name(outputs)
    return {name: _as_served(output) for name, output in outputs.items()}


def default_tolerance(model):
    """Return how far answers may be from those of a model of its precision."""
    tolerance = TOLERANCES["float32"]
    for layer in model._flatten_layers():
        tolerance = max(tolerance, TOLERANCES.get(layer.compute_dtype, 0))
        if layer.quantization_mode:
            tolerance = max(tolerance, QUANTIZED)
    return tolerance


def largest_difference(expected, outputs):
    """Return the largest difference to answers, in units of the largest answer.

    Answers below 1 count as 1. Wrong names and shapes are infinitely far away.
    """
    if set(expected) != set(outputs):
        return float("inf")
    return max(_difference(expected[name], outputs[name]) for name in expected)


def _difference(expected, output):
    if expected.shape != output.shape or expected.dtype != output.dtype:
        return float("inf")
    if expected.size == 0:
        return 0.0
    a, b = expected.astype("float64"), output.astype("float64")
    if (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    known = np.isfinite(a)
    scale = max(1.0, np.abs(a[known]).max(initial=0.0))
    return float(np.abs(a[known] - b[known]).max(initial=0.0) / scale)


def _draw(rng, inputs, batch, differ):
    request, unknown = {}, 0
    for name, tensor in inputs.items():
        shape = []
        for axis, size in enumerate(tensor.shape):
            if size is None and axis == 0:
                size = batch
            elif size is None:
                size = 1 + batch + unknown
                unknown += differ
            shape.append(size)
        dtype = signature.served_dtype(tensor.dtype)
        if checks.is_float(dtype):
            request[name] = rng.normal(size=shape).astype(dtype)
        else:
            request[name] = rng.integers(0, 2, size=shape).astype(dtype)
    return request


def _as_served(output):
    array = np.asarray(ops.convert_to_numpy(output))
    return array.astype("float32") if checks.is_float(array.dtype) else array
