"""The reader of safetensors beside the package of that name, on files with faults."""

import numpy as np
import pytest
from safetensors_files import mutants

from keras_mmembed.published.reader import open_source

safetensors = pytest.importorskip("safetensors")


def theirs(path):
    with safetensors.safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def test_what_is_read_is_what_safetensors_reads(tmp_path):
    path, read = tmp_path / "model.safetensors", 0
    for data in mutants(500, seed=1):
        path.write_bytes(data)
        try:
            tensors = open_source("reader", path)
        except ValueError:
            continue
        # bfloat16 is no dtype of NumPy
        if any(getattr(one, "dtype", None) == "BF16" for one in tensors.values()):
            continue
        expected = theirs(path)
        assert tensors.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(tensors[name].read(), array)
        read += 1
    assert read > 20
