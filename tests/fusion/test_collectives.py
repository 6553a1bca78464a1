"""The fusion on one, two and four simulated devices, and what they send each other."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from processes import run

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Keras distributes on JAX only"
)
WORKER = Path(__file__).with_name("collectives_worker.py")
# batch axis, model axis
LAYOUTS = ("1x1", "2x1", "1x2", "4x1", "2x2")

# numbers per token that devices agree on where each has a share of the width
MOST_STATISTICS = {"forward": 3, "step": 6}
# position encodings are put together from shares of the devices
MOST_POSITIONS_SENT = 192


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return by layout the outputs, the weights after a step, and the collectives."""
    folder = tmp_path_factory.mktemp("distribution")
    run(
        WORKER,
        folder,
        *LAYOUTS,
        XLA_FLAGS="--xla_force_host_platform_device_count=4",
        # the program that users run is the one to read
        JAX_DISABLE_MOST_OPTIMIZATIONS="0",
    )
    found = {}
    for layout in LAYOUTS:
        arrays = dict(np.load(folder / f"{layout}.npz"))
        found[layout] = arrays, json.loads((folder / f"{layout}.json").read_text())
    return found


@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_the_numbers_are_those_of_one_device(results, layout):
    expected, _ = results["1x1"]
    arrays, _ = results[layout]
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(array, expected[name], atol=2e-5, err_msg=name)


@pytest.mark.parametrize("layout", ["2x1", "4x1"])
def test_a_share_of_the_batch_needs_no_other_share(results, layout):
    _, sent = results[layout]
    assert sent["forward"] == {}
    # gradients of what all samples share, and nothing that has a batch axis
    assert sent["step"]["all-reduce"] <= sent["weights"] + sent["positions"]
    assert set(sent["step"]) == {"all-reduce"}


@pytest.mark.parametrize("layout", ["1x2", "2x2"])
def test_a_share_of_a_projection_sends_only_statistics(results, layout):
    """No token is gathered: the norm works on a share of the width of each."""
    _, sent = results[layout]
    for kind in ("forward", "step"):
        most = MOST_STATISTICS[kind] * sent["tokens"]
        if kind == "step":
            most += sent["weights"] + sent["positions"]
        assert sent[kind]["all-reduce"] <= most
        others = sum(sent[kind].values()) - sent[kind]["all-reduce"]
        assert others <= MOST_POSITIONS_SENT, sent[kind]
