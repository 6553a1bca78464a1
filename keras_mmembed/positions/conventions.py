"""The published ways to turn positions into sines and cosines, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Convention:
    """What sets one published sinusoid apart from another.

    Attributes:
        layout: `"interleaved"` puts sine and cosine of a frequency side by side;
            `"halves"` puts all sines before all cosines, within each axis.
        endpoint: Whether the slowest wave has exactly the longest wavelength: the
            exponent of pair `i` of `h` is `i / (h - 1)` in place of `i / h`.
        axis_order: For a number of axes, their order on the channels, where it is
            not (frames, height, width).
        combination: For a number of axes, how they share the channels, where it is
            not the default of the layer.
        indexing: `"axes"` gives each axis its own waves; `"flat"` counts all
            tokens in one row; `"width_outer"` counts a grid column by column
            although the tokens come row by row.
        first_index: Position of the first token.
        skips_masked: Whether masked tokens are left out of the count.
        masked: What a masked token gets, where they are left out of the count: the
            count so far (`"count"`), the position before the first
            (`"before_first"`), or no encoding (`"zero"`).
        normalize: Whether positions are divided by the last one, and multiplied by
            `scale`.
        scale: Radians of the last position, where positions are normalised.
        linear_bands: Whether frequencies are spaced evenly from 1 to half the size
            of the axis, on coordinates from -1 to 1 that are kept as channels.
        kinds: The kinds of table that the convention is defined for.
    """

    layout: str = "interleaved"
    endpoint: bool = False
    axis_order: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    combination: Mapping[int, str] = field(default_factory=dict)
    indexing: str = "axes"
    first_index: int = 0
    skips_masked: bool = False
    masked: str = "count"
    normalize: bool = False
    scale: float = 6.283185307179586
    linear_bands: bool = False
    kinds: tuple[str, ...] = ("sinusoidal",)


CONVENTIONS = {
    # Vaswani et al. 2017; for grids the halves [PE_height, PE_width]
    "transformer": Convention(kinds=("sinusoidal", "learned")),
    "whisper": Convention(layout="halves", endpoint=True),
    "mae": Convention(layout="halves", axis_order={2: (1, 0)}),
    "detr": Convention(
        first_index=1, skips_masked=True, normalize=True, combination={3: "concat"}
    ),
    "simple_vit": Convention(
        layout="halves",
        endpoint=True,
        axis_order={2: (1, 0), 3: (2, 1, 0)},
        combination={3: "concat"},
    ),
    "videomae": Convention(indexing="flat"),
    "scenic": Convention(
        layout="halves",
        axis_order={2: (1, 0), 3: (0, 2, 1)},
        combination={3: "concat"},
    ),
    "mocov3": Convention(
        layout="halves", axis_order={2: (1, 0)}, indexing="width_outer"
    ),
    "kosmos2": Convention(
        layout="halves",
        endpoint=True,
        first_index=2,
        skips_masked=True,
        masked="zero",
    ),
    "perceiver": Convention(linear_bands=True, combination={3: "concat"}),
    "roberta": Convention(
        first_index=2, skips_masked=True, masked="before_first", kinds=("learned",)
    ),
    # also the learned tables of DETR
    "florence2": Convention(
        axis_order={2: (1, 0)}, combination={2: "concat"}, kinds=("learned",)
    ),
}
