"""The fused sequence, and the metadata of its tokens: pure functions."""

from collections.abc import Collection, Mapping

import keras
from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.common.zero_gate import ZeroGate
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.placement import Placement, place
from keras_mmembed.fusion.tokens import concatenate, full, repeat


def join(
    layout: Layout,
    parts: Mapping[str, Tensor],
    special: Tensor | None = None,
    placements: Mapping[str, Placement] | None = None,
    gates: Mapping[str, ZeroGate | None] | None = None,
) -> Tensor:
    """Place tokens into others, and concatenate them, special tokens first.

    Args:
        layout: The order of the tokens.
        parts: By name `(batch, length, ...)`, in the order of the configuration.
        special: The same for class and register tokens, or `None`.
        placements: Where the tokens of placed modalities go.
        gates: By name of a placed modality, the gate that lets it in, if any.
    """
    parts = place_all(layout, parts, placements or {}, gates or {})
    sequence = [x for name, x in parts.items() if name not in layout.hosts]
    return concatenate(sequence if special is None else [special, *sequence])


def place_all(
    layout: Layout,
    parts: Mapping[str, Tensor],
    placements: Mapping[str, Placement],
    gates: Mapping[str, ZeroGate | None],
) -> dict[str, Tensor]:
    """Return the parts after placed modalities went into their hosts.

    Args:
        layout: The order of the tokens.
        parts: As for `join`; so are the others.
        placements: As for `join`.
        gates: As for `join`.
    """
    parts = dict(parts)
    for name, placement in placements.items():
        host, gate = layout.hosts[name], gates.get(name)
        placed = place(parts[host], parts[name], placement)
        parts[host] = placed if gate is None else gate.mix(parts[host], placed)
    return parts


def join_and_normalize(
    layout: Layout,
    parts: Mapping[str, Tensor],
    special: Tensor | None,
    placements: Mapping[str, Placement],
    gates: Mapping[str, ZeroGate | None],
    norm: keras.layers.Layer | None,
    own_norms: Collection[str],
    training: bool | None,
) -> Tensor:
    """Return the tokens of all modalities as one normalized sequence.

    Args:
        layout: The order of the tokens.
        parts: As for `join`; so are the next three.
        special: As for `join`.
        placements: As for `join`.
        gates: As for `join`.
        norm: The norm of all tokens, if there is one.
        own_norms: Names of modalities that it leaves out.
        training: Whether this is a step of training.
    """
    # the compiler of PyTorch writes a norm in its place; others need fewer passes for
    # one of all tokens
    is_torch = not layout.hosts and keras.backend.backend() == "torch"
    if norm is None or not (own_norms or is_torch):
        joined = join(layout, parts, special, placements, gates)
        return joined if norm is None else norm(joined, training=training)
    # a gate mixes what no norm has seen, as it does before a norm of all tokens
    early = {
        name: placement
        for name, placement in placements.items()
        if name not in own_norms and layout.hosts[name] not in own_norms
    }
    parts = place_all(layout, parts, early, gates)
    parts = {
        name: part if name in own_norms or name in early else norm(part)
        for name, part in parts.items()
    }
    late = {name: one for name, one in placements.items() if name not in early}
    special = None if special is None else norm(special)
    return join(layout, parts, special, late, gates)


def token_metadata(
    layout: Layout,
    ids: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    positions: Mapping[str, Tensor | None],
    placements: Mapping[str, Placement],
    items: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Return modality id, (t, h, w) position and item of every fused token.

    Args:
        layout: The order of the tokens.
        ids: By name, the modality ids of the tokens of the call.
        masks: By name, the padding mask of each modality that has tokens.
        positions: By name, the positions of the tokens, `(..., length, 3)`, or `None`.
        placements: Where the tokens of placed modalities go.
        items: By name, the number of the item of each token, for modalities that have
            several.
    """
    ids, coordinates = dict(ids), {}
    for name, mask in masks.items():
        if name not in ids:
            index = layout.modalities.index(name)
            ids[name] = ops.zeros_like(mask, dtype="int32") + index
        here = positions.get(name)
        here = ops.zeros((1, 1, 3)) if here is None else here
        zeros = ops.zeros_like(ops.expand_dims(mask, -1), dtype="float32")
        # not ops.add: on TensorFlow it reads three places as a bias of 3 tokens
        coordinates[name] = zeros + ops.convert_to_tensor(here, dtype="float32")
    special = layout.num_special
    like = ops.expand_dims(next(iter(masks.values())), -1)
    no_position = None
    if special:
        no_position = repeat(ops.zeros((special, 3)), like, "float32")
    ids = {name: ids[name] for name in masks}
    leading = full(like, special, -1)
    modality_ids = join(layout, ids, leading, placements)
    # a modality is one item, and special tokens are of none
    item_ids = ops.minimum(modality_ids, 0)
    if items:
        numbers = {n: items.get(n, ops.minimum(one, 0)) for n, one in ids.items()}
        item_ids = join(layout, numbers, leading, placements)
    return {
        "modality_ids": modality_ids,
        "positions": join(layout, coordinates, no_position, placements),
        "item_ids": item_ids,
    }
