"""The numbers of a box that are encoded, and how they share the channels."""

from typing import Any, Literal, TypeAlias, get_args

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Config, Shape, Tensor

BoxCombination: TypeAlias = Literal["sum", "concat"]
BOX_COMBINATIONS: tuple[BoxCombination, ...] = get_args(BoxCombination)

BoxNumber: TypeAlias = Literal["x", "y", "height", "width"]
Numbers: TypeAlias = Literal[4, 6, 8]
# the table of each number: of two corners, with height and width, of four corners
BOX_NUMBERS: dict[Numbers, tuple[BoxNumber, ...]] = {
    4: ("x", "y", "x", "y"),
    6: ("x", "y", "x", "y", "height", "width"),
    8: ("x", "y", "x", "y", "x", "y", "x", "y"),
}
# clockwise from the first corner, among x0, y0, x1 and y1
FOUR_CORNERS = (0, 1, 2, 1, 2, 3, 0, 3)


def split_numbers(boxes: Tensor, numbers: Numbers) -> list[Tensor]:
    """Return the numbers of boxes, of which those that boxes lack are derived.

    Shapes:
        boxes: `(..., 4)` or `(..., numbers)`.
        result: `numbers` tensors `(...)`.
    """
    if boxes.shape[-1] == numbers:
        return [boxes[..., i] for i in range(numbers)]
    if numbers == 8:
        return [boxes[..., i] for i in FOUR_CORNERS]
    x0, y0, x1, y1 = (boxes[..., i] for i in range(4))
    return [x0, y0, x1, y1, y1 - y0, x1 - x0]


def boxes_of_cells(height: int, width: int, page_size: int | None) -> np.ndarray:
    """Return the boxes of the cells of a page, row by row.

    Shapes:
        result: `(height * width, 4)`, int32 for a page of so many positions, rounded
            down, or float32 fractions of a page without `page_size`.
    """
    edges = [
        np.arange(size + 1, dtype="float32") / size
        if page_size is None
        else np.arange(size + 1, dtype="int32") * page_size // size
        for size in (height, width)
    ]
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    y, x = edges
    corners = [x[columns], y[rows], x[columns + 1], y[rows + 1]]
    return np.stack(corners, axis=-1).reshape(height * width, 4)


def whole_rows(boxes: Tensor, scale: float) -> Tensor:
    """Return the rows of a table that boxes have: `floor(scale * boxes)`."""
    # narrow integers would overflow in the difference of two corners
    if scale == 1:
        return tensors.widen(boxes)
    return ops.cast(ops.floor(ops.cast(boxes, "float32") * scale), "int32")


def check_box_shape(who: str, shape: Shape, numbers: Numbers, axes: bool) -> None:
    """Raise for boxes without four numbers, or all that are encoded.

    Args:
        who: Name of the layer.
        shape: The shape of the boxes.
        numbers: How many numbers are encoded.
        axes: Whether the boxes are those of a sequence of tokens.
    """
    fits = shape[-1:] in ((4,), (numbers,)) and (not axes or len(shape) in (2, 3))
    rule = "have the shape (batch, length, 4) or (length, 4)"
    if not axes:
        rule = "have a last axis of 4, x0, y0, x1 and y1"
    if numbers != 4:
        rule += f", or {numbers} numbers in the place of 4"
    checks.check(fits, who, "boxes" if axes else "boxes.shape", rule, shape)


def check_tokens(who: str, shape: Shape, inputs: Shape) -> None:
    """Raise unless there is a box for each token."""
    batch, length = inputs[:2]
    rule = f"hold one box for each of the {length} tokens"
    agrees = checks.shapes_match(shape[-2:-1], (length,))
    checks.check(agrees, who, "boxes", rule, shape)
    rule = f"hold boxes for each of the {batch} samples, or the same for all"
    is_one = len(shape) == 2 or shape[0] == 1
    agrees = is_one or checks.shapes_match((batch,), shape[:1])
    checks.check(agrees, who, "boxes", rule, shape)


def check_rows(who: str, boxes: Tensor, num_positions: int, scale: float) -> None:
    """Raise for boxes whose known coordinates have no row in a table."""
    if scale == 1:
        remedy = (
            "For fractions of a page, set `scale` to the last position of the page, "
            "such as 1000."
        )
        tensors.check_kind(who, "boxes", boxes, "integer", remedy)
    remedy = "Raise `num_positions`, or scale the boxes."
    high = num_positions if scale == 1 else num_positions / scale
    corners = boxes[..., :4] if boxes.shape[-1] == 6 else boxes
    tensors.check_range(who, "boxes", corners, 0, high, remedy)


def box_widths(
    who: str,
    width: int,
    combination: BoxCombination,
    numbers: Numbers = 6,
    coordinate_width: int | None = None,
    size_width: int | None = None,
) -> dict[BoxNumber, int]:
    """Return the number of channels of each number of a box.

    Those of a concatenation add up to the width, unless both are set.
    """
    names = BOX_NUMBERS[numbers]
    if combination == "sum":
        return dict.fromkeys(names, width)
    coordinate = coordinate_width or width // numbers
    if numbers != 6:
        rule = f"share the {width} channels among {numbers} numbers"
        fits = coordinate_width is not None or width % numbers == 0
        remedy = "Set `coordinate_width`."
        checks.check(fits, who, "coordinate_width", rule, coordinate_width, remedy)
        return dict.fromkeys(names, coordinate)
    size, rest = size_width, 0
    if size is None:
        size, rest = divmod(width - 4 * coordinate, 2)
    rule = f"leave an even number of the {width} channels for height and width"
    fits = rest == 0 and size > 0
    remedy = "Set `coordinate_width` so that `width - 4 coordinate_width` is even."
    checks.check(fits, who, "coordinate_width", rule, coordinate_width, remedy)
    return {"x": coordinate, "y": coordinate, "height": size, "width": size}


def projection_options(who: str, projection: Any, is_needed: bool) -> Config | None:
    """Return the arguments of the `Dense` layer of a projection, `None` for none."""
    rule = "be True, False or a dict of arguments of keras.layers.Dense"
    if isinstance(projection, bool):
        return {} if projection or is_needed else None
    fits = isinstance(projection, dict)
    checks.check(fits, who, "projection", rule, repr(projection))
    use_bias = projection.get("use_bias", True)
    checks.check_flag(who, "projection['use_bias']", use_bias)
    rule = "have no key 'units', 'name' or 'dtype', which the layer knows"
    for key in ("units", "name", "dtype"):
        checks.check(key not in projection, who, "projection", rule, repr(key))
    try:
        made = keras.layers.Dense(1, **projection).get_config()
    except (TypeError, ValueError) as error:
        rule = "hold arguments of keras.layers.Dense"
        text = checks.error_text(
            who, "projection", rule, projection, f"It says: {error}"
        )
        raise ValueError(text) from None
    return {key: made[key] for key in projection}
