"""Clips of real handwritten digits that move, and captions, made at run time.

The digits are scikit-learn's (8x8 pixels, from the UCI repository). Which digit moves,
where it starts, where it moves to, and the captions are generated.
"""

import numpy as np

FRAMES, SIDE, DIGIT = 6, 16, 8  # of which sides are in pixels
NAMES = "zero one two three four five six seven eight nine".split()
DIRECTIONS = {  # rows and columns per frame
    "up": (-1, 0),
    "down": (1, 0),
    "to the left": (0, -1),
    "to the right": (0, 1),
    "to the upper left": (-1, -1),
    "to the upper right": (-1, 1),
    "to the lower left": (1, -1),
    "to the lower right": (1, 1),
}
CAPTIONS = [f"a {name} moves {where}" for name in NAMES for where in DIRECTIONS]
WORDS = sorted({word for caption in CAPTIONS for word in caption.split()})


def caption_tokens():
    """Return the word ids of every caption, padded with 0 to the longest."""
    longest = max(len(caption.split()) for caption in CAPTIONS)
    tokens = np.zeros((len(CAPTIONS), longest), "int32")
    for row, caption in zip(tokens, CAPTIONS, strict=True):
        ids = [WORDS.index(word) + 1 for word in caption.split()]
        row[: len(ids)] = ids
    return tokens


def make_clips(rng, digits, number):
    """Return clips `(number, frames, side, side, 1)`, and which caption is right.

    A clip backwards is as likely as the clip: no single frame tells the direction.
    """
    images, labels = digits
    caption = rng.integers(0, len(CAPTIONS), number)
    digit, direction = np.divmod(caption, len(DIRECTIONS))
    steps = np.array(list(DIRECTIONS.values()))[direction]
    path = steps[:, None] * np.arange(FRAMES)[:, None]
    room = SIDE - DIGIT - np.ptp(path, axis=1)
    corners = path - path.min(axis=1, keepdims=True)
    corners += rng.integers(0, room + 1)[:, None]
    clips = np.zeros((number, FRAMES, SIDE, SIDE, 1), "uint8")
    for index in range(number):
        image = images[rng.choice(np.flatnonzero(labels == digit[index]))]
        for frame, (row, column) in enumerate(corners[index]):
            place = slice(row, row + DIGIT), slice(column, column + DIGIT)
            clips[index, frame][place] = 16 * image.reshape(DIGIT, DIGIT, 1)
    return clips, caption


def make_pairs(rng, digits, number):
    """Return clips with captions, and whether they belong together.

    Every second caption is wrong, half of those in the digit, half in the direction.
    """
    clips, caption = make_clips(rng, digits, number)
    kind = rng.integers(0, 4, number)
    digit, direction = np.divmod(caption, len(DIRECTIONS))
    other_digit = (digit + rng.integers(1, 10, number)) % 10
    other_direction = (direction + rng.integers(1, 8, number)) % 8
    digit = np.where(kind == 2, other_digit, digit)
    direction = np.where(kind == 3, other_direction, direction)
    shown = digit * len(DIRECTIONS) + direction
    inputs = {"clip": clips, "caption": caption_tokens()[shown]}
    return inputs, (shown == caption).astype("float32")
