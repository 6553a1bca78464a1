"""Decoding with a KV cache: one pass over the prompt, then one token a step."""

from collections.abc import Mapping
from typing import Any

from keras import ops

from keras_mmembed.attention.position_ids import rotary_positions
from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Config, Tensor
from keras_mmembed.models.attention_inputs import (
    attention_inputs,
    bias_axes,
    bias_positions,
)
from keras_mmembed.models.cached_block import decode
from keras_mmembed.models.logits import last_modality, token_logits
from keras_mmembed.models.masks import attention_masks

# what a step hands to the next, a structure of tensors
State = dict[str, Any]


def prefill(
    model: Any,
    inputs: Mapping[str, Tensor],
    arguments: Mapping[str, Any],
    rest: int,
) -> tuple[Tensor, State]:
    """Return the logits behind the prompt, and the state of decoding.

    Args:
        model: A `MultiModalTransformer` that generates.
        inputs: The prompt, by modality.
        arguments: The other arguments of a call, by name.
        rest: Number of slots of the cache behind those of the prompt.
    """
    arguments = dict(arguments)
    encoded = arguments.pop("encoded", None)
    encoded_mask = arguments.pop("encoded_mask", None)
    collected = model.fusion.collect(inputs, **arguments)
    fused = model.fusion.fuse(inputs, collected, False)
    tokens, valid = fused["embeddings"], fused["mask"]
    length, batch = ops.shape(tokens)[1], ops.shape(tokens)[0]
    masks = attention_masks(model.attention_mask, model.narrow_mask, fused)
    shared: Config = attention_inputs(model, fused)
    state: State = {"start": _next_of_modality(model, fused)}
    if encoded is not None:
        shared = {**shared, "encoded": encoded, "encoded_mask": encoded_mask}
    if encoded_mask is not None:
        state["encoded_mask"] = ops.cast(encoded_mask, "bool")
    if model.relative_bias is not None:
        positions = bias_positions(model, fused)
        state["bias_positions"] = _lengthen(positions, rest, 0)
        if "positions" in shared:
            shared["key_positions"] = state["bias_positions"]
    if model.rotary is not None or model.relative_bias is not None:
        state["next"] = _next_in_sequence(model, fused)
    state["caches"] = []
    encoded_length = 0 if encoded is None else ops.shape(encoded)[1]
    for block in model.blocks:
        cache = block.make_cache(batch, length + rest, encoded_length)
        tokens, cache = block(tokens, *masks, **shared, cache=cache, cache_index=0)
        state["caches"].append(cache)
    state["mask"] = _lengthen(valid, rest, False)
    state["modality_ids"] = _lengthen(fused["modality_ids"], rest, -1)
    return token_logits(model, _last_valid(tokens, valid)), state


def step(
    model: Any, ids: Tensor, state: State, index: int | Tensor
) -> tuple[Tensor, State]:
    """Return the logits behind one more token of each sample, and the new state.

    Args:
        model: The model.
        ids: The tokens, `(batch,)`.
        state: What `prefill` returned, or the step before.
        index: The slot of the tokens in the cache: an integer, or a scalar tensor.
    """
    state, name = dict(state), last_modality(model.fusion)
    inputs, known = {name: ops.expand_dims(ids, 1)}, {}
    if model.fusion.branch(name).config["type"] != "none":
        known["start_index"] = {name: state["start"]}
        state["start"] = state["start"] + 1
    collected = model.fusion.collect(inputs, **known)
    # special tokens and those that stand in come before
    tokens = model.fusion.fuse(inputs, collected, False)["embeddings"][:, -1:]
    number = model.fusion.modalities.index(name)
    is_here = ops.equal(count(state["mask"], axis=1), ops.cast(index, "int32"))
    state["mask"] = ops.logical_or(state["mask"], is_here)
    state["modality_ids"] = ops.where(is_here, number, state["modality_ids"])
    fused = {key: state[key] for key in ("mask", "modality_ids")}
    query = {"modality_ids": ops.zeros_like(inputs[name], "int32") + number}
    layers = model.attention_mask, model.narrow_mask
    masks = attention_masks(*layers, fused, query=query, start_index=index)
    shared = _inputs_of_step(model, state, is_here)
    given = masks, state.get("encoded_mask"), shared
    caches = []
    for block, cache in zip(model.blocks, state["caches"], strict=True):
        tokens, cache = decode(block, tokens, *given, cache, index)
        caches.append(cache)
    state["caches"] = caches
    return token_logits(model, tokens[:, 0]), state


