"""Requests to a model, random ones and those of the user, and its answers."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.serving import comparison, signature
from keras_mmembed.serving.signature import WHO, Arrays, Endpoint, ServedInput

BATCHES = (1, 2, 3, 4)


@dataclass(frozen=True)
class Request:
    """Arrays by input name for an endpoint."""

    endpoint: str
    arrays: Arrays

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays by input name."""
        return {name: array.shape for name, array in self.arrays.items()}


@dataclass(frozen=True)
class AnsweredRequest:
    """A request and the answer of the model: its outputs by name."""

    request: Request
    answer: Arrays


def answer_requests(
    model: keras.Model, endpoints: Sequence[Endpoint], warmup: Sequence[Request]
) -> list[AnsweredRequest]:
    """Return random requests to each endpoint and those of `warmup`, with answers.

    A model that cannot answer random requests, or not with finite numbers, gets none
    if there are others.
    """
    answered = []
    for endpoint in endpoints:
        answered += _answer_random(model, endpoint, is_required=not warmup)
    for index, request in enumerate(warmup):
        answered.append(_answer_warmup(model, index, request))
    return answered


def answer(model: keras.Model, request: Request) -> Arrays:
    """Return the outputs of a model by name, floats as float32."""
    inputs = signature.inputs_in_structure(model, request.arrays)
    if keras.backend.backend() == "jax":
        # an eager call would compile every operation for every shape
        outputs = model.predict_on_batch(inputs)
    else:
        outputs = model(inputs, training=False)
    outputs = signature.outputs_by_name(outputs)
    return {name: _as_served(output) for name, output in outputs.items()}


def _as_served(output: Tensor) -> np.ndarray:
    array = np.asarray(ops.convert_to_numpy(output))
    return array.astype("float32") if tensors.is_float(array.dtype) else array


def _answer_random(
    model: keras.Model, endpoint: Endpoint, is_required: bool
) -> list[AnsweredRequest]:
    """Return random requests with answers; none if the model cannot answer them.

    The unknown lengths of a request differ from each other. If the model needs equal
    ones, they are equal.
    """
    error = None
    for lengths_differ in (True, False):
        requests = _random_requests(endpoint, lengths_differ)
        try:
            answered = [AnsweredRequest(each, answer(model, each)) for each in requests]
        except Exception as caught:  # whatever a model may raise
            error = caught
            continue
        are_finite = all(_is_finite(model, each, is_required) for each in answered)
        return answered if are_finite else []
    if not is_required:
        return []
    rule = "be given, because the model does not answer random requests"
    remedy = "Give a few real requests, each a dict of arrays by input name."
    text = checks.error_text(WHO, "warmup", rule, "None", remedy)
    raise ValueError(f"{text} The model says: {error}") from error


def _is_finite(
    model: keras.Model, answered: AnsweredRequest, is_required: bool
) -> bool:
    """Whether an answer has finite numbers only; raise if it has to have them."""
    output = comparison.not_finite(answered.answer)
    if output is not None and is_required:
        rule = "answer random requests with finite numbers"
        received = f"{model.name!r}, whose {output!r} is NaN or infinite"
        remedy = (
            f"This was at the shapes {answered.request.shapes}. If training has "
            "diverged, go back to weights from before; if the model answers real "
            "requests well, give a few of them as `warmup`. Nothing was exported."
        )
        checks.check(False, WHO, "model", rule, received, remedy)
    return output is None


def _answer_warmup(model: keras.Model, index: int, request: Request) -> AnsweredRequest:
    argument = f"warmup[{index}]"
    try:
        answered = AnsweredRequest(request, answer(model, request))
    except Exception as error:  # whatever a model may raise
        rule = "be a request that the model answers"
        text = checks.error_text(WHO, argument, rule, request.shapes)
        raise ValueError(f"{text} The model says: {error}") from error
    output = comparison.not_a_number(answered.answer)
    rule = "be a request that the model answers with numbers"
    remedy = (
        f"Its {output!r} is NaN, or nothing but infinity: look for such values in its "
        "weights and in the request. Nothing was exported."
    )
    checks.check(output is None, WHO, argument, rule, request.shapes, remedy)
    return answered


def _random_requests(endpoint: Endpoint, lengths_differ: bool) -> list[Request]:
    """Return a request for each of `BATCHES`."""
    generator = np.random.default_rng(0)
    requests = []
    for batch in BATCHES:
        lengths = itertools.count(batch + 1, step=int(lengths_differ))
        arrays = {
            served.name: _random_array(generator, served, batch, lengths)
            for served in endpoint.inputs
        }
        requests.append(Request(endpoint.name, arrays))
    return requests


def _random_array(
    generator: np.random.Generator,
    served: ServedInput,
    batch: int,
    lengths: Iterator[int],
) -> np.ndarray:
    """Return normal floats, or integers that are 0 or 1."""
    shape = _sizes(served.shape, batch, lengths)
    if tensors.is_float(served.dtype):
        return generator.normal(size=shape).astype(served.dtype)
    return generator.integers(0, 2, size=shape).astype(served.dtype)


def _sizes(shape: Shape, batch: int, lengths: Iterator[int]) -> tuple[int, ...]:
    """Return a shape with the batch and lengths in place of unknown sizes."""
    sizes = []
    for axis, size in enumerate(shape):
        if size is None:
            size = batch if axis == 0 else next(lengths)
        sizes.append(size)
    return tuple(sizes)
