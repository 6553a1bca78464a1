"""The server and the client of the example, in processes of their own."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import processes
import pytest
import serving_models
import whole_models

import keras_mmembed as mm

pytestmark = [
    pytest.mark.serving,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow",
        reason="the server does not know where an export comes from",
    ),
]
for package in ("grpc", "sklearn", "tensorflow_serving"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs the package {package}", allow_module_level=True)

SERVER = whole_models.EXAMPLES / "serving" / "server.py"
CLIENT = Path(__file__).with_name("example_client_worker.py")
GENERATOR_CLIENT = Path(__file__).with_name("generator_client_worker.py")


@pytest.fixture(scope="module")
def vqa(tmp_path_factory):
    """A folder with a version of the model, requests and the right answers."""
    folder = tmp_path_factory.mktemp("serving")
    model, inputs = whole_models.vqa()
    requests = {name: values[:4] for name, values in inputs.items()}
    mm.export_for_serving(model, folder / "vqa", warmup=[requests])
    np.savez(folder / "requests.npz", **requests)
    answers = model.predict_on_batch(requests)
    np.savez(folder / "answers.npz", output_0=answers)
    return folder


def start(folder, *options, name="vqa"):
    command = [sys.executable, str(SERVER), str(folder / name)]
    command += ["--grpc-port=0", "--rest-port=0", *options]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_answers_as_the_model_does(vqa):
    with start(vqa, "--with-parent", "--seconds=200") as server:
        ready = json.loads(server.stdout.readline())
        assert (ready["model"], ready["version"]) == ("vqa", "1")
        files = [vqa / f"{name}.npz" for name in ("requests", "answers")]
        processes.run(CLIENT, ready["grpc"], ready["rest"], *files)
        _, stderr = server.communicate(timeout=60)
    assert server.returncode == 0
    assert "replayed 1 warmup requests" in stderr


def test_it_answers_with_generated_tokens(tmp_path):
    decoder, model = serving_models.generator()
    text = np.array([[1, 1, 3, 4], [1, 1, 7, 5]], "int32")
    image = np.random.default_rng(0).normal(size=(2, 1, 2, 6)).astype("float32")
    request = {"text": text, "image": image, "places": text == 1}
    mm.export_for_serving(model, tmp_path / "answers", warmup=[request])
    files = [tmp_path / f"{name}.npz" for name in ("requests", "right")]
    np.savez(files[0], **request)
    answer = decoder.generate(
        {"text": text, "image": image}, 4, placeholders={"image": text == 1}
    )
    np.savez(files[1], answer=answer)
    with start(tmp_path, "--with-parent", "--seconds=200", name="answers") as server:
        ready = json.loads(server.stdout.readline())
        processes.run(GENERATOR_CLIENT, ready["grpc"], *files)
        server.communicate(timeout=60)
    assert server.returncode == 0


def test_it_ends_by_itself(vqa):
    with start(vqa, "--seconds=0.1") as server:
        assert server.wait(timeout=60) == 0
