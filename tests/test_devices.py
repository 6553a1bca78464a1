"""Training on several devices gives what one device gives."""

from pathlib import Path

import keras
import numpy as np
import pytest
from processes import run

WORKER = Path(__file__).parent / "helpers" / "devices_worker.py"
BACKEND = keras.backend.backend()
ONE = {"jax": "jax-one", "tensorflow": "tensorflow-one", "torch": "torch-one"}
SEVERAL = {
    "jax": ["jax-data", "jax-model"],
    "tensorflow": ["tensorflow-mirrored"],
    "torch": ["torch-ddp"],
}


def trained(task, directory):
    path = directory / f"{task}.npz"
    run(WORKER, task, path, timeout=300, TF_CPP_MIN_LOG_LEVEL="3")
    return np.load(path)


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    return trained(ONE[BACKEND], tmp_path_factory.mktemp("one"))


@pytest.mark.parametrize("task", SEVERAL[BACKEND])
def test_several_devices_train_like_one(task, one_device, tmp_path):
    several = trained(task, tmp_path)
    assert set(several) == set(one_device)
    for path, expected in one_device.items():
        np.testing.assert_allclose(several[path], expected, atol=2e-5, err_msg=path)
