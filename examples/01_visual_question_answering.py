"""Answer questions about a 3x3 board of handwritten digits.

A question ("what digit is in row two , column three ?") and the nine cells of a board
become one sequence of tokens; two transformer blocks read it, and the class token gives
the answer. The same model without positions is trained beside it: it cannot tell the
cells apart, but counts as well. The boards of the test are made of digit images that
were not trained on. At the end the saved model is read on another backend.

Run (about three minutes on two cores; `--quick` takes less than one):

    python examples/01_visual_question_answering.py --quick

It needs scikit-learn and matplotlib. Choose the backend with KERAS_BACKEND.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import matplotlib
import numpy as np
from sklearn.datasets import load_digits

from keras_mmembed import MultiModalFusion

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIDE, CELLS, PIXELS = 3, 9, 64
FEATURES, WIDTH, BATCH = 128, 64, 64
PLACES = ("one", "two", "three")
PLURALS = "zeros ones twos threes fours fives sixes sevens eights nines".split()
EMPTY_SHARE = 0.3
MOST_COUNTED = 4
KINDS = ("where", "count")
QUESTIONS = [
    f"what digit is in row {PLACES[cell // SIDE]} , column {PLACES[cell % SIDE]} ?"
    for cell in range(CELLS)
] + [f"how many {plural} are there ?" for plural in PLURALS]
WORDS = sorted({word for question in QUESTIONS for word in question.split()})
NAMES = {True: "with positions", False: "without positions"}

RELOAD = """
import sys
import keras
import keras_mmembed
import numpy as np

