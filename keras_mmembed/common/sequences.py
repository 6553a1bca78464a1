"""Tokens along an axis: their index, padding mask and stable sort: pure functions."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from keras_mmembed.common.types import Tensor


def count(tensor: Tensor, axis: int, skip: int = 0) -> Tensor:
    """Return 0, 1, 2, ... along an axis of `tensor`, as int32 of shape `(size,)`.

    The first `skip` entries are left out. Where the size is unknown they are 0
    instead, because exporters know nothing of the size of a slice of it. A cumulative
    sum of ones is the only form that every exporter accepts.
    """
    size = tensor.shape[axis]
    if isinstance(size, int):
        return ops.arange(size - skip, dtype="int32")
    # one entry of the other axes, or none of an empty one
    others = [a for a in range(len(tensor.shape)) if a != axis % len(tensor.shape)]
    slices = tuple(
        slice(1) if a in others else slice(None) for a in range(len(tensor.shape))
    )
    ones = ops.ones_like(tensor[slices], dtype="int32")
    ones = ops.maximum(ops.sum(ones, axis=others), 1) if others else ones
    line = ops.cumsum(ones) - 1
    return ops.maximum(line - skip, 0) if skip else line


def product(sizes: Iterable[Any]) -> Any:
    """Return the product of sizes, integers or tensors."""
    total = 1
    for size in sizes:
        total = total * size
    return total


def as_mask(mask: Tensor, x: Tensor) -> Tensor:
    """Return the padding mask of a sequence as bool `(batch, length)`.

    Shapes:
        mask: of any dtype, `(batch, length)` or with the axes of a grid of tokens; or
            lengths `(batch,)`.
        x: `(batch, length, ...)`.
    """
    mask = ops.convert_to_tensor(mask)
    if len(mask.shape) == 1:
        lengths = ops.expand_dims(ops.cast(mask, "int32"), 1)
        return ops.less(count(x, axis=1), lengths)
    mask = ops.cast(mask, "bool")
    if len(mask.shape) > 2:
        shape = ops.shape(mask)
        mask = ops.reshape(mask, (shape[0], product(shape[1:])))
    return mask


def packed_order(mask: Tensor) -> Tensor:
    """Return the index `(batch, length)` that sorts valid tokens first, in order."""
    mask = ops.cast(mask, "bool")
    # distinct keys, because not every backend sorts equal ones in their order
    behind = ops.cast(ops.logical_not(mask), "int32") * 2**24
    return ops.argsort(ops.add(behind, count(mask, axis=1)), axis=1)


def take_tokens(tensor: Tensor, index: Tensor) -> Tensor:
    """Gather tokens of each sample by their index.

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
