"""Checks of arguments and tensors, and the one form of their messages."""

import re
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import Any, Literal, TypeVar, overload

import keras
import numpy as np

from keras_mmembed.common.types import Shape, Tensor

Value = TypeVar("Value")


def error_text(
    layer: str, argument: str, rule: str, received: Any, remedy: str = ""
) -> str:
    """Return the message of a failed check, in the form that all checks share."""
    text = f"{layer}: `{argument}` must {rule}. Received: {argument}={received}."
    return f"{text} {remedy}" if remedy else text


def check(
    condition: object,
    layer: str,
    argument: str,
    rule: str,
    received: Any,
    remedy: str = "",
    *,
    error: type[Exception] = ValueError,
) -> None:
    """Raise `error` with the text of `error_text` unless `condition` is true."""
    if not condition:
        raise error(error_text(layer, argument, rule, received, remedy))


@overload
def check_integer(
    layer: str,
    argument: str,
    value: Any,
    minimum: int = 1,
    optional: Literal[False] = False,
) -> int: ...


@overload
def check_integer(
    layer: str,
    argument: str,
    value: Any,
    minimum: int = 1,
    *,
    optional: Literal[True],
) -> int | None: ...


def check_integer(
    layer: str,
    argument: str,
    value: Any,
    minimum: int = 1,
    optional: bool = False,
) -> int | None:
    """Return `value` as an `int` of at least `minimum`, or `None` if optional."""
    if optional and value is None:
        return None
    kind = "an integer or None" if optional else "an integer"
    fits = _is_number(value, int, np.integer)
    check(fits, layer, argument, f"be {kind}", repr(value), error=TypeError)
    check(value >= minimum, layer, argument, f"be at least {minimum}", repr(value))
    return int(value)


def check_number(
    layer: str,
    argument: str,
    value: Any,
    minimum: float,
    maximum: float | None = None,
    open_end: bool = False,
) -> float:
    """Return `value` as a `float` in `[minimum, maximum]`.

    With `open_end` the maximum itself is excluded; without a maximum, the minimum is.
    """
    fits = _is_number(value, int, float, np.number)
    check(fits, layer, argument, "be a number", repr(value), error=TypeError)
    if maximum is None:
        inside, rule = value > minimum, f"be greater than {minimum}"
    elif open_end:
        inside, rule = minimum <= value < maximum, f"lie in [{minimum}, {maximum})"
    else:
        inside, rule = minimum <= value <= maximum, f"lie in [{minimum}, {maximum}]"
    check(inside, layer, argument, rule, repr(value))
    return float(value)


def _is_number(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def check_choice(
    layer: str, argument: str, value: Value, choices: Iterable[Any]
) -> Value:
    """Return `value` if it is one of `choices`; the message lists them."""
    listed = ", ".join(repr(choice) for choice in choices)
    check(
        any(value is choice or value == choice for choice in choices),
        layer,
        argument,
        f"be one of {listed}",
        repr(value),
    )
    return value


def known_shape(shape: Iterable[Any]) -> Shape:
    """Return a shape as a tuple, with `None` for each size that is unknown."""
    return tuple(size if isinstance(size, int) else None for size in shape)


def shapes_match(shape: Shape, expected: Shape) -> bool:
    """Whether two shapes have the same rank and no two known sizes that differ."""
    return len(shape) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(shape, expected, strict=True)
    )


def check_rank(
    layer: str, argument: str, shape: Shape, ranks: Collection[int], axes: str
) -> None:
    """Raise unless `shape` has one of `ranks`; `axes` names the axes in the message."""
    check(len(shape) in ranks, layer, argument, f"be {axes}", tuple(shape))