model_file, inputs_file, outputs_file = sys.argv[1:]
model = keras.models.load_model(model_file, compile=False)
inputs = dict(np.load(inputs_file))
np.save(outputs_file, model.predict(inputs, verbose=0))
"""


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


def make_cells(rng, asked, cells, is_where):
    """Return the digit in every cell, -1 in empty ones, fit for the questions."""
    number = len(asked)
    digits = rng.integers(0, 10, (number, CELLS))
    digits[rng.random((number, CELLS)) < EMPTY_SHARE] = -1
    # the digit that is counted would be there once or never on most boards
    wanted = rng.integers(0, MOST_COUNTED + 1, (number, 1))
    chosen = rng.random((number, CELLS)).argsort(axis=1) < wanted
    digits = np.where(chosen & ~is_where[:, None], asked[:, None], digits)
    rows = np.flatnonzero(is_where)
    digits[rows, cells[rows]] = asked[rows]
    return digits


def make_boards(rng, images, labels, number):
    """Return the inputs of the model, the answers, and the index of each question."""
    is_where = np.arange(number) % 2 == 0
    asked = rng.integers(0, 10, number)
    cells = rng.integers(0, CELLS, number)
    digits = make_cells(rng, asked, cells, is_where)
    boards = np.zeros((number, CELLS, PIXELS), "float32")
    for digit in range(10):
        here = digits == digit
        boards[here] = images[rng.choice(np.flatnonzero(labels == digit), here.sum())]
    answers = np.where(is_where, asked, (digits == asked[:, None]).sum(axis=1))
    questions = np.where(is_where, cells, CELLS + asked)
    inputs = {"words": question_tokens()[questions], "board": boards}
    return inputs, answers.astype("int32"), questions


def encoder_block(tokens, attention_mask, heads=8):
    """Apply attention and a dense block, each added to its input and normalised."""
    attention = keras.layers.MultiHeadAttention(heads, WIDTH // heads)
    mixed = attention(tokens, tokens, attention_mask=attention_mask)
    tokens = keras.layers.Add()([tokens, mixed])
    tokens = keras.layers.LayerNormalization()(tokens)
    hidden = keras.layers.Dense(2 * WIDTH, activation="relu")(tokens)
    hidden = keras.layers.Add()([tokens, keras.layers.Dense(WIDTH)(hidden)])
    return keras.layers.LayerNormalization()(hidden)


def make_model(positions):
    """Return the model, with or without position embeddings."""
    words = keras.Input((None,), dtype="int32", name="words")
    board = keras.Input((CELLS, PIXELS), name="board")
    # words about as large as the positions that are added to them
    text = keras.layers.Embedding(
        len(WORDS) + 1,
        WIDTH,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.5),
        mask_zero=True,
    )(words)
    image = keras.layers.Dense(FEATURES, activation="relu")(board)
    text_config = {"type": "1d", "dim": WIDTH}
    image_config = {"type": "2d", "height": SIDE, "width": SIDE, "dim": FEATURES}
    if not positions:
        text_config = {"type": "none", "dim": WIDTH}
        image_config = {"type": "none", "dim": FEATURES}
    fused = MultiModalFusion(
        {"text": text_config, "image": image_config},
        unified_dim=WIDTH,
        cls_token=True,
        dropout=0.0,
        return_dict=True,
    )({"text": text, "image": image})
    tokens = fused["embeddings"]
    # told to every block: the attention of Keras clears the mask of its inputs
    attention_mask = fused["mask"][:, None, :]
    for _ in range(2):
        tokens = encoder_block(tokens, attention_mask)
    answer = keras.layers.Dense(10, activation="softmax")(tokens[:, 0])
    return keras.Model({"words": words, "board": board}, answer)


def train(model, inputs, answers, epochs, peak=3e-3):
    """Train with a rate that rises in the first tenth and falls to 0 on a cosine."""
    steps = epochs * (len(answers) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=peak, warmup_steps=steps // 10
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3, beta_2=0.98),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )

    def report(epoch, logs):
        print(
            f"  epoch {epoch + 1:2d} of {epochs}: loss {logs['loss']:.3f}, "
            f"accuracy {logs['accuracy']:6.1%}",
            flush=True,
        )

    progress = keras.callbacks.LambdaCallback(on_epoch_end=report)
    model.fit(
        inputs,
        answers,
        batch_size=BATCH,
        epochs=epochs,
        verbose=0,
        callbacks=[progress],
    )


def accuracy_by_kind(model, inputs, answers, questions):
    """Return the share of right answers to each kind of question."""
    result = {}
    for kind, rows in zip(KINDS, (questions < CELLS, questions >= CELLS), strict=True):
        chosen = {name: values[rows] for name, values in inputs.items()}
        _, result[kind] = model.evaluate(
            chosen, answers[rows], batch_size=BATCH, verbose=0
        )
    return result


def print_table(accuracies):
    """Print the accuracies as a table in Markdown."""
    print(f"\n| questions | {NAMES[True]} | {NAMES[False]} |\n|---|---|---|")
    for kind in KINDS:
        print(
            f"| {kind} | {accuracies[True][kind]:.1%} | {accuracies[False][kind]:.1%} |"
        )


def other_backend():
    """Return another backend that is installed, or this one if there is none."""
    here = keras.backend.backend()
    for name in ("tensorflow", "jax", "torch"):
        if name != here and importlib.util.find_spec(name):
            return name
    return here


def check_reload(model, inputs, folder):
    """Save the model, read it in another process, and compare the predictions."""
    files = [folder / name for name in ("vqa.keras", "inputs.npz", "outputs.npy")]
    model.save(files[0])
    np.savez(files[1], **inputs)
    backend = other_backend()
    subprocess.run(
        [sys.executable, "-c", RELOAD, *map(str, files)],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
    )
    difference = np.abs(np.load(files[2]) - model.predict(inputs, verbose=0)).max()
    alone = " (no other is installed)" if backend == keras.backend.backend() else ""
    print(
        f"\nSaved on {keras.backend.backend()}, read on {backend}{alone}: "
        f"largest difference of {len(inputs['words'])} predictions {difference:.1e}"
    )
    assert difference < 1e-4, difference


def draw_board(axes, board, question, answer, predictions):
    """Draw a board, its question above, and the answers under it."""
    picture = board.reshape(SIDE, SIDE, 8, 8).swapaxes(1, 2).reshape(24, 24)
    axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
    for edge in range(-1, SIDE * 8, 8):
        axes.axhline(edge + 0.5, color="lightgray")
        axes.axvline(edge + 0.5, color="lightgray")
    axes.axis("off")
    axes.set_title(question.replace(" ,", ",\n").replace(" ?", "?"), fontsize=11)
    axes.text(12, 26, f"answer: {answer}", ha="center", va="center", fontsize=11)
    for row, (positions, value) in enumerate(predictions.items()):
        axes.text(
            12,
            28.2 + 2.2 * row,
            f"{NAMES[positions]}: {value}",
            color="green" if value == answer else "red",
            ha="center",
            va="center",
            fontsize=11,
        )


def draw_boards(models, inputs, answers, questions, path):
    """Draw the first three boards of each kind of question to a PNG."""
    where = np.flatnonzero(questions < CELLS)[:3]
    count = np.flatnonzero(questions >= CELLS)[:3]
    rows = np.concatenate([where, count])
    chosen = {name: values[rows] for name, values in inputs.items()}
    outputs = {
        positions: model.predict(chosen, verbose=0).argmax(axis=1)
        for positions, model in models.items()
    }
    figure, grid = plt.subplots(2, 3, figsize=(8.5, 7.6))
    for index, (axes, row) in enumerate(zip(grid.flat, rows, strict=True)):
        predictions = {positions: out[index] for positions, out in outputs.items()}
        board, question = inputs["board"][row], QUESTIONS[questions[row]]
        draw_board(axes, board, question, answers[row], predictions)
    figure.subplots_adjust(0.02, 0.11, 0.98, 0.92, wspace=0.1, hspace=0.55)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def parse_arguments():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less than a minute")
    parser.add_argument("--epochs", type=int, help="of each of the two models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("vqa_output"))
    return parser.parse_args()


def main():
    """Train both models, compare them, and save what they learned."""
    started = time.perf_counter()
    options = parse_arguments()
    epochs = options.epochs or (4 if options.quick else 7)
    # whole batches: JAX would compile once more for a smaller last one
    number = BATCH * (192 if options.quick else 640)
    options.output.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    train_digits, test_digits = split_digits(rng)
    inputs, answers, _ = make_boards(rng, *train_digits, number)
    test_boards = make_boards(rng, *test_digits, 64 * BATCH)
    print(
        f"{number} boards of {len(train_digits[1])} digit images to train on, "
        f"{len(test_boards[1])} of {len(test_digits[1])} others to test on; "
        f"{epochs} epochs on {keras.backend.backend()}"
    )
    models, accuracies = {}, {}
    for positions, name in NAMES.items():
        keras.utils.set_random_seed(options.seed)
        models[positions] = make_model(positions)
        print(f"\nTraining {name}: {models[positions].count_params()} parameters")
        train(models[positions], inputs, answers, epochs)
        accuracies[positions] = accuracy_by_kind(models[positions], *test_boards)
    print_table(accuracies)
    some = {name: values[:256] for name, values in test_boards[0].items()}
    check_reload(models[True], some, options.output)
    draw_boards(models, *test_boards, options.output / "vqa_boards.png")
    seconds = time.perf_counter() - started
    print(
        f"Boards drawn in {options.output / 'vqa_boards.png'}; {seconds:.0f} s in all"
    )


if __name__ == "__main__":
    main()
