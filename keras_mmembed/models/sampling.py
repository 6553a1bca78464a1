"""Which token comes next: the most likely one, or one drawn at random."""

from typing import Any

from keras import ops

from keras_mmembed.common.types import Tensor


def choose(
    logits: Tensor,
    number: Tensor | None = None,
    temperature: Any = 1.0,
    top_k: int | None = None,
    top_p: Any = None,
) -> Tensor:
    """Return the id of the next token of each sample, int32.

    Args:
        logits: `(batch, vocabulary_size)`, float32.
        number: Random numbers in `[0, 1)`, `(batch,)`, or `None` for the most likely
            token.
        temperature: What logits are divided by.
        top_k: How many of the most likely tokens can be drawn, `None` for all.
        top_p: The least probability that those which can be drawn have together, from
            the most likely one on; `None` for all.
    """
    if number is None:
        return ops.cast(ops.argmax(logits, axis=-1), "int32")
    logits, ids = logits / temperature, None
    if top_k is not None or top_p is not None:
        size = logits.shape[-1]
        logits, ids = ops.top_k(logits, min(top_k or size, size))
    shares = ops.exp(logits - ops.logsumexp(logits, axis=-1, keepdims=True))
    if top_p is not None:
        before = ops.cumsum(shares, axis=-1) - shares
        shares = ops.where(before < top_p, shares, 0.0)
    total = ops.cumsum(shares, axis=-1)
    bound = total[:, -1:] * ops.expand_dims(number, 1)
    # the first one behind it: none of probability 0
    place = ops.argmax(ops.cast(total > bound, "int32"), axis=-1)
    if ids is None:
        return ops.cast(place, "int32")
    chosen = ops.take_along_axis(ids, ops.expand_dims(place, 1), axis=1)
    return ops.cast(chosen[:, 0], "int32")
