"""Tensors: checks of their dtype and values, and a sum that is rounded once."""

import warnings
from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np

# Keras has no public function that tells
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

from keras_mmembed.common import checks
from keras_mmembed.common.types import Tensor


def check_kind(
    layer: str,
    argument: str,
    tensor: Tensor,
    kind: Literal["integer", "float", "number", "bool"],
    remedy: str | None = None,
) -> None:
    """Raise unless the dtype of `tensor` is an integer, a float, either, or bool."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    is_integer = dtype.startswith(("int", "uint"))
    fits = {
        "integer": is_integer,
        "float": is_float(dtype),
        "number": is_integer or is_float(dtype),
        "bool": dtype == "bool",
    }[kind]
    rule = "be an integer or a float" if kind == "number" else f"be {kind}"
    check_dtype(layer, argument, tensor, fits, rule, remedy)


def check_dtype(
    layer: str,
    argument: str,
    tensor: Tensor,
    fits: bool,
    rule: str,
    remedy: str | None = None,
) -> None:
    """Raise unless the dtype of `tensor` fits, except in a trial call of Keras.

    To build a subclassed model that it loads, Keras calls it on float32 for all inputs.
    """
    if is_trial() and not isinstance(tensor, keras.KerasTensor):
        return
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    kind = rule.removeprefix("be ").split(",")[0]
    remedy = (
        f"Cast it to a dtype of the {kind} kind first." if remedy is None else remedy
    )
    argument = f"{argument}.dtype"
    checks.check(fits, layer, argument, rule, dtype, remedy, error=TypeError)


def is_trial() -> bool:
    """Whether Keras tries a call out on values of its own, to see what it returns."""
    return in_symbolic_scope()


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
    # not the other way round, which NaN would pass
    outside = values[~((values >= low) & (values < high))]
    rule = f"lie in [{low}, {high})"
    if outside.size:
        checks.check(False, layer, argument, rule, outside.ravel()[0].item(), remedy)


def check_flags(layer: str, argument: str, mask: Tensor) -> None:
    """Raise unless each entry of a mask of bools or numbers is true or false."""
    dtype = keras.backend.standardize_dtype(mask.dtype)
    fits = dtype not in ("string", "complex64", "complex128")
    check_dtype(layer, argument, mask, fits, "be bool or a number", "Cast it to bool.")
    values = known_values(mask) if is_float(dtype) else None
    is_clear = values is None or not np.isnan(values).any()
    checks.check(is_clear, layer, argument, "hold no NaN", "nan")


def widen(tensor: Tensor) -> Tensor:
    """Return numbers in int32 or float32, or as they are in a wider dtype.

    Narrow ones would overflow in arithmetic.
    """
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if is_float(dtype):
        wide = keras.backend.result_type(dtype, "float32")
    else:
        wide = "int64" if dtype == "int64" else "int32"
    return tensor if dtype == wide else keras.ops.cast(tensor, wide)


def is_float(dtype: Any) -> bool:
    """Whether a dtype is a float of any precision."""
    return "float" in keras.backend.standardize_dtype(dtype)


def known_values(tensor: Tensor | None) -> np.ndarray | None:
    """Return the values as a NumPy array, or `None` while they are not known.

    Symbolic and traced tensors have no values yet, and those of a trial call are not
    the user's. Values on an accelerator count as unknown: a copy would make every step
    wait for it.
    """
    if tensor is None or isinstance(tensor, keras.KerasTensor):
        return None
    if is_trial() or _is_compiling():
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


def _is_compiling() -> bool:
    """Whether PyTorch compiles the caller; its tensors then seem to have values."""
    if keras.backend.backend() != "torch":
        return False
    import torch  # Keras has no function that tells

    return torch.compiler.is_compiling()


def raise_or_warn(
    tensor: Tensor, check: Callable[[], object], consequence: str
) -> bool:
    """Run a check of the sizes of `tensor`; return whether its values are known.

    While a step is traced, a failed check warns of the consequence instead of raising:
    JAX loses the weights of a model whose `predict` raises, and whether TensorFlow
    knows a size depends on earlier calls.
    """
    is_real = not is_traced(tensor) and not is_trial()
    if is_real:
        check()
        return True
    if is_trial() and keras.backend.backend() == "torch":
        return False  # Keras tries lengths of its own to find out which are unknown
    try:
        check()
    except ValueError as error:
        text = f"{error} A compiled step cannot raise: {consequence}."
        warnings.warn(text, stacklevel=2)
    return False


def add_once(layer: keras.layers.Layer, inputs: Tensor, vectors: Tensor) -> Tensor:
    """Return `inputs + vectors`, summed in float32 or better and rounded once.

    The sum has the shape of `inputs`; vectors that would enlarge it are refused.
    """
    shape = checks.known_shape(inputs.shape)
    added = checks.known_shape(vectors.shape)
    aligned = shape[max(len(shape) - len(added), 0) :]
    fits = len(added) <= len(shape) and all(
        new in (1, None, size) or size is None
        for size, new in zip(aligned, added, strict=True)
    )
    rule = f"hold the embeddings that are added, of shape {added}"
    checks.check(fits, type(layer).__name__, "inputs.shape", rule, shape)
    dtype = float32_or_better(layer.compute_dtype)
    # not ops.add: on TensorFlow it reads no tokens at all as a bias
    total = keras.ops.cast(inputs, dtype) + keras.ops.cast(vectors, dtype)
    return keras.ops.cast(total, layer.compute_dtype)


def float32_or_better(dtype: str) -> str:
    """Return the dtype of a sum that is rounded to `dtype` once."""
    # not the result type of both, which is float32 for float64 on PyTorch
    return "float64" if dtype == "float64" else "float32"
