"""What a block does with a KV cache: of attention, of cross-attention, and its MLP."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from keras import ops

from keras_mmembed.attention.cache import Cache
from keras_mmembed.attention.cache_checks import standardize_cache
from keras_mmembed.attention.direct import calls_directly, direct
from keras_mmembed.common import checks
from keras_mmembed.common.call_arguments import as_array
from keras_mmembed.common.types import Config, Tensor

# of attention, and of cross-attention
BlockCache: TypeAlias = Mapping[str, Cache]


def standardize_cache_of(block: Any, given: Mapping[str, Any]) -> None:
    """Raise unless the cache of a call has a pair of tensors for each attention.

    Args:
        block: The block.
        given: The arguments of the call by name.
    """
    who, cache = type(block).__name__, given.get("cache")
    index = given.get("cache_index")
    if cache is None:
        standardize_cache(who, None, index)
        rule, found = "be None without `cache`", given.get("key_positions")
        checks.check(found is None, who, "key_positions", rule, type(found).__name__)
        return
    parts = {"attention": block.attention, "cross": block.cross}
    names = [name for name, part in parts.items() if part is not None]
    fits = isinstance(cache, Mapping) and set(cache) == set(names)
    rule = f"be a dict with the keys {names}, as make_cache returns"
    received = sorted(map(str, cache)) if isinstance(cache, Mapping) else type(cache)
    checks.check(fits, who, "cache", rule, received, error=TypeError)
    for name in names:
        standardize_cache(who, cache[name], index)
    if given.get("key_positions") is not None:
        as_array(who, "key_positions", given["key_positions"])


def decode(
    block: Any,
    tokens: Tensor,
    masks: Sequence[Tensor],
    encoded_mask: Tensor | None,
    places: Mapping[str, Any],
    cache: BlockCache,
    index: int | Tensor,
) -> tuple[Tensor, BlockCache]:
    """Return what a call with a cache does, in a step that owns the cache.

    Args:
        block: A built `TransformerBlock`.
        tokens: One token of each sample.
        masks: The attention mask and, of a gated block, the narrower one.
        encoded_mask: As for a call.
        places: By name, `positions` and the other arguments that follow from them.
        cache: The cache, which PyTorch overwrites.
        index: The slot of the tokens.
    """
    if not calls_directly():
        named: Config = {**places, "cache": cache, "cache_index": index}
        return block(tokens, *masks, encoded_mask=encoded_mask, **named)
    wide, narrow = (*masks, None)[:2]
    given = (wide, narrow, encoded_mask), places, cache, index
    return call_cached(block, tokens, None, *given, is_step=True)


def call_cached(
    block: Any,
    tokens: Tensor,
    encoded: Tensor | None,
    masks: tuple[Tensor | None, ...],
    places: Mapping[str, Any],
    cache: BlockCache,
    index: int | Tensor | None,
    is_step: bool,
) -> tuple[Tensor, BlockCache]:
    """Return new tokens after a block, and its cache with them.

    Args:
        block: The block.
        tokens: The new tokens.
        encoded: The tokens of another sequence, `None` where the cache holds them.
        masks: The attention mask, the narrower one and that of `encoded`.
        places: By name, `positions` and the other arguments that follow from them.
        cache: The cache of the tokens before.
        index: The slot of the first token.
        is_step: Whether `decode` calls, which checks nothing and owns the cache.
    """
    cache = dict(cache)
    mask, narrow_mask, encoded_mask = masks

    def attend_by(inputs: Tensor, mask: Tensor | None) -> tuple[Tensor, Cache]:
        if is_step:
            return block.attention.decode(
                inputs, mask, places, cache["attention"], index
            )
        known: Config = {**places, "cache": cache["attention"], "cache_index": index}
        return block.attention(inputs, attention_mask=mask, **known)

    def attend(inputs: Tensor) -> Tensor:
        mixed, new = attend_by(inputs, mask)
        if block.gate is not None:
            narrow, _ = attend_by(inputs, narrow_mask)
            mixed = direct(block.gate, [narrow, mixed])
        cache["attention"] = new
        return mixed

    def attend_to(inputs: Tensor) -> Tensor:
        pairs = None if encoded_mask is None else ops.expand_dims(encoded_mask, 1)
        if is_step:
            mixed, _ = block.cross.decode(inputs, pairs, {}, cache["cross"], None)
            return mixed
        # the other sequence is written once, with the first tokens
        known: Config = {"cache": cache["cross"]}
        known["cache_index"] = None if encoded is None else 0
        mixed, cache["cross"] = block.cross(
            inputs, encoded, attention_mask=pairs, **known
        )
        return mixed

    if block.attention is not None:
        tokens = block.add_part("attention", tokens, attend, False, direct)
    if block.cross is not None:
        tokens = block.add_part("cross", tokens, attend_to, False, direct)
    multiply = partial(block.multiply, call=direct)
    return block.add_part("mlp", tokens, multiply, False, direct), cache
