"""The terms of an encoding of several axes, and how they share the channels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.conventions import (
    AxisKind,
    Combination,
    Convention,
    Kind,
)


@dataclass(frozen=True)
class Part:
    """The channels of one table or one sinusoid, and the axes that they encode."""

    kind: Kind
    axes: tuple[int, ...]


# parts with channels of their own, in channel order
Term: TypeAlias = tuple[Part, ...]
# terms of all channels, which are added up
Terms: TypeAlias = tuple[Term, ...]


def make_terms(
    rules: Convention,
    kinds: Sequence[AxisKind],
    combination: Combination | None,
    default: Combination,
) -> Terms:
    """Return the terms of an encoding.

    Args:
        rules: The convention.
        kinds: The kind of encoding of each axis of the layer, `None` for an axis
            that is not encoded.
        combination: The argument of the layer.
        default: The combination where neither the argument nor the convention says.
    """
    rank = 1 if rules.indexing == "flat" else len(kinds)
    combination = combination or rules.combination.get(rank, default)
    if rank == 1 or combination == "joint":
        return ((Part(cast(Kind, kinds[0]), tuple(range(rank))),),)
    alone = {axis: (Part(k, (axis,)),) for axis, k in enumerate(kinds) if k}
    if combination == "sum":
        return tuple(alone.values())
    order = rules.axis_order.get(rank, range(rank))
    if combination == "concat":
        return (_side_by_side(alone, order),)
    temporal = alone.get(0, ())
    spatial = _side_by_side(
        alone, [1 + axis for axis in rules.axis_order.get(2, (0, 1))]
    )
    is_table = tuple(kinds[1:]) == ("learned", "learned")
    if is_table and rules.combination.get(2) != "concat":
        spatial = (Part("learned", (1, 2)),)
    return tuple(term for term in (temporal, spatial) if term)


def _side_by_side(alone: Mapping[int, Term], order: Iterable[int]) -> Term:
    """Return the parts of the axes that are encoded, in channel order."""
    return tuple(part for axis in order for part in alone.get(axis, ()))


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
