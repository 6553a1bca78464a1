"""The fused sequence, and the metadata of its tokens: pure functions."""

from collections.abc import Mapping

import keras
from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.common.zero_gate import ZeroGate
from keras_mmembed.fusion.arguments import ModalityInputs
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.placement import Placement, place
from keras_mmembed.fusion.tokens import concatenate, flatten_tokens, full, pad, repeat


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
    parts = dict(parts)
    for name, placement in (placements or {}).items():
        host, gate = layout.hosts[name], (gates or {}).get(name)
        placed = place(parts[host], parts[name], placement)
        parts[host] = placed if gate is None else gate.mix(parts[host], placed)
    sequence = [x for name, x in parts.items() if name not in layout.hosts]
    return concatenate(sequence if special is None else [special, *sequence])


def join_and_normalize(
    layout: Layout,
    parts: Mapping[str, Tensor],
    special: Tensor | None,
    placements: Mapping[str, Placement],
    gates: Mapping[str, ZeroGate | None],
    norm: keras.layers.Layer | None,
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
        training: Whether this is a step of training.
    """
    if norm and not layout.hosts and keras.backend.backend() == "torch":
        # its compiler writes a norm in its place; others need fewer passes for one
        parts = {name: norm(part) for name, part in parts.items()}
        return join(layout, parts, None if special is None else norm(special))
    joined = join(layout, parts, special, placements, gates)
    return norm(joined, training=training) if norm else joined


def token_metadata(
    layout: Layout,
    modalities: Mapping[str, ModalityInputs],
    masks: Mapping[str, Tensor],
    positions: Mapping[str, Tensor | None],
    placements: Mapping[str, Placement],
) -> dict[str, Tensor]:
    """Return the modality id and the (t, h, w) position of every fused token.

    Args:
        layout: The order of the tokens.
        modalities: The modalities of the call.
        masks: By name, the padding mask of each modality that has tokens.
        positions: By name, the positions of the tokens, `(..., length, 3)`, or `None`.
        placements: Where the tokens of placed modalities go.
    """
    ids, coordinates = {}, {}
    for name, mask in masks.items():
        tokens, borders = ops.expand_dims(mask, -1), (0, 0)
        if name in modalities:
            tokens = flatten_tokens(modalities[name].features)
            borders = layout.borders[name]
        index = layout.modalities.index(name)
        number = ops.zeros_like(tokens[..., 0], dtype="int32") + index
        ids[name] = pad(number, borders, -1, axis=1)
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
    return {
        "modality_ids": join(layout, ids, full(like, special, -1), placements),
        "positions": join(layout, coordinates, no_position, placements),
    }