def _inputs_of_step(model: Any, state: State, is_here: Tensor) -> Config:
    """Return the arguments of all blocks that follow from the position of a token."""
    shared: Config = {}
    if "next" not in state:
        return shared
    following = ops.expand_dims(state["next"], 1)
    state["next"] = state["next"] + 1
    if model.rotary is not None:
        shared["rotations"] = model.rotary.rotations(
            _on_all_axes(following, model.rotary.num_axes)
        )
    bias = model.relative_bias
    if bias is None:
        return shared
    axes = bias_axes(model)
    # a token of text stands on no grid
    own = following if axes == 1 else ops.zeros_like(following) - 1
    own, here = _on_all_axes(ops.cast(own, "int32"), axes), ops.expand_dims(is_here, 0)
    keys = state["bias_positions"]
    here = here if axes == 1 else ops.expand_dims(here, -1)
    keys = ops.where(here, ops.cast(own, keys.dtype), keys)
    state["bias_positions"] = keys
    if isinstance(bias, RelativePositionBias):
        return {**shared, "attention_bias": bias(own, keys)}
    return {**shared, "positions": own, "key_positions": keys}


def _on_all_axes(positions: Tensor, axes: int) -> Tensor:
    """Return positions `(batch, length)` on each axis, none of their own for one."""
    return positions if axes == 1 else ops.repeat(positions[..., None], axes, axis=-1)


def _next_of_modality(model: Any, fused: Mapping[str, Tensor]) -> Tensor:
    """Return the position of the next token in its own modality, `(batch,)`, int32."""
    fusion, growing = model.fusion, last_modality(model.fusion)
    valid, ids = fused["mask"], fused["modality_ids"]
    index = count(ids, axis=1)
    own = ops.logical_and(valid, ops.equal(ids, fusion.modalities.index(growing)))
    last = ops.max(ops.where(own, index, -1), axis=1, keepdims=True)
    positions = ops.cast(fused["positions"][..., 0], "int32") + 1
    following = ops.max(ops.where(own, positions, 0), axis=1)
    for name, host in fusion.layout.hosts.items():
        if host == growing:
            # they stand at places of this modality
            placed = ops.equal(ids, fusion.modalities.index(name))
            placed = ops.logical_and(placed, ops.logical_and(valid, index > last))
            following = following + ops.sum(ops.cast(placed, "int32"), axis=1)
    branch = fusion.branch(growing)
    # a start token that is counted comes before, in the step too
    return following - int(branch.counts_special) * branch.borders[0]


def _next_in_sequence(model: Any, fused: Mapping[str, Tensor]) -> Tensor:
    """Return the next running position id, `(batch,)`."""
    rule: Config = {"rule": "sequence"} if model.rotary is None else model.rotary_rule
    options = {"modalities": model.fusion.modalities, **rule}
    return rotary_positions(fused, **options, return_next=True)[1]


def _lengthen(x: Tensor, rest: Any, value: Any) -> Tensor:
    """Return `(batch, length, ...)` with more entries behind, all of one value."""
    paddings = [(0, 0), (0, rest), *[(0, 0)] * (len(x.shape) - 2)]
    if "bool" in str(x.dtype):
        return ops.cast(ops.pad(ops.cast(x, "int32"), paddings), "bool")
    return ops.pad(x, paddings, constant_values=value)


def _last_valid(tokens: Tensor, valid: Tensor) -> Tensor:
    """Return the last valid token of each sample, `(batch, width)`."""
    index = ops.where(valid, count(valid, axis=1), 0)
    last = ops.reshape(ops.max(index, axis=1), (-1, 1, 1))
    return ops.take_along_axis(tokens, last, axis=1)[:, 0]
