"""Exports that fail or are killed midway: nothing half-written, nothing lost."""

import contextlib
import errno
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import export_and_die
import keras
import processes
import pytest
import serving_models
import whole_models

import keras_mmembed as mm
from keras_mmembed.serving import (
    export,
    saved_model,
    tensorflow_process,
    version_folder,
)

pytestmark = [
    pytest.mark.serving,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None,
        reason="the export is written by TensorFlow",
    ),
]
resource = pytest.importorskip("resource", reason="limits of a process are POSIX")

NOBODY = 65534


def content(directory):
    """Return what every file and folder in a directory holds."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in Path(directory).rglob("*")
    }


@pytest.fixture
def directory(tmp_path):
    """A folder with a version, and a new one beside it."""
    path = tmp_path / "models"
    (path / "1" / "variables").mkdir(parents=True)
    (path / "1" / "saved_model.pb").write_bytes(b"served now")
    return path


@contextlib.contextmanager
def unchanged(directory):
    before = content(directory)
    yield
    assert content(directory) == before


@contextlib.contextmanager
def file_size_limit(size):
    """Let no file grow beyond a size, as if the disk were full."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@contextlib.contextmanager
def without_privileges():
    """Be a user whom permissions bind."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_directory():
    """A folder that every user may reach."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        (Path(path) / "1").mkdir()
        yield Path(path)
        os.chmod(path, 0o755)


def large():
    x = keras.Input((256,), name="x")
    return keras.Model(x, keras.layers.Dense(1024)(x), name="large")


FULL = "be a folder with enough space, in which you may write"


# the smaller model is written, as far as it goes, by the process on TensorFlow
@pytest.mark.parametrize("make, size", [(large, 300_000), (whole_models.small, 20_000)])
def test_no_space(directory, make, size):
    with unchanged(directory), file_size_limit(size):
        with pytest.raises(OSError) as error:
            mm.export_for_serving(make(), directory)
    text = str(error.value)
    assert text.startswith(f"export_for_serving: `directory` must {FULL}. Received: ")
    assert "File too large" in text
    assert text.endswith("Nothing was exported.")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_in_the_words_of_others(directory, monkeypatch, number):

    def write(*arguments):
        try:
            raise ValueError(f"variables; {os.strerror(number)}")
        except ValueError as error:
            raise RuntimeError("cannot close the file") from error

    monkeypatch.setattr(saved_model, "export", write)
    monkeypatch.setattr(tensorflow_process, "export", write)
    with unchanged(directory), pytest.raises(OSError) as error:
        mm.export_for_serving(whole_models.small(), directory)
    assert FULL in str(error.value) and os.strerror(number) in str(error.value)


def test_no_permission(open_directory):
    if os.geteuid():
        os.chmod(open_directory, 0o555)
    with unchanged(open_directory), without_privileges():
        with pytest.raises(OSError) as error:
            mm.export_for_serving(whole_models.small(), open_directory)
    text = str(error.value)
    assert text.startswith(f"export_for_serving: `directory` must {FULL}. Received: ")
    assert "Permission denied" in text


def pretend_to_write(model, folder, *arguments):
    """Stand in for what writes a model, where its content does not matter."""
    (folder / "saved_model").mkdir()
    (folder / "saved_model" / "saved_model.pb").write_text("new")


def test_no_permission_any_more(open_directory, monkeypatch):
    with contextlib.ExitStack() as stack:

        def compare(*arguments):
            os.chmod(open_directory, 0o555)
            stack.enter_context(without_privileges())
            return ()

        monkeypatch.setattr(export, "_write", pretend_to_write)
        monkeypatch.setattr(export, "_compare", compare)
        with pytest.raises(OSError, match="Permission denied"):
            mm.export_for_serving(whole_models.small(), open_directory)
    os.chmod(open_directory, 0o755)
    # what could not be removed is no version, and goes with the next export
    assert version_folder.versions(open_directory) == {1}
    with version_folder.staging(open_directory):
        pass
    assert os.listdir(open_directory) == ["1"]


FAULTY = [
    (
        serving_models.CountsCalls,
        "give the same answers on TensorFlow, within 1.0e-05",
        "differs",
    ),
    (
        serving_models.FailsInGraphs,
        "be written by TensorFlow",
        "has no attribute 'numpy'",
    ),
    (
        serving_models.CallsPython,
        "be written by TensorFlow",
        "the operations ['PyFunc']",
    ),
]


@pytest.mark.parametrize("layer, rule, reason", FAULTY)
def test_a_model_that_tensorflow_does_not_run_alike(directory, layer, rule, reason):
    with unchanged(directory), pytest.raises(RuntimeError) as error:
        mm.export_for_serving(whole_models.small(layer=layer()), directory)
    text = str(error.value)
    assert text.startswith(f"export_for_serving: `model` must {rule}. Received: model=")
    assert reason in text
    assert text.endswith("Nothing was exported.")


def test_the_process_on_tensorflow_is_killed(directory, monkeypatch):
    if keras.backend.backend() == "tensorflow":
        pytest.skip("there is no other process")
    wait = subprocess.Popen.wait

    def kill_and_wait(process, *arguments, **named):
        process.kill()
        return wait(process, *arguments, **named)

    monkeypatch.setattr(subprocess.Popen, "wait", kill_and_wait)
    with unchanged(directory):
        with pytest.raises(RuntimeError, match="The process ended with status -9"):
            mm.export_for_serving(whole_models.small(), directory)


def points():
    other = keras.backend.backend() != "tensorflow"
    return [p for p in export_and_die.POINTS if other or p != "while it is written"]


def test_killed_exports(tmp_path):
    started = {}
    for point in points():
        directory = tmp_path / point
        (directory / "1").mkdir(parents=True)
        (directory / "1" / "saved_model.pb").write_bytes(b"served now")
        command = [sys.executable, export_and_die.__file__, str(directory), point]
        started[directory] = subprocess.Popen(command, env=processes.environment())
    for directory, process in started.items():
        assert process.wait(timeout=300) == -signal.SIGKILL
        left = set(os.listdir(directory)) - {"1"}
        assert all(name.startswith(version_folder.PREFIX) for name in left)
        # a process on TensorFlow that is left alone holds the lock until it ends
        with version_folder.staging(directory) as (folder, _):
            assert set(os.listdir(directory)) == {"1", folder.name}
        assert content(directory) == {"1": None, "1/saved_model.pb": b"served now"}
    export = mm.export_for_serving(whole_models.small(), directory)
    assert export.path == directory / "2"
    assert sorted(os.listdir(directory)) == ["1", "2"]


def test_a_version_that_another_export_took_meanwhile(directory, monkeypatch):

    def compare(*arguments):
        (directory / "2").mkdir()
        (directory / "2" / "saved_model.pb").write_text("of another")
        return ()

    monkeypatch.setattr(export, "_write", pretend_to_write)
    monkeypatch.setattr(export, "_compare", compare)
    with pytest.raises(OSError, match="Directory not empty"):
        mm.export_for_serving(whole_models.small(), directory)
    assert (directory / "2" / "saved_model.pb").read_text() == "of another"
    assert sorted(os.listdir(directory)) == ["1", "2"]
