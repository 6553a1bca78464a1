"""Which tokens a fused sequence is made of, and in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from keras_mmembed.common.sequences import product
from keras_mmembed.common.types import Config

Value = TypeVar("Value")


@dataclass(frozen=True)
class Layout:
    """The order of the tokens in a fused sequence.

    Attributes:
        modalities: The names, in the order of the configuration.
        num_special: How many class and register tokens come first.
        stands_in: Whether a stand-in token takes the place of an absent modality.
        hosts: By name of a modality that is placed into another, the other.
        borders: By name, whether a start and an end token surround the modality.
        rows: Names of modalities with a row token behind each row of their grid.
    """

    modalities: tuple[str, ...]
    num_special: int = 0
    stands_in: bool = False
    hosts: dict[str, str] = field(default_factory=dict)
    borders: dict[str, tuple[int, int]] = field(default_factory=dict)
    rows: tuple[str, ...] = ()

    def in_order(self, values: Mapping[str, Value | None]) -> dict[str, Value]:
        """Return values by modality in the order of the layout, without `None`."""
        ordered = {name: values.get(name) for name in self.modalities}
        return {name: value for name, value in ordered.items() if value is not None}

    def length(self, name: str, axes: Sequence[Any]) -> Any:
        """Return how many tokens a grid has, row tokens included; `None` if unknown."""
        if None in axes:
            return None
        if name not in self.rows:
            return product(axes)
        return product(axes[:-1]) * (axes[-1] + 1)

    def sizes(self, lengths: Mapping[str, Any]) -> dict[str, Any]:
        """Return the names in the sequence, and how many tokens each has there.

        Args:
            lengths: The length of each modality of the inputs: an integer, a tensor,
                or `None` if unknown.
        """
        sizes: dict[str, Any] = {}
        for name in self.modalities:
            if name in self.hosts:
                continue
            if name in lengths:
                length = lengths[name]
                extra = sum(self.borders.get(name, (0, 0)))
                sizes[name] = None if length is None else length + extra
            elif self.stands_in:
                sizes[name] = 1
        return sizes

    def total(self, lengths: Mapping[str, int | None]) -> int | None:
        """Return the fused length, `None` if it is unknown."""
        sizes = list(self.sizes(lengths).values())
        return None if None in sizes else self.num_special + sum(sizes)

    def starts(self, lengths: Mapping[str, Any]) -> dict[str, Any]:
        """Return by name the index of the first token of each modality."""
        starts, start = {}, self.num_special
        for name, size in self.sizes(lengths).items():
            if name in lengths:
                starts[name] = start + self.borders.get(name, (0, 0))[0]
            start = start + size
        return starts

    def get_config(self) -> Config:
        """Return the attributes as plain data."""
        return {
            **asdict(self),
            "modalities": list(self.modalities),
            "borders": {name: list(pair) for name, pair in self.borders.items()},
            "rows": list(self.rows),
        }

    @classmethod
    def from_config(cls, config: Config) -> "Layout":
        """Make a layout of what `get_config` returns."""
        borders = {name: tuple(pair) for name, pair in config["borders"].items()}
        modalities = tuple(config["modalities"])
        rows = tuple(config.get("rows", ()))
        changed = {"modalities": modalities, "borders": borders, "rows": rows}
        return cls(**{**config, **changed})
