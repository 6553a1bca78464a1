"""Position ids of mixed sequences, for rotary embeddings and relative biases."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from keras import ops

from keras_mmembed.attention.position_checks import (
    check_rotary_call,
    standardize_first,
    standardize_fused,
    standardize_rates,
)
from keras_mmembed.attention.position_rules import (
    POSITION_RULES,
    PositionRule,
    PositionRuleName,
)
from keras_mmembed.common.sequences import packed_order, take_tokens
from keras_mmembed.common.types import Tensor

# a number for all samples, `(batch,)` or `(batch, length)`; or one by modality
Rate: TypeAlias = float | Tensor | Mapping[str, float | Tensor]


class MixedTokens(NamedTuple):
    """The valid tokens of each sample, in order, then the others; `(batch, length)`.

    Attributes:
        valid: Whether a token is valid.
        grid: Whether it is one of an image or a clip.
        clocked: Whether it belongs to an item with a time: a grid, or audio beside it.
        modality: The id of its modality.
        coordinates: `(batch, length, 3)`: frame, row and column, the frame with its
            rate.
        item: The number of its item in its modality, or `None` where that is unknown.
        example: The example that it belongs to, or `None` where all are one.
        repeats: Whether it stands where the token before does, or `None`.
    """

    valid: Tensor
    grid: Tensor
    clocked: Tensor
    modality: Tensor
    coordinates: Tensor
    item: Tensor | None
    example: Tensor | None
    repeats: Tensor | None


def rotary_positions(
    fused: Mapping[str, Tensor],
    rule: PositionRuleName = "sequence",
    *,
    modalities: Sequence[str] = (),
    grids: Sequence[str] | None = None,
    audio: Sequence[str] = (),
    rate: Rate | None = None,
    example_ids: Tensor | None = None,
    repeats: Tensor | None = None,
    start_index: int | Tensor = 0,
    return_next: bool = False,
) -> Any:
    """Return the running position ids of a mixed sequence (M-RoPE and its kin).

    A token of text takes up one position, on all axes. An image or a clip is one item
    of some extent; its tokens stand at their frame, row and column from where it
    starts, and the next token behind all of them:

        positions[t] = sum of the extents of the items before t + coordinates[t]

    Shapes:
        fused: the dict that `MultiModalFusion` returns with `return_dict=True`;
            `mask`, `modality_ids`, `positions` and, if there, `item_ids` are used;
            without these, an image or a clip begins at frame, row and column 0.
        example_ids, repeats: `(batch, length)`.
        start_index: an integer or `(batch,)`.
        result: `(batch, length)` with `"sequence"`, else `(batch, length, axes)`;
            int32, or float32 with `"seconds"`. With `return_next` a pair of it and
            `(batch,)`.

    Args:
        fused: The outputs of the fusion.
        rule: Whose rule. `"sequence"` (default): every valid token counts.
            `"qwen2_vl"`: an image or a clip takes up its largest extent.
            `"qwen2_5_vl"`: so too, with frames at their times, rounded down.
            `"qwen3_vl"`, also Qwen3.5 and GLM-4.1V: each frame is an image.
            `"qwen2_5_omni"`: audio beside a clip shares its start and its clock.
            `"seconds"`: so too, at times that are not rounded. `"hunyuan_vl"`:
            sequence, column, row and number of the image. `"image"` and `"clip"`: the
            coordinates of each token of a grid, and -1 for others, for vision towers.
        modalities: Names of the modalities, in the order of their ids, such as
            `fusion.modalities`; needed with `grids` or `audio`.
        grids: Names of the modalities that are images or clips. Defaults to `None`:
            all of them for `"image"` and `"clip"`; other rules need it, or do not use
            it.
        audio: Names of the modalities that share a clock with clips, for
            `"qwen2_5_omni"` and `"seconds"`; elsewhere audio counts as text.
        rate: Positions per unit of time, where the rule uses time: the tokens per
            second if the fusion got the times of frames in seconds, or their product
            with the seconds per frame if it counted frames; a number, one per sample
            or token, or a dict of these by modality. Defaults to `None`, 1.
        example_ids: The example that each token belongs to, where several are packed
            in a row; positions restart with each. Defaults to `None`, one example.
        repeats: Tokens that stand at the position of the token before them, such as
            the second of two start tokens in Qwen2.5-Omni. Defaults to `None`, none.
        start_index: The first position; in cached decoding, the next one of the call
            before. Defaults to 0.
        return_next: Whether to return the next position too. Defaults to `False`.

    Masking: masked tokens take up nothing, wherever they are, and have position 0
    (with `"image"` and `"clip"` -1).

    Precision: positions are exact below 2 ** 24.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if the rule or a name is unknown, if the rule does not use an
            argument, or if shapes do not fit.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import MultiModalFusion, rotary_positions
    >>> fusion = MultiModalFusion({
    ...     "image": {"type": "2d", "dim": 8},
    ...     "text": {"type": "1d", "dim": 8},
    ... }, unified_dim=8, return_dict=True)
    >>> fused = fusion({"image": np.ones((1, 2, 2, 8)), "text": np.ones((1, 2, 8))})
    >>> positions = rotary_positions(
    ...     fused, "qwen2_vl", modalities=fusion.modalities, grids=["image"])
    >>> np.array(positions)[0].tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [2, 2, 2], [3, 3, 3]]

    References:
        P. Wang et al., "Qwen2-VL", 2024, section 2.1, https://arxiv.org/abs/2409.12191.
        J. Xu et al., "Qwen2.5-Omni", 2025, section 2.2,
        https://arxiv.org/abs/2503.20215.
    """
    fused = standardize_fused(fused, modalities)
    grid_ids, audio_ids = check_rotary_call(
        fused, rule, modalities, grids, audio, example_ids, repeats, return_next
    )
    rules = POSITION_RULES[rule]
    rates = standardize_rates(rules, rate, tuple(modalities), fused)
    start = standardize_first(fused, start_index)
    valid = ops.cast(fused["mask"], "bool")
    modality = ops.cast(fused["modality_ids"], "int32")
    coordinates = ops.cast(fused["positions"], "float32")
    grid = ops.greater_equal(modality, 0)
    if grid_ids is not None:
        grid = _is_any(modality, grid_ids)
    if rules.counting == "none":
        return own_coordinates(rules, ops.logical_and(valid, grid), coordinates)
    clocked = grid
    if rules.shares_clock and audio_ids:
        clocked = ops.logical_or(grid, _is_any(modality, audio_ids))
    if rules.has_rate:
        coordinates = scale_times(coordinates, modality, rates)
    order = packed_order(valid)
    item = fused.get("item_ids")
    tokens = MixedTokens(
        *(
            None if x is None else take_tokens(ops.convert_to_tensor(x), order)
            for x in (
                valid,
                grid,
                clocked,
                modality,
                coordinates,
                item,
                example_ids,
                repeats,
            )
        )
    )
    positions, behind = count_positions(rules, tokens)
    positions = take_tokens(positions, ops.argsort(order, axis=1))
    positions = _shift(positions, valid, start)
    if return_next:
        return positions, behind + ops.reshape(ops.cast(start, behind.dtype), (-1,))
    return positions


def own_coordinates(rules: PositionRule, grid: Tensor, coordinates: Tensor) -> Tensor:
    """Return the coordinates of tokens of a grid, and -1 for others, in int32."""
    own = ops.cast(coordinates[..., 3 - len(rules.axes) :], "int32")
    return ops.where(ops.expand_dims(grid, -1), own, -ops.ones_like(own))


def scale_times(
    coordinates: Tensor, modality: Tensor, rates: Mapping[int | None, Tensor]
) -> Tensor:
    """Return coordinates whose first axis is multiplied by the rate of its modality.

    Args:
        coordinates: `(batch, length, 3)`, float32.
        modality: `(batch, length)`, the id of the modality of each token.
        rates: By id, what broadcasts to `(batch, length)`; by `None`, the rate of all.
    """
    times = coordinates[..., 0]
    scaled = times
    for index, rate in rates.items():
        if index is None:
            scaled = times * rate
        else:
            scaled = ops.where(ops.equal(modality, index), times * rate, scaled)
    return ops.concatenate([ops.expand_dims(scaled, -1), coordinates[..., 1:]], -1)


def count_positions(rules: PositionRule, tokens: MixedTokens) -> tuple[Tensor, Tensor]:
    """Return positions, and the next one of each sample, of tokens without gaps."""
    local = local_coordinates(rules, tokens)
    valid = ops.cast(tokens.valid, local.dtype)
    first = first_of_item(rules, tokens)
    if rules.counting == "tokens":
        step = valid
    else:
        last = ops.cast(_next(first, 1), local.dtype)
        step = last * extents(rules, local) * valid
    if tokens.repeats is not None:
        repeated = ops.cast(_next(ops.cast(tokens.repeats, "int32"), 0), step.dtype)
        step = step * (1 - repeated)
    begin = ops.cumsum(step, axis=1) - step
    if tokens.example is not None:
        begin = begin - take_tokens(begin, _first_of_example(tokens.example))
    # the last valid token is followed by a masked one, or by none
    behind = ops.sum((begin + step) * (valid - valid * _next(valid, 0)), axis=1)
    if rules.keeps_order:
        return order_and_image(tokens, first, begin, local), behind
    if len(rules.axes) == 1:
        return begin, behind
    return ops.expand_dims(begin, -1) + local, behind


def local_coordinates(rules: PositionRule, tokens: MixedTokens) -> Tensor:
    """Return the place of each token in its item, `(batch, length, 3)`; 0 for text."""
    frame = tokens.coordinates[..., :1]
    if rules.rounds_down:
        frame = ops.floor(frame)
    grid = ops.expand_dims(tokens.grid, -1)
    space = tokens.coordinates[..., 1:]
    if not rules.counts_frames:
        inside = ops.concatenate([ops.zeros_like(frame), space], axis=-1)
    else:
        inside = ops.concatenate([frame, space], axis=-1)
    local = ops.where(grid, inside, ops.zeros_like(inside))
    if rules.shares_clock:
        # audio stands at its time on all axes
        clocked = ops.expand_dims(tokens.clocked, -1)
        sound = ops.logical_and(clocked, ops.logical_not(grid))
        local = ops.where(sound, frame + ops.zeros_like(inside), local)
    return ops.cast(local, "int32") if rules.rounds_down else local


def extents(rules: PositionRule, local: Tensor) -> Tensor:
    """Return how much an item takes up of which a token is the last."""
    # not ops.max, which refuses no tokens at all
    largest = ops.maximum(local[..., 1], local[..., 2])
    if rules.extent == "all":
        largest = ops.maximum(local[..., 0], largest)
    return largest + 1


def first_of_item(rules: PositionRule, tokens: MixedTokens) -> Tensor:
    """Return int32 1 for the first token of each item, and 0 for the others.

    A token of text is an item, whatever its number. One of a grid starts another where
    its modality or the number of its item changes, or, where numbers are unknown, at
    frame, row and column 0. Audio goes on with the clip beside it, because numbers are
    those within a modality.
    """
    same = ops.logical_and(tokens.clocked, _previous_is_equal(tokens.clocked))
    same = ops.logical_and(same, _previous_is_equal(tokens.valid))
    if tokens.example is not None:
        same = ops.logical_and(same, _previous_is_equal(tokens.example))
    if rules.splits_frames:
        frame = tokens.coordinates[..., 0]
        same = ops.logical_and(same, _previous_is_equal(frame))
    alike = _previous_is_equal(tokens.modality)
    if tokens.item is not None:
        begins = ops.logical_not(_previous_is_equal(tokens.item))
    else:
        begins = _is_origin(tokens)
    if rules.shares_clock:
        begins = ops.logical_and(begins, alike)
        begins = ops.logical_or(begins, other_grid(tokens, same))
    else:
        begins = ops.logical_or(begins, ops.logical_not(alike))
    return 1 - ops.cast(ops.logical_and(same, ops.logical_not(begins)), "int32")


def other_grid(tokens: MixedTokens, same: Tensor) -> Tensor:
    """Return which tokens are of another grid than the last one before in their run.

    Audio may stand between the two, on the clock of the first.

    Args:
        tokens: The tokens.
        same: `(batch, length)`, whether a token goes on with the run of the one before.
    """
    grid = ops.cast(tokens.grid, "int32")
    before = ops.cumsum(grid, axis=1) - grid
    index = take_tokens(packed_order(tokens.grid), ops.maximum(before - 1, 0))
    run = ops.cumsum(1 - ops.cast(same, "int32"), axis=1)
    follows = ops.logical_and(before > 0, ops.equal(run, take_tokens(run, index)))
    alike = ops.equal(tokens.modality, take_tokens(tokens.modality, index))
    if tokens.item is not None:
        begins = ops.not_equal(tokens.item, take_tokens(tokens.item, index))
    else:
        begins = _is_origin(tokens)
    other = ops.logical_or(begins, ops.logical_not(alike))
    return ops.logical_and(ops.logical_and(tokens.grid, follows), other)


def order_and_image(
    tokens: MixedTokens, first: Tensor, begin: Tensor, local: Tensor
) -> Tensor:
    """Return sequence, column, row and number of the image; the first for text."""
    number = ops.cumsum(first * ops.cast(tokens.grid, "int32"), axis=1)
    if tokens.example is not None:
        # the image of the first token itself does not count
        starts = first * ops.cast(tokens.grid, "int32")
        before = take_tokens(number - starts, _first_of_example(tokens.example))
        number = number - before
    inside = (begin, local[..., 2], local[..., 1], number - 1)
    grid = ops.expand_dims(tokens.grid, -1)
    alone = ops.expand_dims(begin, -1)
    return ops.where(grid, ops.stack(inside, axis=-1), alone)


def _first_of_example(example: Tensor) -> Tensor:
    """Return the index of the first token of the example of each token."""
    starts = ops.logical_not(_previous_is_equal(example))
    # the indices of all first tokens, in front
    first = packed_order(starts)
    return take_tokens(first, ops.cumsum(ops.cast(starts, "int32"), axis=1) - 1)


def _next(values: Tensor, last: int) -> Tensor:
    """Return the value of the next token, and `last` for the last token."""
    end = ops.zeros_like(values[:, :1]) + last
    return ops.concatenate([values[:, 1:], end], axis=1)


def _previous_is_equal(x: Tensor) -> Tensor:
    """Return whether a token has the value of the token before; `False` at first."""
    equal = ops.equal(x[:, 1:], x[:, :-1])
    first = ops.zeros_like(x[:, :1], dtype="bool")
    return ops.concatenate([first, equal], axis=1)


def _is_origin(tokens: MixedTokens) -> Tensor:
    """Return whether a token stands at frame, row and column 0."""
    return ops.logical_not(ops.any(tokens.coordinates > 0, axis=-1))


def _is_any(ids: Tensor, values: Sequence[int]) -> Tensor:
    found = ops.zeros_like(ids, dtype="bool")
    for value in values:
        found = ops.logical_or(found, ops.equal(ids, value))
    return found


def _shift(positions: Tensor, valid: Tensor, start: Tensor) -> Tensor:
    """Return positions that begin at `start`, and 0 for masked tokens."""
    start = ops.reshape(ops.cast(start, positions.dtype), (-1, 1))
    if len(positions.shape) == 3:
        start, valid = ops.expand_dims(start, -1), ops.expand_dims(valid, -1)
    shifted = positions + start
    return ops.where(valid, shifted, ops.zeros_like(shifted))
