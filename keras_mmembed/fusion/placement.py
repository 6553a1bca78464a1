"""Tokens of one modality at the placeholders of another: pure functions."""

from collections.abc import Mapping
from typing import NamedTuple

from keras import ops

from keras_mmembed.common.sequences import packed_order, take_tokens
from keras_mmembed.common.types import Tensor
from keras_mmembed.fusion.argument_checks import check_count
from keras_mmembed.fusion.arguments import ModalityInputs
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.special_tokens import end_rows
from keras_mmembed.fusion.tokens import pad


class Placement(NamedTuple):
    """Which source token goes to each place of a sequence.

    Attributes:
        index: `(batch, length)`, int32: the source of each place.
        is_paired: `(batch, length)`, bool: which places have one.
    """

    index: Tensor
    is_paired: Tensor


def match(places: Tensor, sources: Tensor) -> Placement:
    """Pair the first place with the first source, the second with the second, ...

    A place that is left over gets nothing, and a source that is left over goes nowhere.

    Shapes:
        places: `(batch, length)`, bool.
        sources: `(batch, other length)`, bool.
    """
    rank = ops.cumsum(ops.cast(places, "int32"), axis=1) - 1
    number = ops.sum(ops.cast(sources, "int32"), axis=1, keepdims=True)
    is_paired = ops.logical_and(places, ops.less(rank, number))
    rank = ops.maximum(ops.minimum(rank, number - 1), 0)
    order = ops.cast(packed_order(sources), "int32")
    return Placement(take_tokens(order, rank), is_paired)


def place(tokens: Tensor, sources: Tensor, placement: Placement) -> Tensor:
    """Put `sources[index]` over the tokens that are paired.

    Shapes:
        tokens: `(batch, length, ...)`.
        sources: `(batch, other length, ...)`.
        result: `(batch, length, ...)`.
    """
    is_paired = placement.is_paired
    for _ in sources.shape[2:]:
        is_paired = ops.expand_dims(is_paired, -1)
    return ops.where(is_paired, take_tokens(sources, placement.index), tokens)


def place_modalities(
    layout: Layout,
    modalities: Mapping[str, ModalityInputs],
    masks: Mapping[str, Tensor],
    placeholders: Mapping[str, Tensor],
) -> tuple[dict[str, Placement], dict[str, Tensor]]:
    """Find the places of modalities that go into others, and the masks after that.

    Args:
        layout: The order of the tokens.
        modalities: The modalities of the call.
        masks: By name, the padding mask of each modality that has tokens.
        placeholders: By name of a placed modality, its places in the other.

    Returns:
        By name of a placed modality its placement; and the masks, without the places
        that get no token.
    """
    placements, masks = {}, dict(masks)
    for name, places in placeholders.items():
        host = layout.hosts[name]
        borders = layout.borders[host]
        if host in layout.rows:
            axes = ops.shape(modalities[host].features)[1:-1]
            places = ops.expand_dims(ops.cast(places, "int32"), -1)
            places = end_rows(places, axes, 0)[..., 0]
        places = pad(ops.cast(places, "bool"), borders, False, axis=1)
        marked = ops.logical_and(places, masks[host])
        if name in modalities:
            present = modalities[name].present
            check_count(name, marked, masks[name], present)
            if masks[name].shape[1] != 0:
                placements[name] = match(marked, masks[name])
        elif name in masks:  # one token stands in, at every place
            placements[name] = Placement(ops.zeros_like(marked, dtype="int32"), marked)
        kept = ops.logical_and(masks[host], ops.logical_not(places))
        if name in placements:
            kept = ops.logical_or(kept, placements[name].is_paired)
        masks[host] = kept
    return placements, masks
