"""What `.keras` files hold, and who can read them."""

import json
import zipfile

import contracts
import keras
import numpy as np
import pytest
import whole_models as models
from processes import run
from weights import reloaded

REWRITE = "If files may change, run: python tests/contracts.py"


def test_every_class_in_a_file_has_a_contract():
    files = {path.stem for path in contracts.FOLDER.glob("*.json")}
    assert files == contracts.registered(), REWRITE


def test_contracts_hold():
    for name, cases in contracts.contracts().items():
        text = (contracts.FOLDER / f"{name}.json").read_text()
        assert cases == json.loads(text), f"{name} is saved otherwise. {REWRITE}"


def names_in(config):
    if isinstance(config, dict):
        yield config.get("class_name"), config.get("registered_name")
        for value in config.values():
            yield from names_in(value)
    elif isinstance(config, list):
        for value in config:
            yield from names_in(value)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.keras"
    models.fused().save(path)
    return path


def test_files_hold_no_functions(file):
    """Nothing in them that `safe_mode` refuses, and no class of an unknown package."""
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
    classes, registered = zip(*names_in(config), strict=True)
    assert "keras_mmembed>MultiModalFusion" in registered
    custom = {name for name in registered if name and ">" in name}
    assert {name.split(">")[0] for name in custom} == {"keras_mmembed"}
    assert not {"__lambda__", "function"} & set(classes)
    keras.models.load_model(file, safe_mode=True)


def test_a_lambda_is_refused_in_safe_mode(tmp_path):
    path = tmp_path / "model.keras"
    models.small(layer=keras.layers.Lambda(lambda x: x + 1)).save(path)
    with pytest.raises(ValueError, match="unsafe"):
        keras.models.load_model(path)


READ = """
import sys
import keras
try:
    keras.models.load_model(sys.argv[1])
except TypeError as error:
    print(error)
import keras_mmembed
print("then", type(keras.models.load_model(sys.argv[1])).__name__)
"""


def test_the_package_must_be_imported(file):
    written = run("-c", READ, file)
    for text in (
        "Could not locate class 'MultiModalFusion'",
        "make sure they are all imported",
        "keras_mmembed",
        "then Functional",
    ):
        assert text in written


def test_a_model_trains_on_after_loading(tmp_path):
    """The optimizer and its state are in the file, for the same backend."""
    model = models.small()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    x, y = np.ones((2, 3, 4), "float32"), np.zeros((2, 3, 3), "float32")
    model.train_on_batch(x, y)
    loaded = reloaded(model, tmp_path)
    for each in (model, loaded):
        each.train_on_batch(x, y)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
