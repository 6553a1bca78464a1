"""The programs of `benchmarks` run, and what they compare has the same numbers."""

import importlib.util
import json

import keras
import pytest
from processes import run

HERE = keras.backend.backend() == "torch" and importlib.util.find_spec("benchmarks")


@pytest.mark.skipif(not HERE, reason="one backend shows it, in a checkout")
def test_a_worker_measures_each_group(tmp_path):
    path = tmp_path / "results.json"
    few = ["--sizes", "one sample", "--modes", "eager", "--rounds", "1"]
    run("-m", "benchmarks.worker", path, "--parts", "times", *few)
    rows = json.loads(path.read_text())["times"]
    assert {row["kind"] for row in rows} == {"forward", "step"}
    for row in rows:
        assert len(row["times"]) > 1
        assert all(seconds for seconds in row["times"].values())
