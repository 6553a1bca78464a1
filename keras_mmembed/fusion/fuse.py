"""The steps of a fusion, in their order."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_mmembed.common.tensors import float32_or_better
from keras_mmembed.common.types import Tensor
from keras_mmembed.fusion.arguments import CallArguments
from keras_mmembed.fusion.branch import ModalityBranch
from keras_mmembed.fusion.checks import check_call
from keras_mmembed.fusion.items import has_tokens, item_ids
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.modality import ModalityEmbedding
from keras_mmembed.fusion.modality_dropout import drop_modalities
from keras_mmembed.fusion.naming import naming
from keras_mmembed.fusion.placement import place_modalities
from keras_mmembed.fusion.sequence import join, join_and_normalize, token_metadata
from keras_mmembed.fusion.special_tokens import leading_tokens
from keras_mmembed.fusion.tokens import flatten_tokens, full


@dataclass(frozen=True)
class FusionParts:
    """What the steps of a fusion need of the layer.

    Attributes:
        layout: The order of the tokens.
        branches: By name, the layers and vectors of each modality.
        modality: The layer of the modality vectors, if there are any.
        special_rows: The class and register tokens, `(tokens, width)` of each kind.
        special_norm: The norm of these, if they have one of their own.
        norm: The norm of all tokens, if there is one.
        skips_own_norms: Whether it leaves out modalities with a norm of their own.
        dropout: The dropout after it.
        drop_rates: By name, the probability with which a sample loses a modality.
        seed: The generator of its draws, if there are any.
        dtype: The compute dtype.
        has_metadata: Whether ids and positions of the tokens are returned.
    """

    layout: Layout
    branches: Mapping[str, ModalityBranch]
    modality: ModalityEmbedding | None
    special_rows: Sequence[Tensor]
    special_norm: keras.layers.Layer | None
    norm: keras.layers.Layer | None
    skips_own_norms: bool
    dropout: keras.layers.Layer
    drop_rates: Mapping[str, float]
    seed: Any
    dtype: str
    has_metadata: bool


def fuse(
    parts: FusionParts,
    inputs: Mapping[str, Tensor | None],
    arguments: CallArguments,
    training: bool | None,
) -> dict[str, Tensor]:
    """Return the fused embeddings and their mask, and the metadata of the tokens."""
    layout, branches = parts.layout, parts.branches
    check_call(branches, layout, inputs, arguments)
    inputs = layout.in_order(inputs)
    present = layout.in_order(arguments.present)
    present = {name: ops.cast(flag, "bool") for name, flag in present.items()}
    present = {**present, **_present_of_grids(parts, arguments, present, training)}
    if training and any(parts.drop_rates.values()):
        present = drop_modalities(inputs, present, parts.drop_rates, parts.seed)
    modalities = {
        name: branches[name].prepare(x, arguments, name, present.get(name))
        for name, x in inputs.items()
    }
    like = flatten_tokens(next(iter(modalities.values())).features)
    masks, tokens = {}, {}
    for name in layout.modalities:
        if name in modalities:
            masks[name] = branches[name].padding_mask(modalities[name])
        elif layout.stands_in:
            masks[name] = full(like, 1, True)
    placeholders = layout.in_order(arguments.placeholders)
    placements, fused_masks = place_modalities(layout, modalities, masks, placeholders)
    for name in masks:
        vector = _modality_vector(parts, name)
        with naming(name):
            if name in modalities:
                tokens[name] = branches[name].embed(modalities[name], vector)
            else:
                tokens[name] = branches[name].stand_in(vector, like)
    gates = {name: branches[name].gate for name in layout.hosts}
    leading = _leading_tokens(parts, like)
    own_norms = set()
    if parts.skips_own_norms:
        own_norms = {name for name in tokens if branches[name].has_own_norm}
    embeddings = join_and_normalize(
        layout, tokens, leading, placements, gates, parts.norm, own_norms, training
    )
    embeddings = ops.cast(embeddings, parts.dtype)
    if training:
        embeddings = parts.dropout(embeddings, training=True)
    mask = join(layout, fused_masks, full(like, layout.num_special, True))
    fused = {"embeddings": embeddings, "mask": mask}
    if not parts.has_metadata:
        return fused
    positions = {n: branches[n].token_positions(x) for n, x in modalities.items()}
    ids = {
        name: branches[name].modality_ids(x, layout.modalities.index(name))
        for name, x in modalities.items()
    }
    several = {
        name: item_ids(
            x,
            branches[name].borders,
            ids[name],
            masks[name],
            positions[name],
            layout.stands_in,
        )
        for name, x in modalities.items()
    }
    items = layout.in_order(several)
    metadata = token_metadata(layout, ids, masks, positions, placements, items)
    return {**fused, **metadata}


def _present_of_grids(
    parts: FusionParts,
    arguments: CallArguments,
    present: Mapping[str, Tensor],
    training: bool | None,
) -> dict[str, Tensor]:
    """Return which samples have a modality of which some have a grid without tokens.

    Where it matters: the tokens themselves are masked by their grids.
    """
    is_dropped = training and any(parts.drop_rates.values())
    flags = {}
    for name, grid in parts.layout.in_order(arguments.grids).items():
        has_more = parts.layout.stands_in or any(parts.branches[name].borders)
        if len(getattr(grid, "shape", ())) < 2 or not (has_more or is_dropped):
            continue
        flags[name] = has_tokens(grid)
        if name in present:
            flags[name] = ops.logical_and(present[name], flags[name])
    return flags


def _modality_vector(parts: FusionParts, name: str) -> Tensor | None:
    """Return the vector of a modality, `(width,)`, or `None`."""
    layer = parts.modality
    if layer is None:
        return None
    # the row of an instance is what sets it apart from its modality
    names = dict.fromkeys((parts.branches[name].name, name))
    rows = [layer.encode(one) for one in names if one in layer.modalities]
    return functools.reduce(ops.add, rows) if rows else None


def _leading_tokens(parts: FusionParts, like: Tensor) -> Tensor | None:
    """Return the class and register tokens for a sequence `like`, or `None`."""
    dtype = float32_or_better(parts.dtype)
    tokens = leading_tokens(parts.special_rows, like, dtype)
    norm = None if tokens is None else parts.special_norm
    return tokens if norm is None else norm(tokens)
