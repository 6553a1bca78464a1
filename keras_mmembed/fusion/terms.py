"""The terms of a modality's sum: what their layers add to each token."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.sequences import product
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.fusion.config import Gate, Pooling, position_of
from keras_mmembed.fusion.modality import ModalityEmbedding
from keras_mmembed.fusion.segment import SegmentEmbedding
from keras_mmembed.fusion.tokens import known_product
from keras_mmembed.positions.box import BoxEmbedding
from keras_mmembed.positions.layers import (
    PositionEmbedding1D,
    PositionEmbedding2D,
    PositionEmbedding3D,
)

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
        values: `(batch, ..., values)`, with the axes of the tokens, or of size 1 for
            one value of a sample; with pooling another one after these. `(1, ...)` are
            those of every sample, and so are `(length, ...)` without pooling if the
            axes of a value are known.
        tokens: `(batch, ..., width)`.
        valid: `(batch, length)`, bool, or `None` if all tokens are.
        result: `(batch, length, width)`, with sizes of 1 as the values, or `(width,)`.
    """
    several = pooling is not None
    if values is None:
        is_table = isinstance(layer, ID_TABLES) and not several
        return layer.encode(np.zeros((), "int32")) if is_table else None
    received = checks.known_shape(values.shape)
    values = flatten_values(values, tokens, value_axes(layer, several))
    if valid is not None:
        # what stands in padding, such as -1 or NaN, is no value
        if values.shape[1] == 1:
            valid = ops.any(valid, axis=1, keepdims=True)
        # not of the shape of the values, whose size of 1 may be unknown
        valid = ops.reshape(valid, (*ops.shape(valid), *(1,) * (len(values.shape) - 2)))
        values = ops.where(valid, values, ops.zeros_like(values))
    vectors = mean_of_several(layer, values) if several else layer.encode(values)
    # an axis too few would be pooled away, and one too many be added to others
    rank = len(vectors.shape)
    fits = rank == 3 if several else rank <= 3
    rule = f"have {'several values' if several else 'one value'} for each token"
    checks.check(fits, WHO, f"terms[{name!r}].shape", rule, received)
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


def value_axes(layer: Any, several: bool) -> list[Shape] | None:
    """Return the axes that a value may have, `None` if only the layer knows them."""
    axes = {
        SegmentEmbedding: [()],
        ModalityEmbedding: [()],
        PositionEmbedding1D: [()],
        PositionEmbedding2D: [(2,)],
        PositionEmbedding3D: [(3,)],
        BoxEmbedding: [(4,), (getattr(layer, "numbers", 4),)],
    }.get(type(layer))
    if axes is None:
        return None
    return [((None, *one) if several else one) for one in dict.fromkeys(axes)]


def flatten_values(values: Tensor, tokens: Tensor, axes: list[Shape] | None) -> Tensor:
    """Return values with an axis for the batch and one for all tokens.

    Args:
        values: The values, with the axes of the tokens or with one for all.
        tokens: The features of the tokens.
        axes: What `value_axes` returns.
    """
    rank, shape = len(tokens.shape) - 2, checks.known_shape(values.shape)
    if axes is not None:
        if len(shape) == 1 + len(axes[0]):
            return ops.expand_dims(values, 0)
        is_grid = len(shape) == 1 + rank + len(axes[0])
    else:
        # a size known of values alone, such as the 4 of a box, is none of the tokens
        sizes, known = shape[1 : 1 + rank], checks.known_shape(tokens.shape)[1:-1]
        pairs = zip(sizes, known, strict=False)
        is_grid = len(sizes) == rank and (
            sizes == (1,) * rank or all(size in (None, other) for size, other in pairs)
        )
    if rank == 1 or not is_grid:
        return values
    sizes = ops.shape(values)
    flat = (sizes[0], product(sizes[1 : 1 + rank]), *sizes[1 + rank :])
    return ops.reshape(values, flat)


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
