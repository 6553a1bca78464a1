"""Keras' multi-head attention with a bias of the scores and grouped heads."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_mmembed.attention.cache import (
    Cache,
    causal_mask,
    used_part,
    write_cache,
)
from keras_mmembed.attention.direct import attend, calls_directly, direct
from keras_mmembed.attention.parts import total_bias, turn, without_masks
from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.attention.rotary import RotaryEmbedding
from keras_mmembed.attention.scores import (
    attend_with_kernel,
    attention_weights,
    kernel_takes_bias,
    repeat_heads,
    with_heads,
)
from keras_mmembed.common.types import Tensor


class BiasedAttention(keras.layers.MultiHeadAttention):
    """`MultiHeadAttention` whose scores may have a bias, a bound, and shared keys.

    `MultiModalAttention` makes its parts; here is what they do with heads of queries,
    keys and values.
    """

    num_key_value_heads: int | None
    soft_cap: float | None
    qk_norm: Any
    rotary: RotaryEmbedding | None
    bias: RelativePositionBias | None
    query_norm: keras.layers.Layer
    key_norm: keras.layers.Layer

    def _compute_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
        attention_bias: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        times = self.num_heads // (self.num_key_value_heads or self.num_heads)
        key, value = repeat_heads(key, times), repeat_heads(value, times)
        scale, flash = self._inverse_sqrt_key_dim, self._flash_attention
        drops = self.dropout > 0 and training is not False
        needs_weights = return_attention_scores or self.soft_cap is not None or drops
        if use_causal_mask and attention_bias is None and not needs_weights:
            # without a tensor of all pairs
            outputs = ops.dot_product_attention(
                query, key, value, None, None, scale, True, flash
            )
            return outputs, None
        if use_causal_mask:
            attention_mask = self._compute_causal_mask(query, value)
        if attention_bias is None and self.soft_cap is None:
            return super()._compute_attention(
                query, key, value, attention_mask, training, return_attention_scores
            )
        mask = with_heads(attention_mask)
        if not needs_weights and kernel_takes_bias():
            outputs = attend_with_kernel(
                query, key, value, attention_bias, mask, scale, flash
            )
            return outputs, None
        weights = attention_weights(
            query, key, attention_bias, mask, scale, self.soft_cap
        )
        weights = ops.cast(weights, self.compute_dtype)
        dropped = self._dropout_layer(weights, training=training) if drops else weights
        return ops.einsum(self._combine_equation, dropped, value), weights

    def decode(
        self,
        tokens: Tensor,
        mask: Tensor | None,
        places: Mapping[str, Any],
        cache: Cache,
        index: int | Tensor | None,
    ) -> tuple[Tensor, Cache]:
        """Return what a call with a cache does, in a step that owns the cache.

        Args:
            tokens: One token of each sample.
            mask: The attention mask, as for a call.
            places: By name, `positions` and the other arguments that follow from them.
            cache: The cache, which PyTorch overwrites.
            index: The slot of the tokens; `None` for cross-attention to what the cache
                holds.
        """
        if not calls_directly():
            named = {**places, "cache": cache, "cache_index": index}
            return self(tokens, attention_mask=mask, **named)
        names = ("positions", "key_positions", "attention_bias", "rotations")
        listed = tuple(places.get(name) for name in names)
        return self._attend_cached(tokens, None, mask, listed, cache, index, True)

    def _attend_cached(
        self,
        query: Tensor,
        value: Tensor | None,
        mask: Tensor | None,
        places: tuple[Any, ...],
        cache: Cache,
        index: int | Tensor | None,
        in_place: bool = False,
    ) -> tuple[Tensor, Cache]:
        """Return what new tokens attend to in a cache, and the cache with them."""
        positions, key_positions, attention_bias, rotations = places
        query = ops.cast(query, self.compute_dtype)
        source = query if value is None else ops.cast(value, self.compute_dtype)
        end: Any = None
        if index is None:
            (queries,) = without_masks((self._query_dense, query), call=direct)
            if self.qk_norm is not None:
                queries = direct(self.query_norm, queries)
        else:
            queries, keys, values = without_masks(
                (self._query_dense, query),
                (self._key_dense, source),
                (self._value_dense, source),
                call=direct,
            )
            if self.qk_norm is not None:
                queries = direct(self.query_norm, queries)
                keys = direct(self.key_norm, keys)
            if self.rotary is not None:
                queries, keys = turn(
                    self.rotary, queries, keys, positions, positions, rotations
                )
            cache = write_cache(cache, keys, values, index, in_place)
            if isinstance(index, int) and value is None:
                # where the slot is known, those behind it cost nothing
                end = index + ops.shape(query)[1]
            if mask is None and value is None:
                sizes = ops.shape(query)[1], index, ops.shape(cache[0])[1]
                mask = causal_mask(*sizes)
        keys, values = used_part(cache, end)
        bias = attention_bias
        if self.bias is not None:
            bias = total_bias(
                self.bias, query, source, positions, key_positions, attention_bias
            )
        times = self.num_heads // (self.num_key_value_heads or self.num_heads)
        if end is not None:
            mask = None if mask is None else mask[..., :end]
            bias = None if bias is None else bias[..., :end]
        if calls_directly() and bias is None and self.soft_cap is None:
            keys, values = repeat_heads(keys, times), repeat_heads(values, times)
            scale = self._inverse_sqrt_key_dim
            outputs = attend(queries, keys, values, with_heads(mask), scale)
        else:
            outputs, _ = self._compute_attention(
                queries, keys, values, mask, False, attention_bias=bias
            )
        return direct(self._output_dense, outputs), cache
