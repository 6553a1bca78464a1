"""What is told of data for `fit`, `evaluate` and `predict`, before Keras reads it."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common import checks
from keras_mmembed.common.calls import check_tensors
from keras_mmembed.common.types import Shape


def check_data(model: keras.Model, x: Any) -> None:
    """Raise for inputs by name that no step could take; a data set is not looked into.

    Keras itself says nothing of what is wrong with some, and TensorFlow forgets the
    sizes that differ from those of the step before.

    Args:
        model: The model.
        x: What `fit`, `evaluate` or `predict` got.
    """
    who = type(model).__name__
    rule = "be a dict of arrays by modality, or a data set of them"
    is_data = x is not None and not isinstance(x, (str, bytes, int, float))
    checks.check(is_data, who, "x", rule, repr(x), error=TypeError)
    if not isinstance(x, Mapping):
        return
    # a modality that is None is absent
    given = {name: value for name, value in x.items() if value is not None}
    checks.check(given, who, "x", "have at least one modality", x)
    # a data frame has a dtype for each column, and Keras reads it
    if any(hasattr(value, "dtypes") for value in given.values()):
        return
    check_tensors(who, "x", given, needs_tensors=True)
    shapes = {name: tuple(value.shape) for name, value in given.items()}
    _check_samples(who, shapes)
    dtypes = {n: keras.backend.standardize_dtype(x.dtype) for n, x in given.items()}
    model.compute_output_spec(
        {name: keras.KerasTensor(shapes[name], dtypes[name]) for name in given}
    )


def _check_samples(who: str, shapes: Mapping[str, Shape]) -> None:
    """Raise unless all inputs have as many samples, and at least one."""
    first, *_ = shapes
    for name, shape in shapes.items():
        argument = f"x[{name!r}].shape"
        checks.check(shape, who, argument, "begin with the number of samples", shape)
        remedy = "Call the model itself for no samples."
        rule = "begin with at least one sample"
        checks.check(shape[0] != 0, who, argument, rule, shape, remedy)
        rule = f"begin with {shapes[first][0]}, as that of {first!r}"
        checks.check(shape[0] == shapes[first][0], who, argument, rule, shape)
