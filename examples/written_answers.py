"""The mode of the first example in which a model writes its answers, word by word.

Board and question are a prefix, which may attend to itself in both directions. The
answer grows behind it: training predicts each word from those before (teacher forcing).
"""

import keras
import numpy as np
from ablation import only, train, without_positions
from boards import PLACES, VOCABULARY, answer_sentences, draw_boards
from writing import END

from keras_mmembed import MultiModalTransformer

WRITERS = {
    "written": {},
    "written, without positions": {"change": without_positions},
    "written, without the board": {"names": ["text"]},
}
ANSWER = {"type": "1d", "vocabulary_size": len(VOCABULARY.words), "padding_id": 0}


def make_writer(configs, names, change=dict, width=64):
    """Return a causal transformer that has the logits of the next word.

    Args:
        configs: The configurations of question and board.
        names: Those of the modalities that it has; the answer comes last.
        change: What changes the configurations.
        width: Width of the tokens.
    """
    configs = only([*names, "answer"], change({**configs, "answer": ANSWER}))
    writer = MultiModalTransformer(
        configs,
        width,
        num_layers=2,
        num_heads=4,
        hidden_dim=2 * width,
        activation="relu",
        norm_first=False,
        causal=True,
        prefix=names,
        pooling="tokens",
        num_outputs=len(VOCABULARY.words),
        dropout=0.0,
        name="writer",
    )
    shapes = {"board": (None, None, None, 64), "text": (None, None)}
    writer.build(only([*names, "answer"], {**shapes, "answer": (None, None)}))
    return writer


def train_writer(writer, boards, epochs):
    """Train on the questions and answers of boards, and return the history."""
    inputs, answers, questions = boards
    sentences = answer_sentences(answers, questions)
    starts = ["(start)"] * len(sentences)
    read, said, weights = VOCABULARY.teacher_forcing(starts, sentences)
    inputs = only(writer.fusion.modalities, {**inputs, "answer": read})
    tensors = {
        name: keras.Input(x.shape[1:], dtype=x.dtype, name=name)
        for name, x in inputs.items()
    }
    # the logits of the answer, which comes last
    model = keras.Model(tensors, writer(tensors)[:, -said.shape[1] :])
    return train(model, inputs, said, epochs, weights=weights)


def write_answers(writer, boards):
    """Return the answer to each question about a board, as a sentence."""
    inputs, answers, _ = boards
    starts = VOCABULARY.ids(["(start)"] * len(answers))
    inputs = only(writer.fusion.modalities, {**inputs, "answer": starts})
    return np.array(VOCABULARY.sentences(writer.generate(inputs, 3, stop_ids=END)))


def share_right(written, boards):
    """Return how many "where" and "count" questions are answered word for word."""
    _, answers, questions = boards
    right = written == answer_sentences(answers, questions)
    is_place = questions < len(PLACES)
    return right[is_place].mean(), right[~is_place].mean()


def compare_writers(options, make_configs, chooser, boards, tests, epochs):
    """Train models that write the answer, with and without parts; return the scores.

    Args:
        options: The options of the command line.
        make_configs: Returns the configurations of question and board.
        chooser: A model that chooses the answer, to be drawn beside.
        boards: Boards, answers and questions to train with.
        tests: By side, others.
        epochs: Number of epochs.
    """
    results = {}
    for name, part in list(WRITERS.items())[: 2 if options.quick else None]:
        print(f"\nTraining: {name}", flush=True)
        keras.utils.set_random_seed(options.seed)
        names = part.pop("names", ["text", "board"])
        writer = make_writer(make_configs(), names, **part)
        train_writer(writer, boards, epochs)
        # in a short run 3x3 only: another size is compiled again
        sides = [3] if options.quick else list(tests)
        written = {side: write_answers(writer, tests[side]) for side in sides}
        shares = [share_right(written[side], tests[side]) for side in sides]
        results[name] = [*np.ravel(shares), np.nan, np.nan][:4]
        if name == "written":
            for side, some in tests.items():
                path = options.output / f"vqa_boards_{side}.png"
                draw_boards(chooser, some, written.get(side), path)
    return results
