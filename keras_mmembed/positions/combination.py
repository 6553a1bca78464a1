"""The terms of an encoding of several axes, and how they share the channels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.conventions import Combination, Convention


@dataclass(frozen=True)
class Terms:
    """The terms of an encoding, which are concatenated or added up.

    Attributes:
        combination: `"concat"` for terms with channels of their own; otherwise the
            terms have all channels and are added up.
        axes: The axes that each term encodes, in channel order.
    """

    combination: Combination
    axes: tuple[tuple[int, ...], ...]


def make_terms(
    rules: Convention, rank: int, combination: Combination | None, default: Combination
) -> Terms:
    """Return the terms of an encoding of `rank` axes.

    Args:
        rules: The convention.
        rank: Number of axes of the layer.
        combination: The argument of the layer.
        default: The combination where neither the argument nor the convention says.
    """
    rank = 1 if rules.indexing == "flat" else rank
    combination = combination or rules.combination.get(rank, default)
    if rank == 1 or combination == "joint":
        return Terms("joint", (tuple(range(rank)),))
    if combination == "space_time":
        return Terms(combination, ((0,), (1, 2)))
    order: Sequence[int] = range(rank)
    if combination == "concat":
        order = rules.axis_order.get(rank, order)
    return Terms(combination, tuple((axis,) for axis in order))


def split_width(width: int, parts: int) -> list[int]:
    """Split channels into parts as even as possible, the wider ones first."""
    return [width // parts + (part < width % parts) for part in range(parts)]


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate channels of tensors, or arrays, whose other axes broadcast."""
    if len(parts) == 1:
        return parts[0]
    library = np if isinstance(parts[0], np.ndarray) else ops
    zeros = [library.zeros_like(part[..., :1]) for part in parts]
    shape_of_all = add_up(zeros)
    return library.concatenate([part + shape_of_all for part in parts], axis=-1)


def add_up(parts: Sequence[Tensor]) -> Tensor:
    """Return the sum of tensors, or arrays, that broadcast."""
    return sum(parts[1:], parts[0])
