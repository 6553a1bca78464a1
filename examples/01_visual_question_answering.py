"""Questions about boards of handwritten digits, answered by text and image together.

A board has 3x3 cells with a real handwritten digit or nothing in each. One kind of
question asks for a place ("what digit is at the upper left ?"), the other counts ("how
many sevens are there ?"). Test boards are made of digit images that were not trained
on; some of them are 5x5, and positions are resized to them. Beside the whole model,
models without one of its parts are trained.

    KERAS_BACKEND=jax python examples/01_visual_question_answering.py --quick

It needs scikit-learn and matplotlib. `--quick` trains two small models and checks the
margin between them.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import matplotlib
import numpy as np
from ablation import (
    only,
    parse_arguments,
    print_table,
    silence_modalities,
    train,
    without_positions,
)
from boards import CELL, PLACES, QUESTIONS, WORDS, make_boards, split_digits

from keras_mmembed import MultiModalTransformer, PositionEmbedding2D

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BATCH, WIDTH = 64, 64


def make_configs():
    """Return the two modalities, with layers that read ids and pixels."""
    # words about as large as the positions that are added to them
    initializer = keras.initializers.RandomNormal(stddev=0.5)
    words = keras.layers.Embedding(
        len(WORDS) + 1, WIDTH, mask_zero=True, embeddings_initializer=initializer
    )
    cells = keras.layers.Dense(128, activation="relu")
    places = PositionEmbedding2D(3, 3, out_of_range="resize")
    return {
        "text": {"type": "1d", "embedding": words},
        "board": {"type": "2d", "embedding": cells, "dim": 128, "position": places},
    }


PARTS = {
    "whole model": {},
    "without positions": {"change": without_positions},
    "without modalities": {"silent": True},
    "without the board": {"names": ["text"]},
    "without the question": {"names": ["board"]},
}


def make_model(change=dict, silent=False):
    """Return the model: two blocks over question and board, read at a class token."""
    model = MultiModalTransformer(
        change(make_configs()),
        WIDTH,
        num_layers=2,
        num_heads=4,
        hidden_dim=2 * WIDTH,
        activation="relu",
        norm_first=False,
        num_outputs=10,
        dropout=0.0,
    )
    model.build({"text": (None, None), "board": (None, None, None, CELL)})
    if silent:
        silence_modalities(model)
    return model


def accuracy(model, boards):
    """Return the share of right answers about places, and to counts."""
    inputs, answers, questions = boards
    right = (
        model.predict(inputs, batch_size=BATCH, verbose=0).argmax(axis=-1) == answers
    )
    is_place = questions < len(PLACES)
    return right[is_place].mean(), right[~is_place].mean()


def draw_boards(model, boards, path):
    """Draw three boards of each kind with question, answer, and what was looked at."""
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
        left.set_xlabel(text, color=color)
        right.imshow(looks[index].reshape(side, side), vmin=0, cmap="viridis")
        right.set_title("attention of the answer", fontsize=9)
        for axes in (left, right):
            axes.set_xticks([])
            axes.set_yticks([])
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main():
    """Train the models, and compare them on boards of both sizes."""
    options = parse_arguments(__doc__)
    rng = np.random.default_rng(options.seed)
    train_digits, test_digits = split_digits(rng)
    # whole batches: JAX would compile once more for a smaller last one
    number, epochs = (96 * BATCH, 6) if options.quick else (640 * BATCH, 7)
    # counting takes longer to learn than places
    share = 1.0 if options.quick else 0.5
    inputs, answers, _ = make_boards(rng, train_digits, number, place_share=share)
    tests = {s: make_boards(rng, test_digits, 32 * BATCH, s) for s in (3, 5)}
    parts = dict(list(PARTS.items())[:2]) if options.quick else PARTS
    results = {}
    for name, part in parts.items():
        print(f"\nTraining the {name}", flush=True)
        keras.utils.set_random_seed(options.seed)
        names = part.pop("names", ["text", "board"])
        model = make_model(**part)
        train(model, only(names, inputs), answers, epochs)
        results[name] = [
            value
            for given, *truth in tests.values()
            for value in accuracy(model, (only(names, given), *truth))
        ]
        if name == "whole model":
            model.save(options.output / "vqa.keras")
            draw_boards(model, tests[3], options.output / "vqa_boards.png")
            draw_boards(model, tests[5], options.output / "vqa_large_boards.png")
    columns = [
        f"{kind}, {side}x{side}" for side in tests for kind in ("where", "count")
    ]
    print_table(f"right answers ({keras.backend.backend()})", columns, results)
    margin = results["whole model"][0] - results["without positions"][0]
    assert margin > 0.4, f"positions should matter for places, margin {margin:.1%}"


if __name__ == "__main__":
    main()
