"""Checks of the KV cache of an attention layer."""

from typing import Any

from keras_mmembed.attention.layer_checks import (
    check_positions,
    check_rotations,
    check_tokens,
    check_widths,
)
from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.common import checks, tensors
from keras_mmembed.common.call_arguments import as_array
from keras_mmembed.common.types import Tensor

WHO = "MultiModalAttention"


def standardize_cache(who: str, cache: Any, index: Any) -> None:
    """Raise unless a cache is a pair of tensors, and its index an integer.

    Keras itself names no argument for a structure that is not one of tensors.
    """
    if cache is None:
        rule = "be None without `cache`, in which it is a slot"
        checks.check(index is None, who, "cache_index", rule, repr(index))
        return
    is_pair = isinstance(cache, (list, tuple)) and len(cache) == 2
    rule = "be a pair of tensors, keys and values, as make_cache returns"
    received = type(cache).__name__
    checks.check(is_pair, who, "cache", rule, received, error=TypeError)
    for number, one in enumerate(cache):
        name, received = f"cache[{number}]", type(one).__name__
        is_array = hasattr(one, "shape") and hasattr(one, "dtype")
        rule = "be a tensor or an array"
        checks.check(is_array, who, name, rule, received, error=TypeError)
        as_array(who, name, one)
    if isinstance(index, int) or index is None:
        fits = not isinstance(index, bool)
    else:
        fits = hasattr(index, "dtype") and len(getattr(index, "shape", (None,))) == 0
    rule = "be an integer, a scalar tensor or None"
    checks.check(fits, who, "cache_index", rule, repr(index), error=TypeError)
    if index is not None and not isinstance(index, int):
        tensors.check_kind(who, "cache_index", index, "integer")


def check_cache(
    layer: Any,
    query: Tensor,
    value: Tensor | None,
    cache: Any,
    index: Any,
    mask: Tensor | None,
    places: tuple[Any, ...],
) -> None:
    """Raise unless a cache has room for the tokens of a call, of as many samples.

    Args:
        layer: The attention layer.
        query: The new tokens.
        value: Tokens of another sequence that are written, or `None`.
        cache: Keys and values of the tokens before.
        index: The slot of the first token.
        mask: The attention mask.
        places: Positions of queries and keys, a shared bias and rotations.
    """
    source = query if value is None else value
    check_tokens(query, source, source)
    if index is not None:
        # nothing else is read but what is written
        check_widths(layer, query, source, source)
    positions, key_positions, _, rotations = places
    check_rotations(layer.rotary, query, rotations)
    if isinstance(layer.bias, RelativePositionBias):
        rule = "be passed with `cache` and a relative bias, for all of its slots"
        given = key_positions is not None
        checks.check(given, WHO, "key_positions", rule, None)
    batch, length = checks.known_shape(query.shape)[:2]
    heads = layer.num_key_value_heads or layer.num_heads
    expected = (batch, None, heads, layer.key_dim)
    for number, one in enumerate(cache):
        name = f"cache[{number}]"
        tensors.check_kind(WHO, name, one, "float")
        shape = checks.known_shape(one.shape)
        rule = f"be (batch={batch}, cache length, {heads}, head_dim)"
        fits = checks.shapes_match(shape, expected)
        checks.check(fits, WHO, f"{name}.shape", rule, shape)
    parts = (None if rotations else layer.rotary, layer.bias)
    check_positions(parts, positions, key_positions, query, cache[0])
    size = checks.known_shape(cache[0].shape)[1]
    written = length if value is None else checks.known_shape(value.shape)[1]
    sizes = {checks.known_shape(one.shape)[1] for one in cache} - {None}
    rule = "have as many slots as cache[0]"
    checks.check(len(sizes) < 2, WHO, "cache[1].shape", rule, tuple(cache[1].shape))
    if isinstance(index, int):
        rule = f"lie in [0, {size}], the slots of the cache, with {written} tokens"
        fits = size is None or written is None or 0 <= index <= size - written
        checks.check(fits, WHO, "cache_index", rule, index)
    elif index is not None:
        rule = "be an integer, for a query of more than one token"
        checks.check(written in (1, None), WHO, "cache_index", rule, "a tensor")
    if mask is not None:
        shape = checks.known_shape(mask.shape)
        rule, lengths = f"be {(batch, length, size)}", [size]
        if isinstance(index, int) and written is not None:
            # the slots behind these are not attended to
            lengths.append(index + written)
        fits = any(
            checks.shapes_match(shape, (lead, rows, keys))
            for lead in (batch, 1)
            for rows in (length, 1)
            for keys in lengths
        )
        checks.check(fits, WHO, "attention_mask.shape", rule, shape)
