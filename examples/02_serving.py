"""Export the model of the first example, and ask it over gRPC and REST.

The model is trained for a moment, exported with `export_for_serving`, and served by
`serving/server.py`, a small stand-in for TensorFlow Serving that runs the export in
TensorFlow's C library, as the real server does. `serving/client.py` then asks it; the
same client works with the real server (docs/serving.md).

    KERAS_BACKEND=jax python examples/02_serving.py --quick

It needs scikit-learn, matplotlib, TensorFlow beside the backend, and the packages
grpcio and tensorflow-serving-api.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

from keras_mmembed import export_for_serving, with_lengths

HERE = Path(__file__).parent
MODEL = "vqa"


def load_vqa():
    """Return the module of the first example."""
    path = HERE / "01_visual_question_answering.py"
    spec = importlib.util.spec_from_file_location("visual_question_answering", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trained_model(vqa, quick):
    """Return the model with positions, and boards to test it on."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    train_digits, test_digits = vqa.split_digits(rng)
    number = vqa.BATCH * (48 if quick else 320)
    inputs, answers, _ = vqa.make_boards(rng, *train_digits, number)
    model = vqa.make_model(positions=True)
    vqa.train(model, inputs, answers, epochs=1 if quick else 6)
    return model, vqa.make_boards(rng, *test_digits, 8)


def as_requests(inputs):
    """Return the inputs with lengths, and padded as a server pads: not with zeros."""
    words = inputs["words"]
    is_word = words != 0
    return {
        "words": np.where(is_word, words, words[:, :1]),
        "words_lengths": is_word.sum(axis=1).astype("int32"),
        "board": inputs["board"],
    }


def ask(folder, requests, directory):
    """Start the server, ask it with the client, and return the answers."""
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
        server.stdin.close()  # which ends the server
        server.wait(timeout=60)
    with np.load(folder / "answers.npz") as answers:
        return dict(answers)


def main():
    """Train, export, serve and ask."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="train for seconds only")
    parser.add_argument("--output", type=Path, default=Path("serving_output"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    vqa = load_vqa()
    model, (inputs, answers, questions) = trained_model(vqa, options.quick)
    requests = as_requests(inputs)
    served = with_lengths(model, ["words"])
    export = export_for_serving(served, options.output / MODEL, warmup=[requests])
    print(f"\n{export}\n")
    got = ask(options.output, requests, options.output / MODEL)["output_0"]
    expected = model.predict(inputs, verbose=0)
    for question, answer, scores in zip(questions, answers, got, strict=True):
        print(f"{vqa.QUESTIONS[question]} {scores.argmax()} (right: {answer})")
    difference = np.abs(got - expected).max()
    print(
        f"\nTrained on {keras.backend.backend()}, served from TensorFlow's C library: "
        f"largest difference of {len(got)} predictions {difference:.1e}"
    )
    assert difference < 1e-4, difference


if __name__ == "__main__":
    main()
