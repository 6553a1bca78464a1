"""Clips of real handwritten digits that move, and captions, generated at run time.

The digits are scikit-learn's (8x8 pixels, from the UCI repository). Digit, start and
direction are random.
"""

import keras
import matplotlib
import numpy as np
from writing import Vocabulary

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FRAMES, SIDE, DIGIT = 6, 16, 8  # of which the sides are in pixels
NAMES = "zero one two three four five six seven eight nine".split()
WAYS = {  # rows and columns per frame
    "up": (-1, 0),
    "down": (1, 0),
    "to the left": (0, -1),
    "to the right": (0, 1),
    "to the upper left": (-1, -1),
    "to the lower right": (1, 1),
    "to the upper right": (-1, 1),
    "to the lower left": (1, -1),
}
CAPTIONS = [f"{name} moves {way}" for name in NAMES for way in WAYS]
# of the same digit: opposite ways follow each other
OPPOSITES = np.arange(len(CAPTIONS)) ^ 1
VOCABULARY = Vocabulary(["(start)", *CAPTIONS])
START = VOCABULARY.words.index("(start)")


def caption_tokens(blind=False):
    """Return the decoder inputs and the targets of every caption, as token ids.

    The inputs begin with `START` and are the targets shifted by one word; both are
    padded with 0. With `blind`, every input word is `START`.
    """
    starts = ["(start)"] * len(CAPTIONS)
    read, said, _ = VOCABULARY.teacher_forcing(starts, CAPTIONS)
    read = np.where(said > 0, START if blind else read, 0)
    return read.astype("uint8"), said


def make_clips(rng, digits, number):
    """Return clips `(number, frames, side, side, 1)`, and the index of each caption.

    A clip backwards is as likely as the clip: no single frame tells the direction.
    """
    images, labels = digits
    caption = rng.integers(0, len(CAPTIONS), number)
    digit, way = np.divmod(caption, len(WAYS))
    path = np.array(list(WAYS.values()))[way][:, None] * np.arange(FRAMES)[:, None]
    room = SIDE - DIGIT - np.ptp(path, axis=1)
    corners = path - path.min(axis=1, keepdims=True)
    corners += rng.integers(0, room + 1)[:, None]
    chosen = np.zeros(number, "int64")
    for value in range(10):
        here = digit == value
        chosen[here] = rng.choice(np.flatnonzero(labels == value), here.sum())
    pixels = (16 * images).astype("uint8").reshape(-1, 1, DIGIT, DIGIT)[chosen]
    rows = corners[..., :1, None] + np.arange(DIGIT)[:, None]
    columns = corners[..., 1:, None] + np.arange(DIGIT)
    clips = np.zeros((number, FRAMES, SIDE, SIDE), "uint8")
    samples = np.arange(number)[:, None, None, None]
    clips[samples, np.arange(FRAMES)[:, None, None], rows, columns] = pixels
    return clips[..., None], caption


def with_backwards(clips, caption):
    """Return the clips and captions, and again with all clips reversed in time."""
    both = np.concatenate([clips, clips[:, ::-1]])
    return both, np.concatenate([caption, OPPOSITES[caption]])


def score_captions(model, clips, read, said):
    """Return the log-likelihood of each caption for each clip, `(clips, captions)`."""
    clip = np.repeat(clips, len(read), axis=0)
    pairs = {"clip": clip, "caption": np.tile(read, (len(clips), 1))}
    pairs = {tensor.name: pairs[tensor.name] for tensor in model.inputs}
    logits = model.predict(pairs, batch_size=512, verbose=0)
    logs = keras.ops.convert_to_numpy(keras.ops.log_softmax(logits))
    words = np.tile(said, (len(clips), 1))
    logs = np.take_along_axis(logs, words[..., None], axis=-1)[..., 0]
    return np.where(words > 0, logs, 0).sum(axis=1).reshape(len(clips), len(read))


def measure(scores, truth):
    """Return recall at 1 and 5, and how often the opposite direction scores less."""
    rows = np.arange(len(truth))
    right = scores[rows, truth][:, None]
    better, equal = (scores > right).sum(axis=1), (scores == right).sum(axis=1)
    recalls = [np.clip((k - better) / equal, 0, 1).mean() for k in (1, 5)]
    opposite = scores[rows, OPPOSITES[truth]]
    return [*recalls, (np.sign(right[:, 0] - opposite) + 1).mean() / 2]


