"""The arguments of a call of a position layer, as tensors or integers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.call_arguments import Arguments, as_array
from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.grid_spec import GridSizes, GridSpec

NAMES = ("inputs", "positions", "start_index", "mask", "grid")


def standardize_call(
    who: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Arguments:
    """Return the arguments of a call as arrays where Keras would change or refuse them.

    Args:
        who: Name of the layer.
        args: The positional arguments of a call.
        kwargs: The keyword arguments.
    """
    if not args:
        kwargs = {"inputs": None, **kwargs}

    def standardize(name: str, value: Any) -> Any:
        is_array = isinstance(value, np.ndarray)
        return as_array(who, name, value) if name == "inputs" or is_array else value

    positional = [standardize(*pair) for pair in zip(NAMES, args, strict=False)]
    keywords = {name: standardize(name, value) for name, value in kwargs.items()}
    return (*positional, *args[len(NAMES) :]), keywords


def standardize_positions(who: str, positions: Any) -> Tensor:
    """Return the positions of a call, which may be lists, as a tensor."""
    if positions is None:
        return None
    rule = "be numbers, as an array, a tensor or lists of one length"
    positions = as_array(who, "positions", positions, rule)
    tensors.check_kind(who, "positions", positions, "number", "Cast them to numbers.")
    # narrow integers would overflow where an index of several axes is computed
    return tensors.widen(ops.convert_to_tensor(positions))


def standardize_start(who: str, start_index: Any) -> int | Tensor:
    """Return the start index of a call as an integer, or else as a tensor."""
    rule = "be an integer or a tensor of one integer for each sample"
    if _is_integer(start_index):
        return int(start_index)
    is_many = hasattr(start_index, "shape") or isinstance(start_index, (list, tuple))
    received = repr(start_index)
    checks.check(is_many, who, "start_index", rule, received, error=TypeError)
    start_index = as_array(who, "start_index", start_index, rule)
    tensors.check_kind(who, "start_index", start_index, "integer")
    return start_index


def standardize_mask(who: str, mask: Any) -> Tensor:
    """Return the mask of a call as a tensor or an array."""
    if mask is None:
        return None
    rule = "be bool, as an array, a tensor or lists of one length"
    mask = as_array(who, "mask", mask, rule)
    if tensors.is_float(mask.dtype):
        # NaN is neither zero nor a number
        tensors.check_range(who, "mask", mask, -np.inf, np.inf)
    return mask


def standardize_grid(spec: GridSpec, grid: Any) -> GridSizes | None:
    """Return the grid of a call as a tuple of integers, or else as a tensor."""
    if grid is None:
        return None
    who, argument = spec.who, "grid"
    rule = f"be an integer for each of {spec.rank} axes, or a tensor of them"
    if isinstance(grid, (tuple, list)):
        if all(_is_integer(size) for size in grid):
            sizes = tuple(int(size) for size in grid)
            fits = all(size >= 0 for size in sizes)
            checks.check(fits, who, argument, "have sizes of at least 0", sizes)
            return sizes
        if all(hasattr(size, "shape") and not len(size.shape) for size in grid):
            return ops.stack([ops.cast(size, "int32") for size in grid])
    has_shape = hasattr(grid, "shape") or isinstance(grid, (tuple, list))
    checks.check(has_shape, who, argument, rule, repr(grid), error=TypeError)
    is_list, received = isinstance(grid, (tuple, list)), repr(grid)
    grid = as_array(who, argument, grid, rule)
    fits = not is_list or grid.dtype.kind in "iu"
    checks.check(fits, who, argument, rule, received, error=TypeError)
    tensors.check_kind(who, argument, grid, "integer")
    shape = checks.known_shape(grid.shape)
    rule = "be (axes,) or (batch, axes), or (batch, items, axes)"
    checks.check(len(shape) in (1, 2, 3), who, "grid.shape", rule, shape)
    return grid


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
