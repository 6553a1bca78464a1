"""The checks of layers that add the vector of an id to each token."""

from typing import Any, cast

from keras import ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Tensor


def check_width(who: str, shape: Any) -> int:
    """Return the width of inputs of a shape; raise if it is not known."""
    shape = tuple(shape)
    checks.check(len(shape) > 1, who, "inputs.shape", "be (..., length, width)", shape)
    rule = "have a last axis of known size, at least 1"
    checks.check(bool(shape[-1]), who, "inputs.shape", rule, shape)
    return cast(int, shape[-1])


def check_inputs(who: str, inputs: Tensor, width: int | None) -> None:
    """Raise unless inputs are numbers of the width that a layer was built for."""
    tensors.check_kind(who, "inputs", inputs, "number", "Cast them to floats.")
    size = check_width(who, checks.known_shape(inputs.shape))
    rule = f"be {width}, as the layer was built for"
    checks.check(width in (None, size), who, "inputs.shape[-1]", rule, size)


def check_ids(who: str, argument: str, ids: Tensor, inputs: Tensor) -> Tensor:
    """Return ids as a tensor; raise unless there is one for each token of `inputs`."""
    ids = ops.convert_to_tensor(ids)
    tensors.check_kind(who, argument, ids, "integer")
    tokens = checks.known_shape(inputs.shape)[:-1]
    options = (tokens, tokens[-1:])
    shape = checks.known_shape(ids.shape)
    fits = any(checks.shapes_match(shape, option) for option in options)
    rule = f"be {tokens}, or {tokens[-1:]} for all samples"
    checks.check(fits, who, f"{argument}.shape", rule, shape)
    return ids
