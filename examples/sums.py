"""Pictures of two real handwritten digits, and sentences that add them.

The digits are scikit-learn's (8x8 pixels, from the UCI repository).
"""

import matplotlib
import numpy as np
from writing import Vocabulary

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
NUMBERS += [f"{start}teen" for start in "thir four fif six seven eigh".split()]
PATCHES = 8  # of a picture
PROMPT = "<image> " * PATCHES + "add :"
VOCABULARY = Vocabulary([PROMPT, "plus is", *NUMBERS])
IMAGE = VOCABULARY.words.index("<image>")


def make_sums(rng, digits, number):
    """Return pictures `(number, 8, 16, 1)` of two digits, and the sentence of each."""
    images, labels = digits
    pairs = rng.integers(0, len(labels), (number, 2))
    pictures = images[pairs].reshape(number, 2, 8, 8).swapaxes(1, 2)
    sums = [(a, b, a + b) for a, b in labels[pairs]]
    sentences = [f"{NUMBERS[a]} plus {NUMBERS[b]} is {NUMBERS[c]}" for a, b, c in sums]
    return pictures.reshape(number, 8, 16, 1), np.array(sentences)


def draw_sums(pictures, written, truth, path):
    """Draw pictures with what was written about them, green if right and else red."""
    figure, grid = plt.subplots(2, 4, figsize=(9, 3.6), layout="constrained")
    # four that are right and four that are wrong, if there are so many
    order = np.argsort(written == truth, kind="stable")
    picked = [*order[::-1][:4], *order[:4]]
    for axes, index in zip(grid.flat, picked, strict=True):
        axes.imshow(pictures[index, ..., 0], cmap="gray_r")
        color = "green" if written[index] == truth[index] else "red"
        axes.set_xlabel(written[index].replace(" is ", "\nis "), color=color)
        axes.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=90)
    plt.close(figure)
