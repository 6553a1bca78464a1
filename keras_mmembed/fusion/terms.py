"""The terms of a modality's sum: what their layers add to each token."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.fusion.config import Gate, Pooling, position_of
from keras_mmembed.fusion.modality import ModalityEmbedding
from keras_mmembed.fusion.segment import SegmentEmbedding
from keras_mmembed.fusion.tokens import known_product

WHO = "MultiModalFusion"
ID_TABLES = (SegmentEmbedding, ModalityEmbedding)


def encode_values(
    layer: Any,
    values: Tensor,
    tokens: Tensor,
    valid: Tensor,
    name: str = "segments",
    pooling: Pooling = None,
) -> Tensor:
    """Return what a layer adds to the tokens, `None` for nothing.

    Ids that are left out are 0; other values that are left out add nothing.

    Shapes:
        values: `(batch, ..., values)` or `(..., values)`, with the axes of the tokens,
            or of size 1 for one value of a sample; with pooling another one after
            these.
        tokens: `(batch, ..., width)`.
        valid: `(batch, length)`, bool, or `None` if all tokens are.
        result: `(batch, length, width)`, `(batch, 1, width)`, `(length, width)` or
            `(width,)`.
    """
    if values is None:
        is_table = isinstance(layer, ID_TABLES) and pooling is None
        return layer.encode(np.zeros((), "int32")) if is_table else None
    values, has_batch = flatten_values(values, tokens)
    if valid is not None and has_batch:
        # what stands in padding, such as -1 or NaN, is no value
        rank = len(values.shape) - 2
        if values.shape[1] == 1:
            valid = ops.any(valid, axis=1, keepdims=True)
        valid = ops.reshape(valid, (*ops.shape(values)[:2], *(1,) * rank))
        values = ops.where(valid, values, ops.zeros_like(values))
    several = pooling is not None
    vectors = mean_of_several(layer, values) if several else layer.encode(values)
    # an axis too few would be pooled away, and one too many be added to others
    rank, expected = len(vectors.shape), 3 if has_batch else 2
    fits = rank == expected if several else rank <= expected
    rule = f"have {'several values' if several else 'one value'} for each token"
    checks.check(fits, WHO, f"terms[{name!r}].shape", rule, tuple(values.shape))
    return vectors


def mean_of_several(layer: Any, values: Tensor) -> Tensor:
    """Return the mean vector of several values, of which negative ones are none.

    Shapes:
        values: `(..., several, values)`.
        result: `(..., width)`, zero where all are none.
    """
    known = values >= 0
    vectors = layer.encode(ops.where(known, values, ops.zeros_like(values)))
    if len(values.shape) == len(vectors.shape):
        known = ops.all(known, axis=-1)
    weights = ops.expand_dims(ops.cast(known, vectors.dtype), -1)
    total = ops.sum(ops.multiply(vectors, weights), axis=-2)
    return ops.divide(total, ops.maximum(ops.sum(weights, axis=-2), 1))


def flatten_values(values: Tensor, tokens: Tensor) -> tuple[Tensor, bool]:
    """Return values with one axis for all tokens, and whether they have a batch."""
    has_batch = leads(values.shape, tokens.shape)
    rank = len(tokens.shape) - 2
    axes = 1 if has_batch else 0
    shape = checks.known_shape(values.shape)
    sizes = shape[axes : axes + rank]
    is_one = has_batch and sizes == (1,) * rank
    is_grid = rank > 1 and (
        is_one or checks.shapes_match(sizes, checks.known_shape(tokens.shape)[1:-1])
    )
    if not is_grid or len(shape) < axes + rank:
        return values, has_batch
    sizes = ops.shape(values)
    length = 1
    for size in sizes[axes : axes + rank]:
        length = length * size
    flat = (*sizes[:axes], length, *sizes[axes + rank :])
    return ops.reshape(values, flat), has_batch


def leads(shape: Any, tokens: Any) -> bool:
    """Whether values of a shape have the batch axis of the tokens."""
    return begins(shape, axes_with_batch(checks.known_shape(tokens)))


def axes_with_batch(tokens: Shape) -> list[Shape]:
    """Return the first axes that values of tokens may have: one for each, or one.

    Shapes:
        tokens: the shape of the features, `(batch, ..., width)`.
    """
    batch, axes = tokens[:1], tokens[1:-1]
    flat = (*batch, known_product(axes))
    return [batch + axes, flat, (*batch, 1), batch + (1,) * len(axes)]


def begins(shape: Any, options: Sequence[Shape]) -> bool:
    """Whether a shape begins with one of several others."""
    shape = checks.known_shape(shape)
    return any(
        len(shape) >= len(option) and checks.shapes_match(shape[: len(option)], option)
        for option in options
    )


def gated(vectors: Tensor, gate: Tensor | None, kind: Gate) -> Tensor:
    """Return vectors times a learned scalar, or times its hyperbolic tangent."""
    if gate is None:
        return vectors
    share = ops.tanh(gate) if kind == "tanh" else ops.convert_to_tensor(gate)
    return ops.multiply(vectors, ops.cast(share, vectors.dtype))


def check_width(name: str, vectors: Tensor, width: int) -> None:
    """Raise for a term that is not of the width of the tokens."""
    rule = f"be a layer of the width unified_dim={width}"
    fits = vectors.shape[-1] == width
    checks.check(fits, WHO, f"terms[{name!r}]", rule, tuple(vectors.shape))


def gates_of(config: Mapping[str, Any]) -> dict[str, Gate]:
    """Return the kind of gate of each term that has one."""
    terms = config.get("terms", {})
    gates = {name: term["gate"] for name, term in terms.items() if "gate" in term}
    gate = position_of(config)[1]
    return gates if gate is None else {**gates, "position": gate}
