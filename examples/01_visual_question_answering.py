"""Visual question answering about boards of handwritten digits.

A board has 3x3 cells, each empty or with a real handwritten digit. One kind of question
names a cell ("what digit is at the upper left ?"), the other counts ("how many sevens
are there ?"). A model chooses the answer, and another one writes it, word by word
("three sevens"). Test boards use other digit images; some are 5x5, for which the
learned position table is interpolated. For an ablation, models without one part are
trained.

    KERAS_BACKEND=jax python examples/01_visual_question_answering.py --quick

It needs scikit-learn and matplotlib. `--quick` trains two models of each kind for a
short time, with and without positional encodings, and checks the margins.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from ablation import (
    draw_curves,
    only,
    parse_arguments,
    print_table,
    silence_modalities,
    train,
    without_positions,
)
from boards import (
    CELL,
    PLACES,
    WORDS,
    draw_learned,
    make_boards,
    split_digits,
)
from written_answers import compare_writers

from keras_mmembed import MultiModalTransformer, PositionEmbedding2D

BATCH, WIDTH = 64, 64


def make_configs(larger="resize"):
    """Return the modality configurations, with layers that embed ids and pixels."""
    # word and position embeddings about as large as the features of the cells
    initializer = keras.initializers.RandomNormal(stddev=0.5)
    words = keras.layers.Embedding(
        len(WORDS) + 1, WIDTH, mask_zero=True, embeddings_initializer=initializer
    )
    cells = keras.layers.Dense(128, activation="relu")
    places = PositionEmbedding2D(
        3,
        3,
        kind="learned",
        interpolation="bilinear",
        align_corners=larger == "resize",
        out_of_range=larger,
        embeddings_initializer=initializer,
    )
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


def make_model(change=dict, silent=False, larger="resize"):
    """Return a transformer over question and board that classifies at a class token."""
    model = MultiModalTransformer(
        change(make_configs(larger)),
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
    """Return the accuracy of "where" questions and of "count" questions."""
    inputs, answers, questions = boards
    right = (
        model.predict(inputs, batch_size=BATCH, verbose=0).argmax(axis=-1) == answers
    )
    is_place = questions < len(PLACES)
    return right[is_place].mean(), right[~is_place].mean()


def score(model, names, tests):
    """Return the accuracies on boards of each size, with some modalities as inputs."""
    boards = [(only(names, inputs), *truth) for inputs, *truth in tests.values()]
    return [value for some in boards for value in accuracy(model, some)]


def main():
    """Train the models, and compare them on 3x3 and 5x5 boards."""
    options = parse_arguments(__doc__)
    rng = np.random.default_rng(options.seed)
    train_digits, test_digits = split_digits(rng)
    # full batches only: JAX would compile again for a smaller last one
    number, epochs = (96 * BATCH, 4) if options.quick else (640 * BATCH, 7)
    # "count" questions take longer to learn than "where" questions
    share = 1.0 if options.quick else 0.5
    boards = make_boards(rng, train_digits, number, place_share=share)
    inputs, answers, _ = boards
    tests = {s: make_boards(rng, test_digits, 32 * BATCH, s) for s in (3, 5)}
    parts = dict(list(PARTS.items())[:2]) if options.quick else PARTS
    results, curves = {}, {}
    for name, part in parts.items():
        print(f"\nTraining: {name}", flush=True)
        keras.utils.set_random_seed(options.seed)
        names = part.pop("names", ["text", "board"])
        model = make_model(**part)
        curves[name] = train(model, only(names, inputs), answers, epochs)["accuracy"]
        results[name] = score(model, names, tests)
        if name == "whole model":
            chooser = model
            clipped = make_model(larger="clip")
            clipped.set_weights(model.get_weights())
            results["positions clipped, not resized"] = score(clipped, names, tests)
            model.save(options.output / "vqa.keras")
            draw_learned(model, options.output / "vqa_learned.png")
    results |= compare_writers(options, make_configs, chooser, boards, tests, epochs)
    draw_curves(curves, options.output / "vqa_training.png")
    columns = [
        f"{kind}, {side}x{side}" for side in tests for kind in ("where", "count")
    ]
    print_table(f"right answers ({keras.backend.backend()})", columns, results)
    for whole, part in (("whole model", "without"), ("written", "written, without")):
        margin = results[whole][0] - results[f"{part} positions"][0]
        assert margin > 0.4, f"positions should matter for cells, margin {margin:.1%}"


if __name__ == "__main__":
    main()
