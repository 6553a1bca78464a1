"""Which tokens a fused sequence is made of, and in which order."""

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Layout:
    """The order of the tokens in a fused sequence.

    Attributes:
        modalities: The names, in the order of the configuration.
        num_special: How many class and register tokens come first.
        stands_in: Whether a modality that is absent leaves one token.
        hosts: By name of a modality that is placed into another, the other.
        borders: By name, whether a start and an end token surround the modality.
    """

    modalities: tuple
    num_special: int = 0
    stands_in: bool = False
    hosts: dict = field(default_factory=dict)
    borders: dict = field(default_factory=dict)

    def sizes(self, lengths):
        """Return the names in the sequence, and how many tokens each has there.

        Args:
            lengths: The length of each modality that is given, `None` if unknown.
        """
        sizes = {}
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

    def total(self, lengths):
        """Return the fused length, `None` if it is unknown."""
        sizes = list(self.sizes(lengths).values())
        return None if None in sizes else self.num_special + sum(sizes)

    def starts(self, lengths):
        """Return by name where the tokens of each modality start."""
        starts, start = {}, self.num_special
        for name, size in self.sizes(lengths).items():
            if name in lengths:
                starts[name] = start + self.borders.get(name, (0, 0))[0]
            start = start + size
        return starts

    def get_config(self):
        """Return the attributes as plain data."""
        return {
            **asdict(self),
            "modalities": list(self.modalities),
            "borders": {name: list(pair) for name, pair in self.borders.items()},
        }

    @classmethod
    def from_config(cls, config):
        """Make a layout of what `get_config` returns."""
        borders = {name: tuple(pair) for name, pair in config["borders"].items()}
        modalities = tuple(config["modalities"])
        return cls(**{**config, "modalities": modalities, "borders": borders})
