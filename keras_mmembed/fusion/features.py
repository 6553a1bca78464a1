"""Raw inputs and the features that an embedding makes of them: shapes and stand-ins."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.sequences import as_mask
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.fusion.tokens import flatten_tokens
from keras_mmembed.positions.box import BoxEmbedding

WHO = "MultiModalFusion"


def build(embedding: keras.layers.Layer, shape: Shape | None, width: int) -> None:
    """Build an embedding for inputs of a shape, or for boxes of tokens of a width."""
    if isinstance(embedding, BoxEmbedding):
        embedding.build((None, None, width))
        return
    embedding.build(shape)


def modalities_of_tower(embedding: Any) -> tuple[str, ...]:
    """Return the modalities of a `MultiModalTransformer`, none of another layer."""
    # a room above this one has the class
    return getattr(getattr(embedding, "fusion", None), "modalities", ())


def embed(embedding: keras.layers.Layer, x: Tensor, mask: Tensor = None) -> Tensor:
    """Return the features of raw inputs, or of boxes, which a mask of tokens blanks."""
    if not isinstance(embedding, BoxEmbedding):
        return embedding(x)
    if mask is not None and len(x.shape) > 2:
        valid = as_mask(mask, flatten_tokens(x))
        valid = ops.reshape(valid, (*ops.shape(x)[:-1], 1))
        x = ops.where(valid, x, ops.zeros_like(x))
    return embedding.encode(x)


def features_shape(
    embedding: keras.layers.Layer | None,
    shape: Shape,
    width: int | None,
    has_vectors: bool = False,
) -> Shape:
    """Return the shape of the features of inputs, with or without an embedding.

    With `has_vectors`, features `(batch, dim)` are those of one token.
    """
    if isinstance(embedding, BoxEmbedding):
        shape = (*tuple(shape)[:-1], width)
    elif embedding is not None:
        shape = embedding.compute_output_shape(shape)
    shape = checks.known_shape(shape)
    return (shape[0], 1, shape[1]) if has_vectors and len(shape) == 2 else shape


def as_tokens(x: Tensor, has_vectors: bool) -> Tensor:
    """Return features `(batch, dim)` as those of one token, `(batch, 1, dim)`."""
    return ops.expand_dims(x, 1) if has_vectors and len(x.shape) == 2 else x


def features_like(
    embedding: keras.layers.Layer | None,
    x: Tensor,
    name: str,
    width: int | None,
    is_placed: bool,
) -> Tensor:
    """Return a tensor with the axes and the mask of the features of inputs.

    Args:
        embedding: The layer that makes the features, or `None`.
        x: The inputs.
        name: Name of the modality.
        width: The width of the features.
        is_placed: Whether it is placed into another, and so needs its mask.
    """
    if embedding is None:
        return x
    needs_mask = embedding.supports_masking and is_placed
    if isinstance(embedding, keras.layers.Embedding) and not needs_mask:
        return x  # ids have the axes of their tokens
    shape = features_shape(embedding, x.shape, width)
    if not isinstance(x, keras.KerasTensor):
        is_known = None not in shape[:-1] and not needs_mask
        return ops.zeros((*shape[:-1], 1), "int32") if is_known else embed(embedding, x)
    # a functional model would save its embedding twice, and could not load it
    rule = "be features, or give features of a known size that are not placed"
    remedy = "Make the features in front of the fusion, without the embedding in it."
    is_known = None not in shape[1:-1] and not needs_mask
    argument = f"like[{name!r}].shape"
    checks.check(is_known, WHO, argument, rule, tuple(x.shape), remedy)
    first = ops.zeros_like(x[(slice(None), *[slice(0, 1)] * (len(x.shape) - 1))])
    first = ops.reshape(first, (-1,) + (1,) * (len(shape) - 1))
    sizes = [size for size in shape[1:-1] if size is not None]
    return ops.add(ops.cast(first, "int32"), np.zeros((1, *sizes, 1), "int32"))
