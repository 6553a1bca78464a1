"""The sizes that are measured, and what is fed at each of them."""

import math
from dataclasses import dataclass

import numpy as np

AUDIO_DIM = 128


@dataclass(frozen=True)
class Size:
    """Three modalities, of which the audio is projected.

    Attributes:
        grid: Rows and columns of the image.
    """

    name: str
    batch: int
    width: int
    text: int
    grid: tuple
    audio: int

    @property
    def lengths(self):
        return {"text": self.text, "image": math.prod(self.grid), "audio": self.audio}

    @property
    def tokens(self):
        return sum(self.lengths.values())

    @property
    def shapes(self):
        """Return the shape of each input, by name."""
        dims = {**dict.fromkeys(self.lengths, self.width), "audio": AUDIO_DIM}
        return {
            name: (self.batch, length, dims[name])
            for name, length in self.lengths.items()
        }

    @property
    def fused_shape(self):
        return (self.batch, self.tokens, self.width)

    @property
    def description(self):
        return f"{self.batch} x {self.tokens} tokens of width {self.width}"


SIZES = {
    size.name: size
    for size in (
        Size("nearly empty", 1, 8, text=1, grid=(1, 1), audio=1),
        Size("one sample", 1, 768, text=24, grid=(4, 6), audio=16),
        Size("reference", 16, 768, text=64, grid=(14, 14), audio=128),
        Size("large", 8, 1024, text=1024, grid=(32, 64), audio=1024),
    )
}


def scaled(factor, batch=4, width=512):
    """Return a size whose number of tokens is `factor` times 128."""
    grid = (8 * factor, 8)
    return Size(f"x{factor}", batch, width, 32 * factor, grid, 32 * factor)


def modality_configs(size):
    """Return the configuration of the fusion at a size."""
    height, width = size.grid
    return {
        "text": {"type": "1d", "max_len": max(512, size.text), "dim": size.width},
        "image": {"type": "2d", "height": height, "width": width, "dim": size.width},
        "audio": {"type": "1d", "max_len": max(512, size.audio), "dim": AUDIO_DIM},
    }


def inputs(size, seed=0):
    """Return float32 features by name."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(shape, dtype="float32")
        for name, shape in size.shapes.items()
    }


def shared_weights(size, seed=2):
    """Return the weights that all competitors get, by what they are."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return 0.05 * rng.standard_normal(shape, dtype="float32")

    return {
        "kernel": normal(AUDIO_DIM, size.width),
        "bias": normal(size.width),
        "modality": normal(3, size.width),
        "gamma": 1 + normal(size.width),
        "beta": normal(size.width),
    }


def position_tables(size):
    """Return sines and cosines for each modality as `(length, width)`, in float32."""
    rows, columns = size.grid
    half = size.width // 2
    image = np.concatenate(
        [
            np.repeat(_sinusoid(rows, half), columns, axis=0),
            np.tile(_sinusoid(columns, half), (rows, 1)),
        ],
        axis=-1,
    )
    return {
        "text": _sinusoid(size.text, size.width),
        "image": image,
        "audio": _sinusoid(size.audio, size.width),
    }


def _sinusoid(length, width):
    pair = np.arange(width) // 2
    angles = np.arange(length)[:, None] / 10000 ** (2 * pair / width)
    table = np.where(np.arange(width) % 2, np.cos(angles), np.sin(angles))
    return table.astype("float32")
