"""A public name with right arguments, which the sweep of bad inputs replaces."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Subject:
    """A public name, and right arguments of it.

    Attributes:
        name: The public name, and what sets this subject apart from others of it.
        make: Makes the layer, or calls the function.
        arguments: Arguments of the constructor or function that are replaced.
        call: Arguments of the call that are replaced; the first is the inputs.
        symbolic: Whether it can be called on symbolic tensors.
        calls: Whether arguments of the call are replaced, too.
        accepted: What is said when all arguments are right but one that stays wrong, so
            that nothing is written.
        skipped: Cases that another test runs.
    """

    name: str
    make: object
    arguments: dict = field(default_factory=dict)
    call: dict = field(default_factory=dict)
    symbolic: bool = True
    calls: bool = True
    accepted: str = ""
    skipped: tuple = ()

    @property
    def public(self):
        return self.name.split("-")[0].split(".")[0]


def floats(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def ids(*shape, of=2):
    return np.random.default_rng(1).integers(0, of, size=shape).astype("int32")


def bools(*shape):
    return np.ones(shape, bool)


LAYER = {"name": "layer", "dtype": "float32", "trainable": True}
X = floats(2, 3, 8)
FLAT, GRID = floats(2, 4, 8), floats(2, 2, 2, 8)
