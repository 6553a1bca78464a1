"""How far the answers of an export are from those of the model."""

from typing import NamedTuple

import keras
import numpy as np

from keras_mmembed.serving.signature import Arrays

# rounding errors that add up, relative to the largest value of an answer
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 6e-2}
# every layer rounds values to one of 255 steps
QUANTIZED = 5e-2


class Comparison(NamedTuple):
    """The largest difference between two answers to a request of some shapes."""

    endpoint: str
    shapes: dict[str, tuple[int, ...]]
    difference: float


def default_tolerance(model: keras.Model) -> float:
    """Return the largest difference that is expected at the precision of a model."""
    tolerance = TOLERANCES["float32"]
    for layer in model._flatten_layers():
        tolerance = max(tolerance, TOLERANCES.get(layer.compute_dtype, 0))
        if layer.quantization_mode:
            tolerance = max(tolerance, QUANTIZED)
    return tolerance


def largest_difference(expected: Arrays, answer: Arrays) -> float:
    """Return the largest difference to an answer, relative to its largest value.

    Values below 1 count as 1. Other names, shapes or dtypes differ by infinity.
    """
    if set(expected) != set(answer):
        return float("inf")
    return max(_difference(expected[name], answer[name]) for name in expected)


def _difference(expected: np.ndarray, output: np.ndarray) -> float:
    if expected.shape != output.shape or expected.dtype != output.dtype:
        return float("inf")
    if expected.size == 0:
        return 0.0
    a, b = expected.astype("float64"), output.astype("float64")
    if (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    finite = np.isfinite(a)
    scale = max(1.0, np.abs(a[finite]).max(initial=0.0))
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0) / scale)
