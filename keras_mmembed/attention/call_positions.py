"""The positions of a call of a layer that acts inside attention."""

from typing import Any

from keras import ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.positions.call_arguments import as_array


def standardize_axes(who: str, argument: str, positions: Any, axes: int) -> Tensor:
    """Return positions as a tensor `(length, axes)` or `(batch, length, axes)`.

    Shapes:
        positions: of one axis `(length,)`, `(batch, length)` or
            `(batch, length, 1)`; of more `(length, axes)` or `(batch, length, axes)`.
    """
    rule = "be numbers, as an array, a tensor or lists of one length"
    positions = as_array(who, argument, positions, rule)
    tensors.check_kind(who, argument, positions, "number", "Cast them to numbers.")
    shape = checks.known_shape(positions.shape)
    check_axes(who, argument, shape, axes)
    # NaN and infinity lie nowhere
    tensors.check_range(who, argument, positions, -(2**31), 2**31)
    positions = tensors.widen(ops.convert_to_tensor(positions))
    is_bare = axes == 1 and len(shape) < 3
    return ops.expand_dims(positions, -1) if is_bare else positions


def check_axes(who: str, argument: str, shape: Shape, axes: int) -> None:
    """Raise unless positions of a shape have a number of axes."""
    if axes == 1:
        rule = "be (length,) or (batch, length)"
        fits = len(shape) in (1, 2) or (len(shape) == 3 and shape[-1] in (None, 1))
    else:
        rule = f"be (length, {axes}) or (batch, length, {axes})"
        fits = len(shape) in (2, 3) and shape[-1] in (None, axes)
    checks.check(fits, who, f"{argument}.shape", rule, shape)