def draw_clips(clips, truth, scores, written, path):
    """Draw clips, their written captions, and the scores of some captions.

    Those are the right one, its opposite, and the best two others.
    """
    picked = [np.flatnonzero(truth % len(WAYS) == way)[0] for way in (1, 2, 4, 7)]
    figure, grid = plt.subplots(4, 2, figsize=(10, 7.2), width_ratios=(6, 2.6))
    for (left, right), index in zip(grid, picked, strict=True):
        strip = np.concatenate(list(clips[index, ..., 0]), axis=1)
        left.imshow(strip, cmap="gray_r")
        for edge in range(SIDE, FRAMES * SIDE, SIDE):
            left.axvline(edge - 0.5, color="lightgray", linewidth=0.8)
        left.set(xticks=[], yticks=[])
        color = "green" if written[index] == CAPTIONS[truth[index]] else "red"
        left.set_xlabel(f"written: {written[index]}", fontsize=9, color=color)
        right_caption, opposite = truth[index], OPPOSITES[truth[index]]
        order = np.argsort(scores[index])
        others = order[(order != right_caption) & (order != opposite)][-2:]
        shown = [c for c in order if c in (right_caption, opposite, *others)]
        colors = ["green" if c == right_caption else "darkgray" for c in shown]
        right.barh(range(len(shown)), np.exp(scores[index, shown]), color=colors)
        right.set_yticks(range(len(shown)), [CAPTIONS[c] for c in shown], fontsize=8)
        right.set(xlim=(0, 1.25), xticks=[])
        for row, value in enumerate(scores[index, shown]):
            place = np.exp(value) + 0.02, row
            right.text(*place, f"{value:.2f}", va="center", fontsize=8)
    grid[0, 1].set_title("likelihood, and its logarithm: the score", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_attention(model, clips, truth, path):
    """Draw the attention of words to frames, and the similarity of frame positions."""
    chosen = truth % len(WAYS) >= 4  # the captions with the most words
    read, _ = caption_tokens()
    inputs = {"clip": clips[chosen], "caption": read[truth[chosen]]}
    encoder = model.get_layer("encoder")
    scores, fused = encoder.attention_scores(inputs)
    ids = keras.ops.convert_to_numpy(fused["modality_ids"])[0]
    times = keras.ops.convert_to_numpy(fused["positions"])[0, ids == 0, 0]
    table = encoder.fusion.branch("clip").position.frames_embeddings
    table = keras.ops.convert_to_numpy(table)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    figure, grid = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    words = [
        "(digit)",
        "moves",
        "to",
        "the",
        "upper or lower",
        "left or right",
        "(end)",
    ]
    for block, (axes, weights) in enumerate(zip(grid, scores, strict=False)):
        weights = keras.ops.convert_to_numpy(weights).mean(axis=(0, 1))
        looks = weights[ids == 1][:, ids == 0]
        frames = [looks[:, times == frame].sum(axis=1) for frame in range(FRAMES)]
        axes.imshow(np.stack(frames, axis=1), vmin=0, cmap="viridis")
        axes.set_yticks(range(len(words)), words)
        axes.set_title(f"block {block + 1}: attention to frames", fontsize=9)
    grid[2].imshow(unit @ unit.T, vmin=-1, vmax=1, cmap="RdBu_r")
    for (row, column), value in np.ndenumerate(unit @ unit.T):
        color = "black" if abs(value) < 0.6 else "white"
        text = {"ha": "center", "va": "center", "fontsize": 8, "color": color}
        grid[2].text(column, row, f"{value:.1f}", **text)
    grid[2].set_title("cosine of learned temporal positions", fontsize=9)
    for axes in grid:
        axes.set_xticks(range(FRAMES), range(1, FRAMES + 1))
        axes.set_xlabel("frame")
    grid[0].set_ylabel("word to be said")
    grid[2].set_yticks(range(FRAMES), range(1, FRAMES + 1))
    figure.savefig(path, dpi=90)
    plt.close(figure)
