"""Packing: the valid tokens of each sample first, and back. Pure functions."""

from typing import Any

from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.sequences import packed_order, take_tokens
from keras_mmembed.common.types import Tensor


def pack_tokens(tensor: Tensor, mask: Tensor) -> Tensor:
    """Move the valid tokens of each sample to the front, in their order.

    The length does not change, so shapes stay static; slice the padding off if the
    length of the longest sample is known. `unpack_tokens` is the exact inverse.

    Shapes:
        tensor: `(batch, length, ...)`, of any dtype.
        mask: `(batch, length)`, bool.
        result: as `tensor`.

    Args:
        tensor: Tokens, their ids, or anything else with an entry per token, such as
            the mask itself.
        mask: Padding mask: which tokens are valid.

    Raises:
        ValueError: if `tensor` and `mask` differ in batch or length.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import pack_tokens, unpack_tokens
    >>> mask = np.array([[True, False, True, True]])
    >>> tokens = np.array([[10, 0, 30, 40]])
    >>> packed = pack_tokens(tokens, mask)
    >>> keras.ops.convert_to_numpy(packed).tolist()
    [[10, 30, 40, 0]]
    >>> keras.ops.convert_to_numpy(unpack_tokens(packed, mask)).tolist()
    [[10, 0, 30, 40]]
    """
    return _pack("pack_tokens", tensor, mask, packed_order(mask))


def unpack_tokens(tensor: Tensor, mask: Tensor) -> Tensor:
    """Move packed tokens back to their positions: the inverse of `pack_tokens`.

    Shapes:
        tensor: `(batch, length, ...)`, of any dtype.
        mask: `(batch, length)`, bool.
        result: as `tensor`.

    Args:
        tensor: Packed tokens, such as the outputs of an encoder.
        mask: Padding mask before packing.

    Raises:
        ValueError: if `tensor` and `mask` differ in batch or length.

    Example: see `pack_tokens`.
    """
    return _pack("unpack_tokens", tensor, mask, ops.argsort(packed_order(mask), axis=1))


def _pack(function: str, tensor: Tensor, mask: Tensor, order: Tensor) -> Tensor:
    values: Any = ops.convert_to_tensor(tensor)
    shapes = [checks.known_shape(x.shape)[:2] for x in (values, mask)]
    agree = checks.shapes_match(*shapes)
    rule = f"have the batch and length {shapes[1]} of the mask"
    checks.check(agree, function, "tensor.shape", rule, tuple(values.shape))
    return take_tokens(values, order)
