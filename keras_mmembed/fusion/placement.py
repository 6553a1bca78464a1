"""Tokens of one sequence at marked places of another: pure functions."""

from keras import ops

from keras_mmembed.common.sequences import packed_order, take_tokens


def match(places, sources):
    """Pair the first place with the first source, the second with the second, ...

    Places that are left over get nothing, and sources that are left over go nowhere.

    Shapes:
        places: `(batch, length)`, bool.
        sources: `(batch, other length)`, bool.
        index: `(batch, length)`, int32: the source of each place.
        is_paired: `(batch, length)`, bool: which places have one.
    """
    rank = ops.cumsum(ops.cast(places, "int32"), axis=1) - 1
    number = ops.sum(ops.cast(sources, "int32"), axis=1, keepdims=True)
    is_paired = ops.logical_and(places, ops.less(rank, number))
    rank = ops.maximum(ops.minimum(rank, number - 1), 0)
    order = ops.cast(packed_order(sources), "int32")
    return take_tokens(order, rank), is_paired


def place(tokens, sources, index, is_paired):
    """Put `sources[index]` over the tokens that are paired.

    Shapes:
        tokens: `(batch, length, ...)`.
        sources: `(batch, other length, ...)`.
        index, is_paired: `(batch, length)`.
        result: `(batch, length, ...)`.
    """
    for _ in sources.shape[2:]:
        is_paired = ops.expand_dims(is_paired, -1)
    return ops.where(is_paired, take_tokens(sources, index), tokens)
