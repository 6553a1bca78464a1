"""The arguments of a call of `RelativePositionBias`."""

from typing import Any

import numpy as np

from keras_mmembed.attention.call_positions import check_axes
from keras_mmembed.common import checks, tensors
from keras_mmembed.common.call_arguments import as_array
from keras_mmembed.common.types import Shape, Tensor

WHO = "RelativePositionBias"


def check_positions(
    axes: int, sizes: tuple[int, ...], positions: Tensor, key_positions: Tensor | None
) -> None:
    """Raise unless queries and keys have positions of the same samples.

    Args:
        axes: Number of axes of a position.
        sizes: Sizes of the grid that positions lie in; none without a grid.
        positions: Positions of the queries.
        key_positions: Positions of the keys, or `None`.
    """
    batches = []
    values = {"positions": positions, "key_positions": key_positions}
    for argument, value in values.items():
        if value is None:
            continue
        value = as_array(WHO, argument, value, "be numbers")
        tensors.check_kind(WHO, argument, value, "number", "Cast it to numbers.")
        shape = checks.known_shape(value.shape)
        check_axes(WHO, argument, shape, axes)
        batches.append(_batch_of(shape, axes))
        known = tensors.known_values(value) if sizes else None
        if known is None:
            continue
        known = known.reshape((-1, axes))
        for axis, size in enumerate(sizes):
            name = f"{argument}[..., {axis}]"
            tensors.check_range(WHO, name, known[:, axis], -np.inf, size)
    several = {batch for batch in batches if batch not in (None, 1)}
    rule = f"be of {batches[0]} samples, as positions, or the same for all"
    fits = len(several) < 2
    checks.check(fits, WHO, "key_positions", rule, f"those of {batches[-1]}")


def check_call_grid(
    convention: str, own: tuple[int, ...] | None, is_resized: bool, grid: Any
) -> tuple[int, ...]:
    """Return the sizes of the grid of a call.

    Args:
        convention: Name of the convention of the layer.
        own: Sizes of the grid of the layer, or `None`.
        is_resized: Whether the table is interpolated.
        grid: The grid of the call, or `None`.
    """
    if grid is None:
        return own or ()
    rule = f"be None with convention={convention!r}"
    checks.check(own is not None, WHO, "grid", rule, repr(grid))
    own = own or ()
    rule = f"be {len(own)} integers, as the grid of the layer"
    fits = isinstance(grid, (list, tuple)) and len(grid) == len(own)
    checks.check(fits, WHO, "grid", rule, repr(grid))
    sizes = tuple(checks.check_integer(WHO, "grid", size) for size in grid)
    rule = f"be {own}, the grid of the layer, without interpolation"
    fits = sizes == own or is_resized
    checks.check(fits, WHO, "grid", rule, sizes, "Set `interpolation`.")
    return sizes


def _batch_of(shape: Shape, axes: int) -> int | None:
    """Return the number of samples of positions, 1 for the same of all."""
    is_bare = axes == 1 and len(shape) < 3
    batches = shape[: len(shape) - (1 if is_bare else 2)]
    return batches[0] if batches else 1
