"""The KV cache: keys and values of the tokens before, as plain tensors."""

from typing import Any, TypeAlias

import keras
from keras import ops

from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Tensor

# keys and values, each `(batch, cache length, heads, head_dim)`
Cache: TypeAlias = tuple[Tensor, Tensor]


def spec_of(tensor: Tensor) -> keras.KerasTensor:
    """Return a symbolic tensor of the shape and dtype of another."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return keras.KerasTensor(tensor.shape, dtype=dtype)


def write_cache(
    cache: Cache,
    keys: Tensor,
    values: Tensor,
    index: int | Tensor,
    in_place: bool = False,
) -> Cache:
    """Return a cache with keys and values in it, the first at `index`.

    With `in_place` PyTorch writes to the cache itself, which costs no copy of it.

    Shapes:
        cache: a pair of `(batch, cache length, heads, head_dim)`.
        keys, values: `(batch, length, heads, head_dim)`; the length is 1 if `index` is
            a tensor.
    """
    key_cache, value_cache = cache
    if in_place and isinstance(index, int) and keras.backend.backend() == "torch":
        slots = slice(index, index + keys.shape[1])
        key_cache[:, slots], value_cache[:, slots] = keys, values
        return cache
    return _write(key_cache, keys, index), _write(value_cache, values, index)


def _write(cache: Tensor, tokens: Tensor, index: Any) -> Tensor:
    if isinstance(index, int):
        end = index + ops.shape(tokens)[1]
        parts = [cache[:, :index], ops.cast(tokens, cache.dtype), cache[:, end:]]
        return ops.concatenate(parts, axis=1)
    if keras.backend.backend() == "jax":
        return ops.slice_update(cache, (0, index, 0, 0), ops.cast(tokens, cache.dtype))
    # TensorFlow updates a slice in graphs of XLA only
    slots = ops.reshape(count(cache, axis=1), (1, -1, 1, 1))
    is_here = ops.equal(slots, ops.cast(index, slots.dtype))
    return ops.where(is_here, ops.cast(tokens, cache.dtype), cache)


def used_part(cache: Cache, end: Any) -> Cache:
    """Return the first slots of a cache, all of them without an `end`."""
    return cache if end is None else (cache[0][:, :end], cache[1][:, :end])


def causal_mask(length: Any, index: int | Tensor, key_length: Any) -> Tensor:
    """Return which slots new tokens may attend to: themselves, and those before.

    Shapes:
        result: `(1, length, key_length)`, bool.
    """
    query = ops.expand_dims(ops.arange(length), 1) + ops.cast(index, "int32")
    key = ops.expand_dims(ops.arange(key_length), 0)
    return ops.expand_dims(ops.less_equal(key, query), 0)