def check_kind(
    layer: str, argument: str, tensor: Tensor, kind: Literal["integer", "float"]
) -> None:
    """Raise unless the dtype of `tensor` is an integer, or a float."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    fits = dtype.startswith(("int", "uint")) if kind == "integer" else is_float(dtype)
    remedy = f"Cast it to a dtype of the {kind} kind first."
    check(
        fits, layer, f"{argument}.dtype", f"be {kind}", dtype, remedy, error=TypeError
    )


def is_float(dtype: Any) -> bool:
    """Whether a dtype is a float of any precision."""
    return "float" in keras.backend.standardize_dtype(dtype)


def known_values(tensor: Tensor | None) -> np.ndarray | None:
    """Return the values as a NumPy array, or `None` while they are not known.

    Symbolic and traced tensors have no values yet. Values on an accelerator count as
    unknown: a copy would make every step wait for it.
    """
    if tensor is None or isinstance(tensor, keras.KerasTensor) or _is_compiling():
        return None
    return _values(tensor) if _is_on_cpu(tensor) else None


def _is_on_cpu(tensor: Tensor) -> bool:
    device = getattr(tensor, "device", "cpu")
    if isinstance(device, str):  # that of TensorFlow, such as "/device:GPU:0"
        return not device or "cpu" in device.lower()
    # JAX: one device, or the sharding over several; PyTorch: the type of the device
    devices = getattr(device, "device_set", [device])
    kinds = {getattr(d, "type", None) or getattr(d, "platform", "cpu") for d in devices}
    return kinds == {"cpu"}


def _values(tensor: Tensor) -> np.ndarray | None:
    try:
        return np.asarray(keras.ops.convert_to_numpy(tensor))
    except Exception:  # each backend has its own error for a traced tensor
        return None


def is_traced(tensor: Tensor) -> bool:
    """Whether `tensor` stands for values of a later run: symbolic, traced or meta."""
    if isinstance(tensor, keras.KerasTensor):
        return True
    device = getattr(getattr(tensor, "device", None), "type", None)
    if device == "meta":
        return True
    if device is not None:
        # an accelerator holds real values, which are not worth a copy here
        return "Fake" in type(tensor).__name__
    return _is_compiling() or _values(tensor[:0]) is None


def raise_or_warn(
    tensor: Tensor, check: Callable[[], object], consequence: str
) -> bool:
    """Run a check of the sizes of `tensor`; return whether its values are known.

    While a step is traced, a failed check warns of the consequence instead of raising:
    JAX loses the weights of a model whose `predict` raises, and whether TensorFlow
    knows a size depends on earlier calls.
    """
    if not is_traced(tensor):
        check()
        return True
    if getattr(getattr(tensor, "device", None), "type", None) == "meta":
        return False  # Keras tries lengths of its own to find out which are unknown
    try:
        check()
    except ValueError as error:
        text = f"{error} A compiled step cannot raise: {consequence}."
        warnings.warn(text, stacklevel=2)
    return False


def _is_compiling() -> bool:
    """Whether PyTorch compiles the caller; its tensors then seem to have values."""
    if keras.backend.backend() != "torch":
        return False
    import torch  # Keras has no function that tells

    return torch.compiler.is_compiling()


def check_range(
    layer: str,
    argument: str,
    tensor: Tensor | None,
    low: float,
    high: float,
    remedy: str = "",
) -> None:
    """Raise if a known value lies outside `[low, high)`; unknown values pass."""
    values = known_values(tensor)
    if values is None or values.size == 0:
        return
    outside = values[(values < low) | (values >= high)]
    rule = f"lie in [{low}, {high})"
    if outside.size:
        check(False, layer, argument, rule, outside.ravel()[0].item(), remedy)


def check_names(layer: str, argument: str, names: Any) -> tuple[str, ...]:
    """Return names as a tuple if each can name a weight and a served input."""
    is_list = isinstance(names, (list, tuple, dict)) and len(names) > 0
    rule = "hold at least one name"
    check(is_list, layer, argument, rule, repr(names))
    seen: dict[str, str] = {}
    for name in names:
        fits = isinstance(name, str) and re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
        rule = "start with a letter and hold only letters, digits and underscores"
        check(fits, layer, argument, f"have names that {rule}", repr(name))
        rule = "have names that differ in more than upper and lower case"
        received = f"{seen.get(name.lower())!r} and {name!r}"
        check(name.lower() not in seen, layer, argument, rule, received)
        seen[name.lower()] = name
    return tuple(names)


def check_fused(layer: str, fused: Any, keys: Iterable[str]) -> None:
    """Raise unless `fused` is what a fusion returns with `return_dict=True`."""
    rule = "be what MultiModalFusion returns"
    remedy = "Make the fusion with `return_dict=True`."
    is_dict = isinstance(fused, dict)
    received = sorted(fused) if is_dict else type(fused).__name__
    has_keys = is_dict and set(keys) <= set(fused)
    check(has_keys, layer, "fused", rule, received, remedy)


def add_once(layer: keras.layers.Layer, inputs: Tensor, vectors: Tensor) -> Tensor:
    """Return `inputs + vectors`, summed in float32 or better and rounded once."""
    dtype = keras.backend.result_type(layer.compute_dtype, "float32")
    # not ops.add: on TensorFlow it reads no tokens at all as a bias
    total = keras.ops.cast(inputs, dtype) + keras.ops.cast(vectors, dtype)
    return keras.ops.cast(total, layer.compute_dtype)
