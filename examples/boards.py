"""Boards of real handwritten digits and questions about them, made at run time.

The digits are scikit-learn's (8x8 pixels, from the UCI repository). Which digit stands
where is drawn at random, and so are the questions.
"""

import numpy as np
from sklearn.datasets import load_digits

CELL = 64  # pixels
ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "center", "right")
PLURALS = "zeros ones twos threes fours fives sixes sevens eights nines".split()
PLACES = [
    f"what digit is at the {row} {column} ?" for row in ROWS for column in COLUMNS
]
QUESTIONS = PLACES + [f"how many {plural} are there ?" for plural in PLURALS]
WORDS = sorted({word for question in QUESTIONS for word in question.split()})
EMPTY_SHARE = 0.3
MOST_COUNTED = 4


def question_tokens():
    """Return the word ids of every question, padded with 0 to the longest."""
    rows = [[WORDS.index(word) + 1 for word in text.split()] for text in QUESTIONS]
    longest = max(map(len, rows))
    return np.array([row + [0] * (longest - len(row)) for row in rows], "int32")


def split_digits(rng, num_test=397):
    """Return (images, labels) to train on, and others to test on."""
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    images = (digits.data / 16).astype("float32")[order]
    labels = digits.target[order]
    train, test = slice(num_test, None), slice(num_test)
    return (images[train], labels[train]), (images[test], labels[test])


def make_boards(rng, digits, number, side=3, place_share=0.5):
    """Return the inputs of a model, the answers, and the index of each question.

    A share of the questions asks for a place: a corner, the middle of an edge, or the
    center, whatever the (odd) side of the board. The others ask for a number.
    """
    images, labels = digits
    is_place = rng.random(number) < place_share
    asked, place = rng.integers(0, 10, number), rng.integers(0, 9, number)
    cells = rng.integers(0, 10, (number, side, side))
    cells[rng.random(cells.shape) < EMPTY_SHARE] = -1
    # the digit that is counted would be there once or never on most boards
    wanted = rng.integers(0, MOST_COUNTED + 1, (number, 1))
    chosen = rng.random((number, side * side)).argsort(axis=1) < wanted
    chosen = chosen.reshape(cells.shape) & ~is_place[:, None, None]
    cells = np.where(chosen, asked[:, None, None], cells)
    rows = np.flatnonzero(is_place)
    middle = (side - 1) // 2
    cells[rows, place[rows] // 3 * middle, place[rows] % 3 * middle] = asked[rows]
    boards = np.zeros((number, side, side, CELL), "float32")
    for digit in range(10):
        here = cells == digit
        boards[here] = images[rng.choice(np.flatnonzero(labels == digit), here.sum())]
    counts = (cells == asked[:, None, None]).sum(axis=(1, 2))
    answers = np.where(is_place, asked, counts).astype("int32")
    questions = np.where(is_place, place, len(PLACES) + asked)
    inputs = {"text": question_tokens()[questions], "board": boards}
    return inputs, answers, questions
