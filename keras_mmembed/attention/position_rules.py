"""Published rules of the position ids of a mixed sequence, as data."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

PositionRuleName: TypeAlias = Literal[
    "sequence",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "qwen2_5_omni",
    "seconds",
    "hunyuan_vl",
    "image",
    "clip",
]
POSITION_RULE_NAMES: tuple[PositionRuleName, ...] = get_args(PositionRuleName)

Counting: TypeAlias = Literal["tokens", "items", "none"]
Extent: TypeAlias = Literal["all", "space"]


@dataclass(frozen=True)
class PositionRule:
    """The rules of the position ids of one published model.

    Attributes:
        axes: The axes of a position.
        counting: What positions count: `"tokens"`, every token; `"items"`, tokens of
            text, and an image or a clip by its extent; `"none"`, nothing: tokens of a
            grid keep their coordinates, and others have -1.
        extent: How much an image or a clip takes up: one more than its last frame, row
            or column, whichever is largest (`"all"`), or row or column (`"space"`).
        counts_frames: Whether tokens of a clip have the number of their frame, and not
            0, on the first axis.
        has_rate: Whether frames are multiplied by a rate.
        rounds_down: Whether their product is.
        splits_frames: Whether each frame of a clip is an item of its own.
        shares_clock: Whether audio beside a clip, without text between, is one item
            with it.
        keeps_order: Whether the first axis counts tokens, and the others are column,
            row and number of an image.
    """

    axes: tuple[str, ...] = ("frame", "row", "column")
    counting: Counting = "items"
    extent: Extent = "all"
    counts_frames: bool = True
    has_rate: bool = False
    rounds_down: bool = True
    splits_frames: bool = False
    shares_clock: bool = False
    keeps_order: bool = False


POSITION_RULES: dict[PositionRuleName, PositionRule] = {
    # one axis, for models that turn by the place in the sequence
    "sequence": PositionRule(axes=("position",), counting="tokens"),
    "qwen2_vl": PositionRule(),
    "qwen2_5_vl": PositionRule(has_rate=True),
    # also Qwen3.5 and GLM-4.1V, whose timestamps are text between the frames
    "qwen3_vl": PositionRule(extent="space", counts_frames=False, splits_frames=True),
    "qwen2_5_omni": PositionRule(has_rate=True, shares_clock=True),
    # as Qwen2.5-VL, at the times themselves
    "seconds": PositionRule(has_rate=True, rounds_down=False, shares_clock=True),
    "hunyuan_vl": PositionRule(
        axes=("position", "column", "row", "image"), counting="tokens", keeps_order=True
    ),
    # the coordinates of vision towers
    "image": PositionRule(axes=("row", "column"), counting="none"),
    "clip": PositionRule(counting="none"),
}
