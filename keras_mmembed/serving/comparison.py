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
    kind = "complex128" if np.iscomplexobj(expected) else "float64"
    a, b = expected.astype(kind), output.astype(kind)
    finite = np.isfinite(a)
    # NaN, infinity and minus infinity differ from each other as from numbers
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return float("inf")
    if not np.isfinite(b[finite]).all():
        return float("inf")
    scale = max(1.0, np.abs(a[finite]).max(initial=0.0))
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0) / scale)


def not_a_number(answer: Arrays) -> str | None:
    """Return the name of an output that holds NaN, or nothing but infinity."""
    for name, output in answer.items():
        if output.dtype.kind not in "fc" or output.size == 0:
            continue
        if np.isnan(output).any() or not np.isfinite(output).any():
            return name
    return None


def not_finite(answer: Arrays) -> str | None:
    """Return the name of an output that holds NaN or infinity."""
    for name, output in answer.items():
        if output.dtype.kind in "fc" and not np.isfinite(output).all():
            return name
    return None
