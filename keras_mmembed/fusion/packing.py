"""Packing: the valid tokens of each sample first, and back. Pure functions."""

from typing import Any

from keras import ops

from keras_mmembed.common import call_arguments, checks, tensors
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
        TypeError: if `tensor` or `mask` is no tensor, array or list of numbers.
        ValueError: if `mask` is not `(batch, length)`, or `tensor` differs in batch or
            length.

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
    values, valid = _check("pack_tokens", tensor, mask)
    return take_tokens(values, packed_order(valid))


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
        TypeError: if `tensor` or `mask` is no tensor, array or list of numbers.
        ValueError: if `mask` is not `(batch, length)`, or `tensor` differs in batch or
            length.

    Example: see `pack_tokens`.
    """
    values, valid = _check("unpack_tokens", tensor, mask)
    return take_tokens(values, ops.argsort(packed_order(valid), axis=1))


def _check(function: str, tensor: Any, mask: Any) -> tuple[Tensor, Tensor]:
    """Return both as tensors; raise unless the mask has an entry per token."""
    tensor, mask = (
        ops.convert_to_tensor(call_arguments.as_array(function, name, value))
        for name, value in (("tensor", tensor), ("mask", mask))
    )
    shape, entries = checks.known_shape(tensor.shape), checks.known_shape(mask.shape)
    checks.check_rank(function, "mask.shape", entries, (2,), "(batch, length)")
    tensors.check_flags(function, "mask", mask)
    rule = f"have the batch and length {entries} of the mask"
    agree = checks.shapes_match(shape[:2], entries)
    checks.check(agree, function, "tensor.shape", rule, shape)
    return tensor, mask
