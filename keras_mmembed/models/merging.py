"""Neighbours of a grid joined to one token, as vision towers of Qwen do."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.fusion.layer import MultiModalFusion

WHO = "MultiModalTransformer"
# rows and columns of tokens that become one
SIDE = 2


def check_merged(fusion: MultiModalFusion) -> None:
    """Raise unless the tokens of a fusion are one grid, besides special tokens."""
    names = fusion.modalities
    config = fusion.branch(names[0]).config
    rule = "be another than 'merged' for modalities that are not one image"
    fits = len(names) == 1 and config["type"] == "2d" and "row_token" not in config
    checks.check(fits, WHO, "pooling", rule, list(names))
    rule = "be another than 'merged' with a start or an end token"
    fits = not any(fusion.layout.borders[names[0]])
    checks.check(fits, WHO, "pooling", rule, names[0])


def grid_sizes(
    fusion: MultiModalFusion,
    shapes: Mapping[str, Shape | None],
    fused: Mapping[str, Any],
) -> list[Any]:
    """Return the numbers of rows and columns of the tokens of an image.

    Args:
        fusion: A fusion of one image.
        shapes: By name, the shape of the inputs.
        fused: The outputs of the fusion, whose positions tell sizes that shapes do not;
            they may be missing, and unknown sizes are then `None`.
    """
    (name,) = fusion.modalities
    shape = shapes.get(name)
    checks.check(shape, WHO, "inputs", f"have {name!r} to merge", sorted(shapes))
    shape = fusion.branch(name).features_shape(cast(Shape, shape))
    sizes: Sequence[Any] = shape[1:-1] if len(shape) == 4 else (None, None)
    for size in sizes:
        rule = f"have a grid of sizes that {SIDE} divides"
        fits = size is None or size % SIDE == 0
        checks.check(fits, WHO, f"inputs[{name!r}]", rule, sizes)
    if None not in sizes or "positions" not in fused:
        return list(sizes)
    last = ops.max(fused["positions"], axis=(0, 1))
    known = [ops.cast(last[axis], "int32") + 1 for axis in (1, 2)]
    return [
        one if size is None else size for size, one in zip(sizes, known, strict=True)
    ]


def merge(tokens: Tensor, sizes: Sequence[Any]) -> Tensor:
    """Return tokens of which each holds a square of neighbours, row by row.

    Shapes:
        tokens: `(batch, rows * columns, width)`.
        result: `(batch, rows / 2, columns / 2, 4 * width)`.
    """
    width = tokens.shape[-1]
    rows, columns = (size // SIDE for size in sizes)
    batch = ops.shape(tokens)[0]
    x = ops.reshape(tokens, (batch, rows, SIDE, columns, SIDE, width))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (batch, rows, columns, SIDE * SIDE * width))


def merge_mask(mask: Tensor, sizes: Sequence[Any]) -> Tensor:
    """Return which squares have a valid token, `(batch, rows / 2, columns / 2)`."""
    flags = ops.expand_dims(ops.cast(mask, "int32"), -1)
    return ops.max(merge(flags, sizes), axis=-1) > 0
