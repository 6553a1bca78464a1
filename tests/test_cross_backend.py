"""A file saved on one backend gives the same numbers on every other."""

import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from processes import run

pytestmark = pytest.mark.cross_backend
BACKENDS = ("tensorflow", "jax", "torch")
WORKER = Path(__file__).parent / "helpers" / "cross_backend_worker.py"
# JAX compiles more than it computes
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("files")

    def work(task, backend):
        run(WORKER, task, directory, backend, KERAS_BACKEND=backend, **QUIET)

    with ThreadPoolExecutor(2) as pool:
        for task in ("save", "load"):
            list(pool.map(functools.partial(work, task), BACKENDS))
    return directory


@pytest.mark.parametrize("reader", BACKENDS)
@pytest.mark.parametrize("writer", BACKENDS)
def test_every_case_travels(directory, writer, reader):
    files = sorted((directory / writer).glob("*.keras"))
    assert files
    for file in files:
        expected = np.load(file.with_suffix(".npy"))
        got = np.load(file.with_suffix(f".{reader}.npy"))
        np.testing.assert_allclose(got, expected, atol=1e-5, err_msg=file.stem)


@pytest.mark.parametrize("reader", BACKENDS)
@pytest.mark.parametrize("writer", BACKENDS)
def test_whole_models_travel(directory, writer, reader):
    """Trained and compiled or not; and compiled again they train alike everywhere."""
    for name in ("others", "untrained", "trained"):
        path = directory / writer / "models" / name
        expected = np.load(path.with_suffix(".npy"))
        got = np.load(path.with_suffix(f".{reader}.npy"))
        np.testing.assert_allclose(got, expected, atol=1e-5, err_msg=name)
    trained = np.load(path.with_suffix(f".{reader}.after.npy"))
    assert np.abs(trained - expected).max() > 1e-4
    same = np.load(path.with_suffix(f".{writer}.after.npy"))
    np.testing.assert_allclose(trained, same, atol=1e-5)


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_a_training_step_is_the_same(directory, backend):
    files = sorted((directory / "jax").glob("*.jax.npz"))
    assert files
    for file in files:
        expected = np.load(file)
        got = np.load(file.with_name(file.name.replace(".jax.", f".{backend}.")))
        assert set(got) == set(expected)
        for path in expected:
            np.testing.assert_allclose(
                got[path], expected[path], atol=1e-5, err_msg=f"{file.stem} {path}"
            )
