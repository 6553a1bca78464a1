"""Errors of a call that Keras or a backend refuses before a layer can, made clear."""

import functools
import inspect
from typing import Any, TypeVar

import keras
import numpy as np

from keras_mmembed.common import checks

Layer = TypeVar("Layer", bound=keras.layers.Layer)


def clear_calls(cls: type[Layer]) -> type[Layer]:
    """Decorate a layer whose call says which of its arguments is no tensor.

    Only a call that fails is looked into, so that no other is slower.
    """
    call = cls.__call__

    @functools.wraps(call)
    def __call__(self: Layer, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(self, *args, **kwargs)
        except Exception as error:
            if f"{type(self).__name__}: `" not in str(error):
                _check_arguments(self, args, kwargs)
            raise

    cls.__call__ = __call__
    return cls


def _check_arguments(layer: keras.layers.Layer, args: Any, kwargs: Any) -> None:
    """Raise if arguments are missing, unknown, or of a kind that no layer takes."""
    who, parameters = type(layer).__name__, inspect.signature(layer.call).parameters
    names = [name for name in parameters if name != "training"]
    for name in kwargs:
        rule = f"be left out: the arguments of a call are {', '.join(names)}"
        known = name in parameters
        checks.check(known, who, name, rule, repr(kwargs[name]), error=TypeError)
    given = {**dict(zip(parameters, args, strict=False)), **kwargs}
    for name, parameter in parameters.items():
        is_given = name in given or parameter.default is not parameter.empty
        rule = "be given in every call"
        checks.check(is_given, who, name, rule, "nothing", error=TypeError)
    for name, value in given.items():
        needs_tensors = parameters[name].default is parameters[name].empty
        check_tensors(who, name, value, needs_tensors)


def check_tensors(who: str, name: str, value: Any, needs_tensors: bool) -> None:
    """Raise for arrays that hold no numbers, and for what should be one and is none."""
    if isinstance(value, dict):
        is_named = all(isinstance(key, str) for key in value)
        rule, received = "have only names as its keys", repr(list(value))
        checks.check(is_named, who, name, rule, received)
        for key, one in value.items():
            check_tensors(who, f"{name}[{key!r}]", one, needs_tensors)
        return
    if isinstance(value, (list, tuple)):
        tensors = [one for one in value if hasattr(one, "shape")]
        rule, received = "hold only tensors, or only numbers", repr(value)
        is_pure = len(tensors) in (0, len(value))
        checks.check(is_pure, who, name, rule, received, error=TypeError)
        for index, one in enumerate(tensors):
            check_tensors(who, f"{name}[{index}]", one, needs_tensors)
        # not only lists of tensors: numbers in lists are no tensor either
        checks.check(
            bool(tensors) or not needs_tensors,
            who,
            name,
            "be a tensor or an array of numbers",
            received,
            error=TypeError,
        )
        return
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        rule = "be a tensor or an array of numbers"
        received = repr(value)
        checks.check(not needs_tensors, who, name, rule, received, error=TypeError)
        return
    if isinstance(value, np.ndarray):
        fits, received = value.dtype.kind in "biufV", value.dtype
    else:
        received = keras.backend.standardize_dtype(value.dtype)
        fits = received == "bool" or "int" in received or "float" in received
    rule = "be a number or bool"
    checks.check(fits, who, f"{name}.dtype", rule, received, error=TypeError)
