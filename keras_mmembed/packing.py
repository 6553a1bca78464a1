"""Valid tokens first, and back: pure functions."""

import keras
from keras import ops

from keras_mmembed import _checks
from keras_mmembed._coordinates import count


def pack_tokens(tensor, mask):
    """Move the valid tokens of every sample to the front, in their order.

    The length stays, so that shapes stay known; cut the pads off where the longest
    sample is known. `unpack_tokens` is the exact inverse.

    Shapes:
        tensor: `(batch, length, ...)`, of any dtype; pack the mask with itself.
        mask: `(batch, length)`, bool.
        result: as `tensor`.

    Args:
        tensor: Tokens, their ids, or anything else with an entry for each.
        mask: Which tokens are valid.

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


def unpack_tokens(tensor, mask):
    """Move packed tokens back to where they were: the inverse of `pack_tokens`.

    Shapes:
        tensor: `(batch, length, ...)`, of any dtype.
        mask: `(batch, length)`, bool, as it was before packing.
        result: as `tensor`.

    Args:
        tensor: Packed tokens, such as the outputs of an encoder.
        mask: Which tokens were valid.

    Raises:
        ValueError: if `tensor` and `mask` differ in batch or length.

    Example: see `pack_tokens`.
    """
    return _pack("unpack_tokens", tensor, mask, ops.argsort(packed_order(mask), axis=1))


def packed_order(mask):
    """Return the index that puts the valid tokens of `(batch, length)` first."""
    mask = ops.cast(mask, "bool")
    # distinct keys, because not every backend sorts equal ones in their order
    behind = ops.cast(ops.logical_not(mask), "int32") * 2**24
    return ops.argsort(ops.add(behind, count(mask, axis=1)), axis=1)


def take_tokens(tensor, index):
    """Return the tokens of each sample that an index names.

    Shapes:
        tensor: `(batch, length, ...)`.
        index: `(batch, other length)`, integer, inside the length.
        result: `(batch, other length, ...)`.
    """
    index = ops.cast(index, "int32")
    is_symbolic = isinstance(tensor, keras.KerasTensor)
    if keras.backend.backend() == "torch" and not is_symbolic:
        # its exporter fixes the sizes of take_along_axis; elsewhere a look-up in the
        # tokens of all samples would make devices that share a batch exchange them
        shape = ops.shape(tensor)
        start = ops.expand_dims(count(tensor, axis=0) * shape[1], 1)
        rows = ops.reshape(tensor, (shape[0] * shape[1], *shape[2:]))
        return ops.take(rows, ops.add(index, start), axis=0)
    for _ in tensor.shape[2:]:
        index = ops.expand_dims(index, -1)
    return ops.take_along_axis(tensor, index, axis=1)


def _pack(function, tensor, mask, order):
    tensor = ops.convert_to_tensor(tensor)
    shapes = [_checks.known_shape(x.shape)[:2] for x in (tensor, mask)]
    agree = _checks.shapes_match(*shapes)
    rule = f"have the batch and length {shapes[1]} of the mask"
    _checks.check(agree, function, "tensor.shape", rule, tuple(tensor.shape))
    return take_tokens(tensor, order)
