"""The arguments of a fusion's call before Keras sees them: arrays, by modality."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import keras
import numpy as np

from keras_mmembed.common import checks
from keras_mmembed.common.call_arguments import Arguments, as_array
from keras_mmembed.fusion import argument_checks
from keras_mmembed.fusion.checks import check_dict, check_keys

WHO = "MultiModalFusion"
TENSORS = ("segment_ids", "positions", "present", "placeholders", "mask")
# for these, integers say more than tensors: they are known while a model is built
SIZES = ("grids", "start_index")
NAMES = ("inputs", *TENSORS, *SIZES, "terms", "masked")


class CallByModality:
    """The part of a fusion, or of a model of it, that reads the arguments of a call."""

    # subclasses say what type checkers see
    if not TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            names = _names_of(self)
            args, kwargs = standardize(names, args, kwargs)
            return super().__call__(*args, **kwargs)

    def standardize(self, *args: Any) -> tuple[Any, ...]:
        """Return the positional arguments of a call as a call reads them."""
        return standardize(_names_of(self), args, {})[0]


def _names_of(layer: Any) -> tuple[str, ...]:
    """Return the names of the modalities of a fusion, or of the one in a model."""
    return getattr(layer, "fusion", layer).modalities


def standardize(
    modalities: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Arguments:
    """Return the arguments of a call with arrays in the place of lists of numbers.

    Keras refuses dicts of tensors and numbers, and names no argument when it refuses.

    Args:
        modalities: Names of the modalities.
        args: The positional arguments of a call.
        kwargs: The keyword arguments.
    """
    named = {**dict(zip(NAMES, args, strict=False)), **kwargs}
    rule = "be given in every call"
    is_given = "inputs" in named
    checks.check(is_given, WHO, "inputs", rule, "nothing", error=TypeError)
    positional = [
        _by_modality(name, value, modalities)
        for name, value in zip(NAMES, args, strict=False)
    ]
    keywords = {
        name: _by_modality(name, value, modalities) if name in NAMES else value
        for name, value in kwargs.items()
    }
    return (*positional, *args[len(NAMES) :]), keywords


def _by_modality(argument: str, values: Any, modalities: Sequence[str]) -> Any:
    """Return an argument with an array for each modality."""
    if values is None and argument != "inputs":
        return None
    check_dict(values, argument)
    check_keys(argument, values, modalities)
    values = cast(Mapping[str, Any], values)
    if argument in SIZES:
        return _sizes(argument, values)
    if argument == "terms":
        return {name: _terms(f"terms[{name!r}]", one) for name, one in values.items()}
    return {
        name: _tensor(f"{argument}[{name!r}]", value) for name, value in values.items()
    }


def _terms(argument: str, values: Any) -> Any:
    """Return the values of the terms of a modality as arrays."""
    if values is None:
        return {}
    rule, received = "be a dict of values by term", type(values).__name__
    is_dict = isinstance(values, dict)
    is_dict = is_dict and all(isinstance(name, str) for name in values)
    checks.check(is_dict, WHO, argument, rule, received, error=TypeError)
    return {
        name: _tensor(f"{argument}[{name!r}]", value) for name, value in values.items()
    }


def _tensor(argument: str, value: Any) -> Any:
    if value is None:
        return None
    is_list = isinstance(value, (list, tuple))
    if is_list and any(hasattr(one, "shape") for one in value):
        argument_checks.check_is_tensor(argument, value)
    return as_array(WHO, argument, value)


def _sizes(argument: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return grids or starts as integers if all are, and else as tensors."""
    sizes = {n: _size(f"{argument}[{n!r}]", value) for n, value in values.items()}
    if not any(hasattr(size, "shape") for size in sizes.values()):
        return sizes
    return {
        name: np.asarray(size, "int32") if isinstance(size, (int, tuple)) else size
        for name, size in sizes.items()
    }


def _size(argument: str, value: Any) -> Any:
    """Return an integer or a tuple of integers, or else a tensor or an array."""
    if _is_integer(value):
        return checks.check_integer(WHO, argument, value, minimum=0)
    if isinstance(value, (list, tuple)) and value:
        if all(_is_integer(size) for size in value):
            sizes = [checks.check_integer(WHO, argument, one, 0) for one in value]
            return tuple(sizes)
        if all(hasattr(size, "shape") and not len(size.shape) for size in value):
            return keras.ops.stack([keras.ops.cast(size, "int32") for size in value])
    return _tensor(argument, value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
