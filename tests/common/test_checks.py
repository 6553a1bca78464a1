"""Which values a check may look at."""

from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops

from keras_mmembed.common import tensors

GPU = SimpleNamespace(platform="gpu")
CPU = SimpleNamespace(platform="cpu")
DEVICES = [
    # the device of a tensor, and whether its values may be read
    ("/job:localhost/replica:0/task:0/device:CPU:0", True),
    ("/job:localhost/replica:0/task:0/device:GPU:0", False),
    ("cpu", True),
    (CPU, True),
    (GPU, False),
    (SimpleNamespace(device_set={0: CPU}.values()), True),
    (SimpleNamespace(device_set={0: CPU, 1: GPU}.values()), False),
    (SimpleNamespace(type="cuda"), False),
]


class Tensor:
    """A tensor on some device, which NumPy can read."""

    def __init__(self, device):
        self.device = device

    def __array__(self, dtype=None, copy=None):
        return np.arange(3)


@pytest.mark.parametrize("device, is_read", DEVICES, ids=[str(d) for d, _ in DEVICES])
def test_no_check_copies_a_tensor_from_an_accelerator(device, is_read, monkeypatch):
    monkeypatch.setattr(tensors.keras.ops, "convert_to_numpy", np.array)
    values = tensors.known_values(Tensor(device))
    assert (values is not None) == is_read


def test_tensors_of_the_backend_on_a_cpu_are_read():
    values = tensors.known_values(ops.convert_to_tensor(np.arange(3)))
    np.testing.assert_array_equal(values, np.arange(3))
