"""Exports for a server, run as a server runs them: by the C library, without XLA."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import serving_models as models
from keras import ops

import keras_mmembed as mm

pytest.importorskip("tensorflow", reason="the export is written by TensorFlow")
WORKER = Path(__file__).with_name("answer_in_c_library.py")


def in_c_library(export, requests, folder, signature="serving_default"):
    """Return the answers of an export to every request."""
    arrays = {f"{i}/{n}": a for i, r in enumerate(requests) for n, a in r.items()}
    np.savez(folder / "requests.npz", **arrays)
    files = [str(folder / f"{name}.npz") for name in ("requests", "answers")]
    command = [sys.executable, str(WORKER), str(export.path), signature, *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = [{} for _ in requests]
    with np.load(files[1]) as file:
        for key in file:
            index, name = key.split("/")
            answers[int(index)][name] = file[key]
    return answers


def predicted(model, request):
    """Return the outputs of a model of one output."""
    return np.asarray(model.predict_on_batch(request))


def test_a_trained_model_gives_its_answers_in_the_c_library(tmp_path):
    vqa = models.example("01_visual_question_answering.py")
    model = vqa.make_model(positions=True)
    model.compile("adam", "sparse_categorical_crossentropy")
    inputs = {
        "words": vqa.question_tokens()[:8],
        "board": np.random.default_rng(0).random((8, 9, 64)).astype("float32"),
    }
    model.train_on_batch(inputs, np.arange(8))
    some = {name: values[:2] for name, values in inputs.items()}
    export = mm.export_for_serving(model, tmp_path / "vqa", warmup=[some])
    assert export.path == tmp_path / "vqa" / "1"
    shapes = [(1, 1), (1, 5), (3, 12), (8, 7)]
    requests = [
        {"words": inputs["words"][:batch, :length], "board": inputs["board"][:batch]}
        for batch, length in shapes
    ]
    for signature in ("serving_default", "serve"):
        answers = in_c_library(export, requests, tmp_path, signature)
        for request, answer in zip(requests, answers, strict=True):
            assert list(answer) == ["output_0"]
            expected = predicted(model, request)
            np.testing.assert_allclose(answer["output_0"], expected, atol=1e-5, rtol=0)
