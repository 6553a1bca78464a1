"""Export the model of the first example, and query it over gRPC and REST.

The model is trained briefly, exported to a SavedModel with `export_for_serving`, and
served by `serving/server.py`, a small stand-in for TensorFlow Serving that runs the
export in TensorFlow's C library, as TensorFlow Serving does. `serving/client.py` sends
requests; it works with TensorFlow Serving too (docs/serving.md).

    KERAS_BACKEND=jax python examples/04_serving.py --quick

It needs the packages of the extras `examples` and `serving`.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from ablation import parse_arguments, train
from boards import CELL, QUESTIONS, make_boards, split_digits

from keras_mmembed import export_for_serving, with_lengths

HERE = Path(__file__).parent
MODEL = "vqa"
# import statements need a name that is an identifier
vqa = importlib.import_module("01_visual_question_answering")


def trained_model(options):
    """Return a trained model, and boards to send as requests."""
    rng = np.random.default_rng(options.seed)
    keras.utils.set_random_seed(options.seed)
    train_digits, test_digits = split_digits(rng)
    number, epochs = (16 * vqa.BATCH, 1) if options.quick else (320 * vqa.BATCH, 6)
    inputs, answers, _ = make_boards(rng, train_digits, number)
    model = vqa.make_model()
    train(model, inputs, answers, epochs)
    return model, make_boards(rng, test_digits, 8)


def with_names(model):
    """Return the model with the names, dtypes and shapes of the serving signature."""
    inputs = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "board": keras.Input((None, None, CELL), name="board"),
    }
    return keras.Model(inputs, {"scores": model(inputs)}, name=MODEL)


def as_requests(inputs):
    """Return the inputs with lengths, padded as a server pads: with the first id."""
    text = inputs["text"]
    is_word = text != 0
    return {
        "text": np.where(is_word, text, text[:, :1]),
        "text_lengths": is_word.sum(axis=1).astype("int32"),
        "board": inputs["board"],
    }


def ask(folder, requests, directory):
    """Start the server, send requests with the client, and return the responses."""
    np.savez(folder / "requests.npz", **requests)
    command = [sys.executable, str(HERE / "serving" / "server.py"), str(directory)]
    options = ["--grpc-port=0", "--rest-port=0", "--seconds=300", "--with-parent"]
    server = subprocess.Popen(
        [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with server:
        line = server.stdout.readline()
        if not line:
            sys.exit("the server did not start, and said above why")
        ready = json.loads(line)
        print(f"serving version {ready['version']} of {ready['model']}", flush=True)
        client = [sys.executable, str(HERE / "serving" / "client.py"), MODEL]
        files = [str(folder / "requests.npz"), f"--save={folder / 'answers.npz'}"]
        ports = [f"--{kind}=127.0.0.1:{ready[kind]}" for kind in ("grpc", "rest")]
        subprocess.run([*client, *files, *ports], check=True)
        server.stdin.close()  # ends the server
        server.wait(timeout=60)
    with np.load(folder / "answers.npz") as answers:
        return dict(answers)


def main():
    """Train, export, serve and query."""
    options = parse_arguments(__doc__)
    model, (inputs, answers, questions) = trained_model(options)
    requests = as_requests(inputs)
    served = with_lengths(with_names(model), ["text"])
    export = export_for_serving(served, options.output / MODEL, warmup=[requests])
    print(f"\n{export}\n")
    got = ask(options.output, requests, options.output / MODEL)["scores"]
    expected = model.predict(inputs, verbose=0)
    for question, answer, scores in zip(questions, answers, got, strict=True):
        print(f"{QUESTIONS[question]} {scores.argmax()} (right: {answer})")
    difference = np.abs(got - expected).max()
    print(
        f"\nTrained on {keras.backend.backend()}, served from TensorFlow's C library: "
        f"largest difference of {len(got)} predictions {difference:.1e}"
    )
    assert difference < 1e-4, difference


if __name__ == "__main__":
    main()
