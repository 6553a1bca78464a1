"""Random mixed sequences of text, images, clips and audio, as a fusion returns them."""

import numpy as np

NAMES = ("text", "image", "video", "audio")
TEXT, IMAGE, VIDEO, AUDIO = range(4)
MODALITIES = {"modalities": NAMES, "grids": ["image", "video"]}


class Sample:
    """The tokens of one sample, item by item; text of one token before each item."""

    def __init__(self):
        self.modality, self.coordinates, self.item, self.rate = [], [], [], []
        self.repeats = []
        self.grids = []  # (modality, frames, height, width) of each item
        self.seconds = []  # seconds per frame of each clip

    def __len__(self):
        return len(self.modality)

    def add(self, modality, coordinates, rate=1.0, repeats=False):
        self.modality += [modality] * len(coordinates)
        self.coordinates += [tuple(map(float, one)) for one in coordinates]
        self.item += [len(self.grids)] * len(coordinates)
        self.rate += [rate] * len(coordinates)
        self.repeats += [repeats] * len(coordinates)

    def text(self, length, repeats=False):
        start = sum(one == TEXT for one in self.modality)
        self.add(TEXT, [(start + i, 0, 0) for i in range(length)], repeats=repeats)

    def grid(self, modality, frames, height, width, rate=1.0):
        sizes = (frames, height, width)
        self.grids.append((modality, *sizes))
        self.add(modality, list(np.ndindex(*sizes)), rate)

    def audio(self, length):
        self.grids.append((AUDIO, length, 1, 1))
        self.add(AUDIO, [(i, 0, 0) for i in range(length)])


def random_sample(
    rng, kinds=(IMAGE, VIDEO), seconds=(1.0,), longest=4, split=False, least=1
):
    """Return text, then up to three items with text between.

    Args:
        rng: The generator.
        kinds: The modalities of items.
        seconds: What the seconds per frame of a clip are drawn from.
        longest: The largest size of an axis.
        split: Whether text stands between the frames of a clip.
        least: The least number of tokens of text before an item.
    """
    sample = Sample()
    for _ in range(rng.integers(1, 4)):
        sample.text(int(rng.integers(least, 4)))
        kind = int(rng.choice(kinds))
        height, width = map(int, rng.integers(1, longest + 1, 2))
        frames = int(rng.integers(1, longest + 1)) if kind == VIDEO else 1
        if kind == AUDIO:
            sample.audio(int(rng.integers(1, 9)))
        elif split and kind == VIDEO:
            for frame in range(frames):
                sample.text(int(rng.integers(1, 3)) * (frame > 0))
                sample.grid(VIDEO, 1, height, width)
                if frame:
                    sample.grids.pop()
            sample.grids[-1] = (VIDEO, frames, height, width)
        else:
            second = float(rng.choice(seconds))
            sample.grid(kind, frames, height, width, second)
            sample.seconds += [second] * (kind == VIDEO)
    sample.text(int(rng.integers(0, 4)))
    return sample


def padded(samples, sides=("right",), item_ids=False, batch=10, length=160):
    """Return what a fusion returns of samples, and the rates and repeats of all tokens.

    The shapes are always the same, with samples of no tokens behind: each shape would
    be compiled anew.
    """
    assert len(samples) <= batch
    assert max(map(len, samples)) <= length
    mask = np.zeros((batch, length), bool)
    fused = {
        "mask": mask,
        "modality_ids": np.zeros((batch, length), "int32"),
        "positions": np.zeros((batch, length, 3), "float32"),
    }
    if item_ids:
        fused["item_ids"] = np.zeros((batch, length), "int32")
    rates, repeats = np.ones((batch, length), "float32"), np.zeros_like(mask)
    for row, sample in enumerate(samples):
        side = sides[row % len(sides)]
        place = slice(length - len(sample), None)
        place = slice(0, len(sample)) if side == "right" else place
        mask[row, place] = True
        fused["modality_ids"][row, place] = sample.modality
        fused["positions"][row, place] = sample.coordinates
        rates[row, place], repeats[row, place] = sample.rate, sample.repeats
        if item_ids:
            fused["item_ids"][row, place] = sample.item
    return fused, rates, repeats
