"""Attention of queries to keys with a bias of their scores: pure functions."""

import keras
from keras import ops

from keras_mmembed.common import tensors
from keras_mmembed.common.types import Tensor


def repeat_heads(x: Tensor, times: int) -> Tensor:
    """Return keys or values with each head `times` times, one after another.

    Shapes:
        x: `(batch, length, heads, head_dim)`.
        result: `(batch, length, times heads, head_dim)`.
    """
    if times == 1:
        return x
    batch, length = ops.shape(x)[:2]
    heads, head_dim = x.shape[2:]
    # not ops.repeat, which PyTorch refuses on the meta device of Keras' trial calls
    repeated = ops.stack([x] * times, axis=3)
    return ops.reshape(repeated, (batch, length, times * heads, head_dim))


def with_heads(mask: Tensor | None) -> Tensor | None:
    """Return a mask with an axis of heads behind the batch."""
    if mask is None or len(mask.shape) == 4:
        return mask
    return ops.expand_dims(mask, 1)


def kernel_takes_bias() -> bool:
    """Whether the attention kernel of the backend takes a bias."""
    if keras.backend.backend() != "torch":
        return True
    # it refuses one in the versions before
    return tuple(int(part) for part in keras.__version__.split(".")[:2]) >= (3, 15)


def attend_with_kernel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor,
    mask: Tensor | None,
    scale: float,
    flash_attention: bool | None,
) -> Tensor:
    """Return what queries attend to, by the kernel of the backend.

    Shapes:
        query, key, value: `(batch, length, heads, head_dim)`.
        bias: `(batch or 1, heads, length, key length)`.
        mask: of four axes that broadcast with the bias, bool.
        result: as `query`.
    """
    if mask is not None and keras.backend.backend() == "torch":
        # which takes only one of both
        bias, mask = _hide(ops.cast(bias, query.dtype), mask), None
    return ops.dot_product_attention(
        query,
        key,
        value,
        bias=bias,
        mask=mask,
        scale=scale,
        flash_attention=flash_attention,
    )


def attention_weights(
    query: Tensor,
    key: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    scale: float,
    soft_cap: float | None,
) -> Tensor:
    """Return the attention weights, in float32 or better.

    With a soft cap `c`, the product `s` of a query and a key becomes
    `c tanh(s / c)`, before the bias.

    Shapes:
        query, key: `(batch, length, heads, head_dim)`.
        bias: `(batch or 1, heads, length, key length)`, or `None`.
        mask: of four axes that broadcast with the bias, bool, or `None`.
        result: `(batch, heads, length, key length)`.
    """
    dtype = tensors.float32_or_better(query.dtype)
    scores = ops.einsum("btnh,bsnh->bnts", query, key)
    scores = ops.cast(scores, dtype) * scale
    if soft_cap is not None:
        scores = soft_cap * ops.tanh(scores / soft_cap)
    if bias is not None:
        scores = scores + ops.cast(bias, dtype)
    if mask is not None:
        scores = _hide(scores, mask)
    return ops.softmax(scores, axis=-1)


def _hide(scores: Tensor, mask: Tensor) -> Tensor:
    """Return scores that are very small where the mask is false."""
    dtype = keras.backend.standardize_dtype(scores.dtype)
    # finite, so that a row without a key is no NaN
    least = -3e4 if dtype == "float16" else -1e30
    return ops.where(mask, scores, ops.cast(least, scores.dtype))
