"""Boards of real handwritten digits and questions about them, generated at run time.

The digits are scikit-learn's (8x8 pixels, from the UCI repository). The digit of each
cell and the questions are random.
"""

import keras
import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from writing import Vocabulary

from keras_mmembed import plot_similarity

matplotlib.use("Agg")
import matplotlib.pyplot as plt

CELL = 64  # pixels
ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "center", "right")
NAMES = "zero one two three four five six seven eight nine".split()
PLURALS = "zeros ones twos threes fours fives sixes sevens eights nines".split()
PLACES = [
    f"what digit is at the {row} {column} ?" for row in ROWS for column in COLUMNS
]
QUESTIONS = PLACES + [f"how many {plural} are there ?" for plural in PLURALS]
VOCABULARY = Vocabulary(["(start) no", *NAMES, *PLURALS])
WORDS = sorted({word for question in QUESTIONS for word in question.split()})
EMPTY_SHARE = 0.3
MOST_COUNTED = 4


def question_tokens():
    """Return the token ids of every question, padded with 0 to the longest."""
    rows = [[WORDS.index(word) + 1 for word in text.split()] for text in QUESTIONS]
    longest = max(map(len, rows))
    return np.array([row + [0] * (longest - len(row)) for row in rows], "int32")


def answer_sentences(answers, questions):
    """Return the answers in words, such as "seven" or "three sevens"."""
    sentences = []
    for answer, question in zip(answers, questions, strict=True):
        digit = question - len(PLACES)
        names = NAMES if answer == 1 else PLURALS
        count = "no" if answer == 0 else NAMES[answer]
        sentences.append(NAMES[answer] if digit < 0 else f"{count} {names[digit]}")
    return np.array(sentences)


def split_digits(rng, num_test=397):
    """Return (images, labels) for training, and others for the test."""
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    images = (digits.data / 16).astype("float32")[order]
    labels = digits.target[order]
    train, test = slice(num_test, None), slice(num_test)
    return (images[train], labels[train]), (images[test], labels[test])


def make_boards(rng, digits, number, side=3, place_share=0.5):
    """Return the inputs of a model, the answers, and the index of each question.

    A share of the questions names a cell: a corner, the middle of an edge, or the
    center, whatever the (odd) side of the board. The others ask for a count.
    """
    images, labels = digits
    is_place = rng.random(number) < place_share
    asked, place = rng.integers(0, 10, number), rng.integers(0, 9, number)
    cells = rng.integers(0, 10, (number, side, side))
    cells[rng.random(cells.shape) < EMPTY_SHARE] = -1
    # without this, most boards would have the counted digit once or never
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


def draw_boards(model, boards, written, path):
    """Draw three boards of each kind with question, answers and attention."""
    inputs, answers, questions = boards
    rows = np.argsort(questions >= len(PLACES), kind="stable")[[0, 1, 2, -3, -2, -1]]
    some = {name: values[rows] for name, values in inputs.items()}
    predicted = model.predict(some, verbose=0).argmax(axis=-1)
    scores, fused = model.attention_scores(some)
    ids = keras.ops.convert_to_numpy(fused["modality_ids"])[0]
    looks = keras.ops.convert_to_numpy(scores[-1])[:, :, 0].mean(axis=1)[:, ids == 1]
    side = some["board"].shape[1]
    figure, grid = plt.subplots(3, 4, figsize=(9, 8.4), layout="constrained")
    for index, row in enumerate(rows):
        left, right = grid[index % 3, 2 * (index // 3) : 2 * (index // 3) + 2]
        cells = some["board"][index].reshape(side, side, 8, 8)
        left.imshow(cells.swapaxes(1, 2).reshape(8 * side, 8 * side), cmap="gray_r")
        left.set_title(QUESTIONS[questions[row]].replace(" at ", "\nat "), fontsize=9)
        color = "green" if predicted[index] == answers[row] else "red"
        text = f"answer {answers[row]}, predicted {predicted[index]}"
        if written is not None:
            text += f"\nwritten: {written[row]}"
        left.set_xlabel(text, color=color)
        for edge in range(8, 8 * side, 8):
            left.axhline(edge - 0.5, color="lightgray", linewidth=0.5)
            left.axvline(edge - 0.5, color="lightgray", linewidth=0.5)
        right.imshow(looks[index].reshape(side, side), vmin=0, cmap="viridis")
        right.set_title("attention of the answer", fontsize=9)
        for axes in (left, right):
            axes.set_xticks([])
            axes.set_yticks([])
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_learned(model, path):
    """Draw the similarity of learned positions, and of modality and class vectors."""
    board = model.fusion.branch("board")
    width = model.fusion.unified_dim
    vectors = {"class token": model.fusion.cls_embedding[0]}
    for name in model.fusion.modalities:
        vectors[f"modality {name}"] = model.fusion.modality.encode(name)
    rows = np.stack([keras.ops.convert_to_numpy(v) for v in vectors.values()])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    plot_similarity(board.position, (5, 5, width), left)
    left.set_title("places of a 5x5 board, read from 3x3 learned ones", fontsize=9)
    right.imshow(unit @ unit.T, vmin=-1, vmax=1, cmap="RdBu_r")
    labels = [
        f"{n}\nlength {size:.2f}"
        for n, size in zip(vectors, np.linalg.norm(rows, axis=1), strict=True)
    ]
    right.set_xticks(range(len(labels)), labels, fontsize=8)
    right.set_yticks(range(len(labels)), list(vectors), fontsize=8)
    for i, row in enumerate(unit @ unit.T):
        for j, value in enumerate(row):
            right.text(j, i, f"{value:.2f}", ha="center", va="center")
    right.set_title("cosine of learned vectors", fontsize=9)
    figure.savefig(path, dpi=90)
    plt.close(figure)
