"""The forms that the positions of a call may have, brought to that of the tokens."""

import math
from dataclasses import replace
from typing import Literal, TypeAlias, cast

from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.positions.coordinates import Coordinates, as_tensor
from keras_mmembed.positions.grid_spec import GridSizes, GridSpec

# the coordinates of each token in the axes of the inputs, as a list for inputs that
# have a grid of axes, as a grid for flattened inputs; or the time of each frame
Form: TypeAlias = Literal["tokens", "list", "grid", "times"]


def form_of(
    spec: GridSpec, shape: Shape, positions: Tensor, grid: GridSizes | None = None
) -> Form | None:
    """Return the form of positions, or `None` if they have none that is known.

    Args:
        spec: The axes and the rules of the layer.
        shape: The shape of the inputs.
        positions: The positions of a call.
        grid: The grid of a call.
    """
    received = checks.known_shape(positions.shape)
    batch, tokens = shape[:1], _without_prefix(spec, shape)
    if spec.rank == 1:
        return "tokens" if _holds(received, tokens, batch) else None
    form = _form_of_coordinates(spec, shape, received)
    if spec.rank == 3 and _holds(received, _frames(spec, shape, grid), batch):
        # of two axes, an unknown first one is that of the samples
        is_list = form is not None and received[0] is not None
        return form if is_list else "times"
    return form


def _form_of_coordinates(spec: GridSpec, shape: Shape, received: Shape) -> Form | None:
    """Return the form of positions with a last axis of coordinates, or `None`."""
    if received[-1:] != (spec.rank,):
        return None
    received, batch, tokens = received[:-1], shape[:1], _without_prefix(spec, shape)
    count = None if None in tokens else math.prod(cast(tuple[int, ...], tokens))
    if _holds(received, tokens, batch):
        return "tokens"
    if spec.block_size > 1:
        return None  # a grid has its rows one after the other
    if len(shape) > 3:
        return "list" if _holds(received, (count,), batch) else None
    sizes = received[-spec.rank :]
    fits = len(sizes) == spec.rank and _holds(received, sizes, batch)
    if fits and None not in (*sizes, count):
        fits = math.prod(cast(tuple[int, ...], sizes)) == count
    return "grid" if fits else None


def _without_prefix(spec: GridSpec, shape: Shape) -> Shape:
    tokens = (shape[-2],) if spec.rank == 1 else shape[1:-1]
    return tuple(n - spec.num_prefix_tokens if n else n for n in tokens)


def _frames(spec: GridSpec, shape: Shape, grid: GridSizes | None) -> Shape:
    """Return the number of frames of a clip, as a shape."""
    if len(shape) > 3:
        return shape[1:2]
    sizes = spec.sizes if grid is None else grid
    return tuple(sizes[:1]) if isinstance(sizes, (list, tuple)) else (None,)


def _holds(received: Shape, expected: Shape, batch: Shape) -> bool:
    """Whether a shape ends as expected, after no axis or that of the samples."""
    lead = received[: -len(expected)]
    is_lead = any(checks.shapes_match(lead, option) for option in ((), (1,), batch))
    return is_lead and checks.shapes_match(received[-len(expected) :], expected)


def in_axes_of_tokens(inputs: Tensor, positions: Tensor, form: Form) -> Tensor:
    """Return the coordinates of each token in the axes of the inputs.

    Shapes:
        inputs: `(batch, axis, ..., width)` for the form `"list"`, else
            `(batch, tokens, width)`.
        positions: `(..., tokens, axes)`, or for the form `"grid"`
            `(..., axis, ..., axes)`.
        result: `(..., axis, ..., axes)`, or for the form `"grid"`
            `(..., tokens, axes)`.
    """
    shape = ops.shape(positions)
    if form == "list":
        tokens = ops.shape(inputs)[1:-1]
        return ops.reshape(positions, (*shape[:-2], *tokens, shape[-1]))
    if form == "grid":
        rank = shape[-1]
        lead, sizes = shape[: -rank - 1], shape[-rank - 1 : -1]
        return ops.reshape(positions, (*lead, math.prod(sizes), rank))
    return positions


def with_times(spec: GridSpec, coordinates: Coordinates, times: Tensor) -> Coordinates:
    """Return the coordinates of a clip, with a time for each frame.

    Shapes:
        times: `(frames,)` or `(batch, frames)`.
    """
    if coordinates.sizes is not None:
        # no table of times is stretched to the number of frames
        own = coordinates.sizes[0] if spec.sizes[0] is None else spec.sizes[0]
        coordinates = replace(coordinates, sizes=(own, *coordinates.sizes[1:]))
    if not coordinates.is_grid:
        frame = as_tensor(coordinates.axes[0])
        return coordinates.with_axis(0, ops.take(times, frame, axis=-1))
    if len(times.shape) == 1:
        return coordinates.with_axis(0, times)
    coordinates = coordinates.per_token()
    return coordinates.with_axis(0, times[:, :, None, None])
