"""Published conventions of relative position biases, as data."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

BiasConventionName: TypeAlias = Literal["t5", "layoutlmv3", "swin", "beit", "alibi"]
BIAS_CONVENTION_NAMES: tuple[BiasConventionName, ...] = get_args(BiasConventionName)

BiasKind: TypeAlias = Literal["buckets", "grid", "slopes"]


@dataclass(frozen=True)
class BiasTerm:
    """A learned table over buckets of the offset along one axis.

    Attributes:
        name: The name of the table.
        num_buckets: Number of rows of the table.
        max_distance: The offset from which on all share the last bucket.
    """

    name: str
    num_buckets: int
    max_distance: int


@dataclass(frozen=True)
class BiasConvention:
    """The rules of one published relative position bias.

    Attributes:
        kind: `"buckets"`, the sum of a table per axis over logarithmic buckets of the
            offset; `"grid"`, one table over the offsets of all axes of a grid;
            `"slopes"`, the distance times a constant of each head.
        terms: The tables of buckets, one for each axis of a position.
        special_rows: Whether a table of a grid has three more rows, for the pairs of
            a special token and one of the grid, of the other way round, and of two
            special tokens.
        is_shared: Whether all blocks of the published model share one bias.
    """

    kind: BiasKind
    terms: tuple[BiasTerm, ...] = ()
    special_rows: bool = False
    is_shared: bool = True


BIAS_CONVENTIONS: dict[BiasConventionName, BiasConvention] = {
    # also mT5, UMT5, MPNet and Pix2Struct
    "t5": BiasConvention("buckets", (BiasTerm("embeddings", 32, 128),)),
    # also LayoutLMv2; position, left and lower edge of the box of each token
    "layoutlmv3": BiasConvention(
        "buckets",
        (
            BiasTerm("position_embeddings", 32, 128),
            BiasTerm("x_embeddings", 64, 256),
            BiasTerm("y_embeddings", 64, 256),
        ),
    ),
    "swin": BiasConvention("grid", is_shared=False),
    # also data2vec-vision
    "beit": BiasConvention("grid", special_rows=True, is_shared=False),
    # MPT, BLOOM and Falcon
    "alibi": BiasConvention("slopes"),
}
