"""Checks of the KV cache of an attention layer."""

from typing import Any

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Tensor

WHO = "MultiModalAttention"


def check_cache(
    layer: Any,
    query: Tensor,
    value: Tensor | None,
    cache: Any,
    index: Any,
    mask: Tensor | None,
) -> None:
    """Raise unless a cache has room for the tokens of a call, of as many samples."""
    is_pair = isinstance(cache, (list, tuple)) and len(cache) == 2
    is_pair = is_pair and all(hasattr(one, "shape") for one in cache)
    rule = "be a pair of tensors, keys and values"
    checks.check(is_pair, WHO, "cache", rule, type(cache).__name__, error=TypeError)
    batch, length = checks.known_shape(query.shape)[:2]
    heads = layer.num_key_value_heads or layer.num_heads
    expected = (batch, None, heads, layer.head_dim)
    for name, one in zip(("keys", "values"), cache, strict=True):
        tensors.check_kind(WHO, f"cache {name}", one, "float")
        shape = checks.known_shape(one.shape)
        rule = f"be (batch={batch}, cache length, {heads}, head_dim)"
        fits = checks.shapes_match(shape, expected)
        checks.check(fits, WHO, f"cache {name}.shape", rule, shape)
    size = checks.known_shape(cache[0].shape)[1]
    written = length if value is None else checks.known_shape(value.shape)[1]
    if isinstance(index, int) and not isinstance(index, bool):
        rule = f"lie in [0, {size}], the slots of the cache, with {written} tokens"
        fits = size is None or written is None or 0 <= index <= size - written
        checks.check(fits, WHO, "cache_index", rule, index)
    elif index is not None:
        rule = "be None, an integer or a scalar tensor"
        fits = len(getattr(index, "shape", (None,))) == 0
        checks.check(fits, WHO, "cache_index", rule, repr(index), error=TypeError)
        rule = "be an integer, for a query of more than one token"
        checks.check(written in (1, None), WHO, "cache_index", rule, "a tensor")
    if mask is not None:
        shape = checks.known_shape(mask.shape)
        rule, sizes = f"be {(batch, length, size)}", [size]
        if isinstance(index, int) and written is not None:
            # the slots behind these are not attended to
            sizes.append(index + written)
        fits = any(
            checks.shapes_match(shape, (lead, rows, keys))
            for lead in (batch, 1)
            for rows in (length, 1)
            for keys in sizes
        )
        checks.check(fits, WHO, "attention_mask.shape", rule, shape)
