"""Published conventions of positional encoding, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["sinusoidal", "learned"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# of one axis beside others: `None` for an axis that is not encoded
AxisKind: TypeAlias = Kind | None
# one kind for all axes, or one for each: in order, or by the name of its size
AxisKinds: TypeAlias = Kind | Sequence[AxisKind] | Mapping[str, AxisKind]

Combination: TypeAlias = Literal["space_time", "concat", "sum", "joint"]

ConventionName: TypeAlias = Literal[
    "transformer",
    "whisper",
    "mae",
    "detr",
    "simple_vit",
    "videomae",
    "scenic",
    "mocov3",
    "kosmos2",
    "perceiver",
    "roberta",
    "florence2",
]

ChannelLayout: TypeAlias = Literal["interleaved", "halves"]
Indexing: TypeAlias = Literal["axes", "flat", "width_outer"]
MaskedPosition: TypeAlias = Literal["count", "before_first", "zero"]


@dataclass(frozen=True)
class Convention:
    """The rules of one published positional encoding.

    Attributes:
        layout: `"interleaved"` puts sine and cosine of a frequency side by side;
            `"halves"` puts all sines before all cosines, within each axis.
        cosine_first: Whether the cosine of a frequency comes before its sine.
        endpoint: Whether the lowest frequency has exactly the longest wavelength: the
            exponent of pair `i` of `h` is `i / (h - 1)` instead of `i / h`.
        axis_order: For a number of axes, their order on the channels, where it is
            not (frames, height, width).
        combination: For a number of axes, how they share the channels, where it is
            not the default of the layer.
        indexing: `"axes"` encodes the coordinates of a token; `"flat"` its index in
            row-major order; `"width_outer"` the coordinates that this index has in
            column-major order.
        first_index: Position of the first token.
        skips_masked: Whether only valid tokens are counted.
        masked: Position of a masked token, where only valid tokens are counted: the
            count so far (`"count"`), the position before the first
            (`"before_first"`), or no encoding (`"zero"`).
        normalize: Whether positions are divided by the size of their axis and
            multiplied by `turn`.
        turn: Radians of a whole axis, where positions are normalized.
        linear_frequencies: Whether frequencies are spaced evenly from 1 to half the
            size of the axis, for coordinates from -1 to 1 that are kept as channels.
        kinds: The kinds of encoding that the convention is defined for.
        ranks: The numbers of axes that the convention is defined for.
    """

    layout: ChannelLayout = "interleaved"
    cosine_first: bool = False
    endpoint: bool = False
    axis_order: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    combination: Mapping[int, Combination] = field(default_factory=dict)
    indexing: Indexing = "axes"
    first_index: float = 0
    skips_masked: bool = False
    masked: MaskedPosition = "count"
    normalize: bool = False
    turn: float = 6.283185307179586
    linear_frequencies: bool = False
    kinds: tuple[Kind, ...] = ("sinusoidal",)
    ranks: tuple[int, ...] = (1, 2, 3)

    @property
    def depends_on_size(self) -> bool:
        """Whether the encoding of a token depends on the size of its grid."""
        return self.normalize or self.linear_frequencies or self.indexing != "axes"

    @property
    def encodes_axes_alone(self) -> bool:
        """Whether the encoding along one axis depends on that coordinate alone."""
        return not (self.depends_on_size or self.skips_masked)


CONVENTIONS: dict[ConventionName, Convention] = {
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
    "perceiver": Convention(linear_frequencies=True, combination={3: "concat"}),
    "roberta": Convention(
        first_index=2,
        skips_masked=True,
        masked="before_first",
        kinds=("learned",),
        ranks=(1,),
    ),
    # also the learned tables of DETR
    "florence2": Convention(
        axis_order={2: (1, 0), 3: (0, 2, 1)},
        combination={2: "concat"},
        kinds=("learned",),
        ranks=(2, 3),
    ),
}
