"""The arguments of a call, before Keras sees them: tensors, or arrays of lists."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import keras
import numpy as np

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Tensor

NUMBERS = "be numbers, as an array, a tensor or lists of one length"
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def standardize(
    who: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    required: Sequence[str] = ("inputs",),
    optional: Sequence[str] = (),
) -> Arguments:
    """Return the arguments of a call with arrays in the place of lists of numbers.

    Keras itself refuses what is no tensor, but names no argument.

    Args:
        who: Name of the layer.
        args: The positional arguments, in the order of their names.
        kwargs: The keyword arguments.
        required: Names of the tensors that every call has, which come first.
        optional: Names of the tensors that may be `None`.
    """
    names = (*required, *optional)
    for name in required[len(args) :]:
        kwargs = {name: None, **kwargs}
    positional = tuple(
        _standardize(who, name, value, name in required)
        for name, value in zip(names, args, strict=False)
    )
    named = {
        name: _standardize(who, name, value, name in required)
        if name in names
        else value
        for name, value in kwargs.items()
    }
    return (*positional, *args[len(names) :]), named


def _standardize(who: str, name: str, value: Any, is_required: bool) -> Any:
    return value if value is None and not is_required else as_array(who, name, value)


def as_array(who: str, argument: str, value: Any, rule: str = NUMBERS) -> Tensor:
    """Return numbers in lists as an array, and what has a shape as it is."""
    is_array = isinstance(value, np.ndarray)
    is_ragged = type(value).__name__ in ("RaggedTensor", "SparseTensor")
    if hasattr(value, "shape") and not is_array and not is_ragged:
        return value
    is_list = isinstance(value, (list, tuple))
    # stacked as an array, tensors would lose their gradients
    of_tensors = is_list and any(len(getattr(one, "shape", ())) for one in value)
    array = None if is_ragged or of_tensors else _array(value)
    # of NumPy's kinds, "V" is that of bfloat16
    kind = "" if array is None else array.dtype.kind
    # NumPy reads True among integers as 1
    is_mixed = is_list and kind != "b" and _has_bools(value)
    fits = kind != "" and kind in "biufcV" and not is_mixed
    remedy = ""
    if is_ragged or is_list:
        remedy = "pad_batch pads samples of several lengths to one array."
    received = f"a {type(value).__name__}" if is_ragged or of_tensors else repr(value)
    checks.check(fits, who, argument, rule, received, remedy, error=TypeError)
    _check_integers(who, argument, cast(np.ndarray, array))
    return array


def _has_bools(values: Any) -> bool:
    return any(isinstance(value, bool) for value in keras.tree.flatten(values))


def _array(value: Any) -> np.ndarray | None:
    try:
        return np.asarray(value)
    except (ValueError, TypeError):  # lists of several lengths
        return None


def _check_integers(who: str, argument: str, array: np.ndarray) -> None:
    """Raise for integers that JAX would cut to 32 bits without a word."""
    is_long = array.dtype.kind in "iu" and array.dtype.itemsize > 4 and array.size > 0
    if is_long and keras.backend.standardize_dtype(array.dtype) != _kept(array.dtype):
        remedy = "JAX keeps 32 bits of an integer."
        tensors.check_range(who, argument, array, -(2**31), 2**31, remedy)


def _kept(dtype: np.dtype) -> str:
    """Return the dtype that a tensor of the backend has of an array."""
    empty = keras.ops.convert_to_tensor(np.zeros(0, dtype))
    return keras.backend.standardize_dtype(empty.dtype)
