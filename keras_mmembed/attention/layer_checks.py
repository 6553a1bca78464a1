"""The arguments of `MultiModalAttention`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_mmembed.attention.call_positions import check_axes
from keras_mmembed.common import call_arguments, checks, tensors
from keras_mmembed.common.types import Shape, Tensor

WHO = "MultiModalAttention"
MASKS = ("query_mask", "value_mask", "key_mask", "attention_mask")
TENSORS = ("value", "key", *MASKS, "positions", "key_positions", "attention_bias")
FLAGS = ("return_attention_scores", "use_causal_mask")
NAMES = ("query", *TENSORS, "rotations", FLAGS[0], "training", FLAGS[1])


def standardize_call(
    args: Sequence[Any], kwargs: Mapping[str, Any]
) -> call_arguments.Arguments:
    """Return the arguments of a call as tensors or arrays."""
    args, kwargs = call_arguments.standardize(WHO, args, kwargs, ("query",), TENSORS)
    named = {**dict(zip(NAMES, args, strict=False)), **kwargs}
    for name in FLAGS:
        checks.check_flag(WHO, name, named.get(name, False))
    training = named.get("training")
    fits = training is None or isinstance(training, (bool, int))
    rule = "be True, False or None"
    checks.check(fits, WHO, "training", rule, repr(training), error=TypeError)
    check_tables(WHO, named.get("rotations"))
    return args, kwargs


def check_tables(who: str, rotations: Any) -> None:
    """Raise unless the rotations of a call are two tensors, or `None`."""
    rule = "be a tensor of cosines and one of sines, as rotary.rotations returns"
    is_pair = isinstance(rotations, (list, tuple)) and len(rotations) == 2
    fits = rotations is None or is_pair
    checks.check(fits, who, "rotations", rule, repr(rotations), error=TypeError)
    for i, table in enumerate(rotations or ()):
        call_arguments.as_array(who, f"rotations[{i}]", table)
        rule, fits = "be a tensor or an array", hasattr(table, "shape")
        received = type(table).__name__
        checks.check(fits, who, f"rotations[{i}]", rule, received, error=TypeError)


def check_optional_flag(argument: str, value: Any) -> bool | None:
    """Return `True`, `False` or `None`."""
    return None if value is None else checks.check_flag(WHO, argument, value)


def check_flash(flash_attention: Any, dropout: Any) -> None:
    """Raise for flash attention with a dropout, which it does not have."""
    check_optional_flag("flash_attention", flash_attention)
    rule = "be False or None with dropout, which no flash attention has"
    fits = not flash_attention or dropout == 0
    checks.check(fits, WHO, "flash_attention", rule, flash_attention)


def check_rotations(rotary: Any, query: Tensor, rotations: Any) -> None:
    """Raise unless shared rotations are those of the queries."""
    if rotations is None:
        return
    rule = "be None without `rotary`, which would use them"
    checks.check(rotary is not None, WHO, "rotations", rule, "tables")
    batch, length = checks.known_shape(query.shape)[:2]
    width = rotary.rotations_width
    for table in rotations:
        tensors.check_kind(WHO, "rotations", table, "float")
        shape = checks.known_shape(table.shape)
        lead, rule = shape[:-2], f"be ({length}, 1, {width}), or of each sample"
        fits = any(
            checks.shapes_match(lead, option)
            for option in ((length,), (1, length), (batch, length))
        )
        fits = fits and checks.shapes_match(shape[-2:], (1, width))
        checks.check(fits, WHO, "rotations.shape", rule, shape)


def check_masks(query: Tensor, key: Tensor, *masks: Tensor | None) -> None:
    """Raise unless masks are those of the tokens.

    Args:
        query: Tokens that attend.
        key: Tokens that are attended to.
        *masks: Those of query, value and key, and that of pairs.
    """
    batch, length = checks.known_shape(query.shape)[:2]
    (keys,) = checks.known_shape(key.shape)[1:2]
    for name, mask in zip(MASKS, masks, strict=True):
        if mask is None:
            continue
        if name == "attention_mask":
            check_pairs(WHO, name, mask, (batch, length, keys))
            continue
        tensors.check_flags(WHO, name, mask)
        size = length if name == "query_mask" else keys
        shape, rule = checks.known_shape(mask.shape), f"be {(batch, size)}"
        options = [(batch, size), (1, size)]
        fits = any(checks.shapes_match(shape, option) for option in options)
        checks.check(fits, WHO, f"{name}.shape", rule, shape)


def check_pairs(who: str, argument: str, mask: Tensor, sizes: Shape) -> None:
    """Raise unless a mask says of each pair of tokens whether one sees the other.

    Args:
        who: Name of the layer.
        argument: Name of the mask.
        mask: The mask.
        sizes: Of the batch, the queries and the keys.
    """
    tensors.check_flags(who, argument, mask)
    batch, length, keys = sizes
    leads = [(batch,), (1,), (batch, None), (1, None)]
    pairs = [(size, keys) for size in (length, 1)]
    shape = checks.known_shape(mask.shape)
    rule = f"be {(batch, length, keys)}, with an axis of heads or without"
    options = [(*lead, *pair) for lead in leads for pair in pairs]
    fits = any(checks.shapes_match(shape, option) for option in options)
    checks.check(fits, who, f"{argument}.shape", rule, shape)


def check_factor(argument: str, value: Any) -> float | None:
    """Return a number greater than 0, or `None`."""
    return None if value is None else checks.check_number(WHO, argument, value, 0)


def check_shapes(*shapes: Shape) -> None:
    """Raise unless query, value and key have an axis of tokens and a known width."""
    for name, shape in zip(("query", "value", "key"), shapes, strict=True):
        known, axes = checks.known_shape(shape), "(batch, length, width)"
        checks.check_rank(WHO, f"{name}.shape", known, (3,), axes)
        rule = "have a last axis of known size, at least 1"
        checks.check(bool(known[-1]), WHO, f"{name}.shape", rule, known)


def shared_width(width: int, num_heads: int) -> int:
    """Return the number of channels of a head that shares a width with others."""
    rule = f"be a multiple of num_heads={num_heads}"
    remedy, fits = "Or set `head_dim`.", width % num_heads == 0
    checks.check(fits, WHO, "query.shape[-1]", rule, width, remedy)
    return width // num_heads


def check_tokens(query: Tensor, value: Tensor, key: Tensor) -> None:
    """Raise unless query, value and key are tokens of the same samples."""
    for name, tokens in {"query": query, "value": value, "key": key}.items():
        shape, axes = checks.known_shape(tokens.shape), "(batch, length, width)"
        checks.check_rank(WHO, f"{name}.shape", shape, (3,), axes)
    for name, tokens in {"query": query, "value": value, "key": key}.items():
        tensors.check_kind(WHO, name, tokens, "float", "Cast them to floats.")
    batch = checks.known_shape(query.shape)[0]
    length = checks.known_shape(value.shape)[1]
    for name, tokens in {"value": value, "key": key}.items():
        shape = checks.known_shape(tokens.shape)
        rule = f"be ({batch}, {length}, width)"
        fits = checks.shapes_match(shape[:2], (batch, length))
        checks.check(fits, WHO, f"{name}.shape", rule, shape)


def check_bias(num_heads: int, query: Tensor, key: Tensor, bias: Tensor | None) -> None:
    """Raise unless a bias has an entry for each head, query and key."""
    if bias is None:
        return
    remedy = "Cast it to floats."
    tensors.check_kind(WHO, "attention_bias", bias, "float", remedy)
    shape = checks.known_shape(bias.shape)
    batch, length = checks.known_shape(query.shape)[:2]
    (keys,) = checks.known_shape(key.shape)[1:2]
    rule = f"be {(batch, num_heads, length, keys)}, or 1 for the batch"
    fits = any(
        checks.shapes_match(shape, (size, num_heads, length, keys))
        for size in (batch, 1)
    )
    checks.check(fits, WHO, "attention_bias.shape", rule, shape)


def check_positions(
    parts: Iterable[Any],
    positions: Tensor | None,
    key_positions: Tensor | None,
    query: Tensor,
    key: Tensor,
) -> None:
    """Raise unless there are positions of the tokens where they cannot be counted."""
    used = [part for part in parts if part is not None]
    axes = max((part.num_axes for part in used), default=1)
    rule = f"be passed for positions of {axes} axes"
    checks.check(axes == 1 or positions is not None, WHO, "positions", rule, None)
    if used:
        _check_positions_of("positions", positions, axes, query)
        _check_positions_of("key_positions", key_positions, axes, key)


def _check_positions_of(
    argument: str, positions: Tensor | None, axes: int, tokens: Tensor
) -> None:
    """Raise unless positions are one for each token, or the same for all samples."""
    if positions is None:
        return
    tensors.check_kind(WHO, argument, positions, "number", "Cast them to numbers.")
    shape = checks.known_shape(positions.shape)
    check_axes(WHO, argument, shape, axes)
    bare = shape if axes == 1 and len(shape) < 3 else shape[:-1]
    batch, length = checks.known_shape(tokens.shape)[:2]
    rule = f"hold a position for each of the {length} tokens"
    fits = checks.shapes_match(bare[-1:], (length,))
    checks.check(fits, WHO, f"{argument}.shape", rule, shape)
    rule = f"hold positions for each of the {batch} samples, or the same for all"
    fits = bare[:-1] in ((), (1,)) or checks.shapes_match(bare[:-1], (batch,))
    checks.check(fits, WHO, f"{argument}.shape", rule, shape)


def check_call(
    layer: Any,
    query: Tensor,
    value: Tensor,
    key: Tensor,
    positions: Tensor | None,
    key_positions: Tensor | None,
    attention_bias: Tensor | None,
    rotations: Any,
) -> None:
    """Raise for a wrong call of an attention layer, but for its masks."""
    check_tokens(query, value, key)
    check_widths(layer, query, value, key)
    check_bias(layer.num_heads, query, key, attention_bias)
    check_rotations(layer.rotary, query, rotations)
    parts = (None if rotations else layer.rotary, layer.bias)
    check_positions(parts, positions, key_positions, query, key)


def check_widths(layer: Any, *tokens: Tensor) -> None:
    """Raise unless query, value and key have the widths that a layer was built for."""
    if not layer.built:
        return
    for name, one in zip(("query", "value", "key"), tokens, strict=True):
        width = getattr(layer, f"_{name}_dense").kernel.shape[0]
        received = checks.known_shape(one.shape)[-1]
        rule = f"be {width}, as the layer was built for"
        fits = received in (None, width)
        checks.check(fits, WHO, f"{name}.shape[-1]", rule, received)
