"""Inputs and outputs of a model by name, as the clients of a server see them."""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np

from keras_mmembed.common.types import Shape, Tensor

# the function that messages name
WHO = "export_for_serving"
# every SavedModel has these two, which take all inputs
DEFAULT_ENDPOINTS = ("serve", "serving_default")
HALF = ("float16", "bfloat16")

Arrays: TypeAlias = dict[str, np.ndarray]


class ServedInput(NamedTuple):
    """An input of an endpoint; `None` in its shape is a size of any value."""

    name: str
    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Endpoint:
    """A signature of a SavedModel: a name, and the inputs that a request must have."""

    name: str
    inputs: tuple[ServedInput, ...]

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of the model."""
        return tuple(served.name for served in self.inputs)


def inputs_by_name(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Return the symbolic inputs of a model by name, in the order of the model.

    The names are the keys of a dict of inputs, or else those of `keras.Input`.
    """
    structure = input_structure(model)
    if isinstance(structure, dict):
        return dict(structure)
    tensors = structure if isinstance(structure, (list, tuple)) else [structure]
    return {tensor.name: tensor for tensor in tensors}


def inputs_in_structure(model: keras.Model, values: dict[str, Tensor]) -> Any:
    """Return values by name as the dict, list or tensor that the model is called with.

    An input without a value becomes `None`, which is what an optional input expects.
    """
    structure = input_structure(model)
    if isinstance(structure, dict):
        return {name: values.get(name) for name in structure}
    if isinstance(structure, (list, tuple)):
        return [values.get(tensor.name) for tensor in structure]
    return values.get(structure.name)


def outputs_by_name(outputs: Any) -> dict[str, Tensor]:
    """Return the outputs of a model by name.

    The names are the keys of a dict, or else `output_0`, `output_1`, ...; the names of
    nested outputs are joined by an underscore.
    """
    if not isinstance(outputs, dict):
        many = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        outputs = {f"output_{index}": one for index, one in enumerate(many)}
    return _flatten(outputs)


def _flatten(outputs: dict[str, Any]) -> dict[str, Tensor]:
    flat = {}
    for name, output in outputs.items():
        if isinstance(output, (list, tuple)):
            output = {str(index): one for index, one in enumerate(output)}
        if isinstance(output, dict):
            nested = _flatten(output)
            flat.update({f"{name}_{inner}": one for inner, one in nested.items()})
        else:
            flat[name] = output
    return flat


def input_structure(model: keras.Model) -> Any:
    """Return the symbolic inputs of a model: a tensor, or a structure of tensors."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def output_structure(model: keras.Model) -> Any:
    """Return the symbolic outputs of a model: a tensor, or a structure of tensors."""
    return model.outputs[0] if isinstance(model, keras.Sequential) else model.output


def served_input(name: str, tensor: keras.KerasTensor) -> ServedInput:
    """Return an input of a model as its clients see it."""
    return ServedInput(name, served_dtype(tensor.dtype), tuple(tensor.shape))


def served_dtype(dtype: Any) -> str:
    """Return the dtype that clients send for an input: float32 for half precision."""
    dtype = keras.backend.standardize_dtype(dtype)
    return "float32" if dtype in HALF else dtype


def is_optional(tensor: Tensor) -> bool:
    """Whether an input of a model may be left out."""
    return bool(getattr(tensor._keras_history.operation, "optional", False))
