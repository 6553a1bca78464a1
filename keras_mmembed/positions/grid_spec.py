"""The axes and the rules of a position layer, as one value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.conventions import (
    AxisKind,
    Convention,
    ConventionName,
    Kind,
)
from keras_mmembed.positions.interpolation import Kernel

OutOfRange: TypeAlias = Literal["error", "clip", "zero", "resize", "resize_longer"]
OUT_OF_RANGE: tuple[OutOfRange, ...] = get_args(OutOfRange)

# the `grid` of a call: an integer per axis, or a tensor `(axes,)`, `(batch, axes)` or
# `(batch, items, axes)`
GridSizes: TypeAlias = Sequence[int] | Tensor


@dataclass(frozen=True)
class GridSpec:
    """The arguments of a position layer that its functions share.

    Attributes:
        who: Name of the layer, for error messages.
        size_names: Name of the size of each axis, such as `("height", "width")`.
        sizes: Declared size of each axis, or `None`.
        kinds: `"sinusoidal"` or `"learned"`, for each axis; `None` for no encoding.
        convention: Name of the convention.
        rules: The rules of the convention, with those that options replace.
        scale: For each axis, the factor of its positions.
        kernel: Interpolation of learned tables.
        out_of_range: Treatment of positions outside the declared sizes.
        num_prefix_tokens: Number of tokens in front of the grid.
        block_size: Rows and columns of the blocks that flattened tokens come in.
    """

    who: str
    size_names: tuple[str, ...]
    sizes: tuple[int | None, ...]
    kinds: tuple[AxisKind, ...]
    convention: ConventionName
    rules: Convention
    scale: tuple[float, ...]
    kernel: Kernel
    out_of_range: OutOfRange
    num_prefix_tokens: int
    block_size: int

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.sizes)

    @property
    def has_tables(self) -> bool:
        """Whether any axis has a learned table."""
        return "learned" in self.kinds

    @property
    def main_kind(self) -> Kind:
        """The kind whose default combination the layer has: learned for tables only."""
        return "learned" if set(self.kinds) == {"learned"} else "sinusoidal"

    @property
    def first_row(self) -> int:
        """The row of a table that the first token has, 0 without a table."""
        return int(self.rules.first_index) if self.has_tables else 0

    def limit(self, axis: int) -> int | None:
        """Return the declared size of an axis, in tokens of the scale of the axis."""
        size, scale = self.sizes[axis], self.scale[axis]
        return (
            size if size is None or scale == 1 else int((size - 1) / scale + 1e-6) + 1
        )

    @property
    def resizes(self) -> bool:
        """Whether a table is stretched or squeezed to the extent of the inputs."""
        return self.out_of_range in ("resize", "resize_longer")

    def measures(self, axis: int) -> bool:
        """Whether the encoding depends on the extent of each sample along an axis."""
        declared, rules = self.sizes[axis] is not None, self.rules
        if declared and self.out_of_range != "error":
            return self.resizes or rules.depends_on_size
        return not declared and rules.depends_on_size
