"""Every message of an export, and the directory that it leaves as it was."""

import functools
import importlib.util
import os

import keras
import numpy as np
import pytest
import serving_models
import whole_models
from messages import Mistake, assert_message, each

import keras_mmembed as mm

BACKEND = keras.backend.backend()
fused = functools.cache(whole_models.fused)


def export(model, **arguments):
    """Return the mistake to export what `model` makes, into a folder of a path."""

    def act(path):
        named = {"directory": path / "models", **arguments}
        mm.export_for_serving(model(), **named)

    return Mistake("export_for_serving", act)


def of_inputs(inputs, outputs=lambda tensors: tensors[0]):
    """Return the mistake to export a model of such inputs and outputs."""
    return export(lambda: keras.Model(inputs, outputs(keras.tree.flatten(inputs))))


def named(*names):
    return [keras.Input((3,), name=name) for name in names]


MODELS = [
    export(lambda: keras.layers.Dense(2)).says("model", "be a keras.Model", "Dense"),
    export(lambda: keras.Sequential(name="s")).says(
        "model", "be built of keras.Input", "'s'"
    ),
    of_inputs(keras.Input((3,))).says("model", "have named inputs", "'functional"),
    of_inputs([*named("a"), keras.Input((3,))]).says(
        "model", "have named inputs", "'functional"
    ),
    of_inputs({"a": named("b", "c")}).says(
        "model", "take one tensor, a list or a dict of them", "'functional"
    ),
    of_inputs(named("a.b")).says(
        "model.input", "have names that start with a letter", "'a.b'"
    ),
    of_inputs(named("a"), lambda t: {"a b": t[0]}).says(
        "model.output", "have names that start with a letter", "'a b'"
    ),
    of_inputs(named("a", "b"), lambda t: {"x_y": t[0] + t[1], "x": {"y": t[0]}}).says(
        "model.output",
        "have names that differ when nested names are joined",
        "('x_y',)",
    ),
]


def request(**changed):
    arrays = {"words": np.ones((2, 3), "int32"), "valid": np.ones((2, 3), "bool")}
    arrays["image"] = np.ones((2, 2, 2, 6), "float32")
    return {**arrays, **changed}


def spoilt(value):
    """Return a function that makes a model whose weights are all `value`."""

    def make():
        model = whole_models.small()
        model.set_weights([np.full_like(w, value) for w in model.get_weights()])
        return model

    return make


def ids():
    x = keras.Input((), name="x", dtype="int32")
    return keras.Model(x, x + 1)


def words():
    x = keras.Input((), name="x", dtype="string")
    return keras.Model(x, x)


ROW = {"x": np.ones((2, 3, 4))}
FINITE = "answer random requests with finite numbers"
NUMBERS = "be a request that the model answers with numbers"
VALUES = [
    export(spoilt(np.nan)).says("model", FINITE, "'small', whose 'output_0' is NaN"),
    export(spoilt(np.inf)).says("model", FINITE, "'small', whose 'output_0' is NaN"),
    export(spoilt(np.nan), warmup=[ROW]).says("warmup[0]", NUMBERS, "{'x': (2, 3, 4)}"),
    export(spoilt(np.inf), warmup=[ROW]).says("warmup[0]", NUMBERS, "{'x': (2, 3, 4)}"),
    export(words).says("model.input['x'].dtype", "be a number or bool", "string"),
    export(ids, warmup=[{"x": [2**40]}]).says(
        "warmup[0]['x']", "hold values that fit int32", "[1099511627776]"
    ),
    export(whole_models.small, warmup=[{"x": np.full((1, 1, 4), 1e300)}]).says(
        "warmup[0]['x']", "hold values that fit float32", "[1e+300]"
    ),
    export(whole_models.small, warmup=[{"x": [[[1.0] * 4], [[1.0] * 3]]}]).says(
        "warmup[0]['x']", "be an array", "list. All its rows need the same length"
    ),
    export(whole_models.small, warmup=np.ones(3)).says(
        "warmup", "be a list of dicts", "ndarray"
    ),
    export(whole_models.small, warmup=[{"x": 1, 3: 4}]).says(
        "warmup[0]", "have the inputs of one of the endpoints", "[3, 'x']"
    ),
    export(whole_models.small, endpoints={"e": [["x"]]}).says(
        "endpoints['e']", "name some of the inputs ['x']", "[['x']]"
    ),
    export(whole_models.small, directory="").says(
        "directory", "name a folder", "''. Write '.'"
    ),
    export(whole_models.small, directory="a\0b").says(
        "directory", "hold only characters of Unicode, and no NUL", "'a\\x00b'"
    ),
    export(whole_models.small, directory="a\udc80").says(
        "directory", "hold only characters of Unicode", "'a\\udc80'"
    ),
    export(whole_models.small, version=2**63).says(
        "version", "be at most 9223372036854775807", "9223372036854775808"
    ),
    export(whole_models.small, tolerance=np.inf).says("tolerance", "be finite", "inf"),
]
LETTER = "have names that start"
ARGUMENTS = [
    export(fused, directory=3).says("directory", "be a path", "int"),
    export(fused, version=0).says("version", "be at least 1", "0"),
    export(fused, version="2").says("version", "be an integer or None", "'2'"),
    export(fused, tolerance=0).says("tolerance", "be greater than 0", "0"),
    export(fused, endpoints=["words"]).says(
        "endpoints", "be a dict of input names", "list"
    ),
    export(fused, endpoints={"a-b": ["words"]}).says("endpoints", LETTER, "'a-b'"),
    export(fused, endpoints={"serve": ["words", "valid"]}).says(
        "endpoints['serve']", "have a name of its own", "'serve'"
    ),
    export(fused, endpoints={"text": ["words", "sound"]}).says(
        "endpoints['text']",
        "name some of the inputs ['words', 'valid', 'image']",
        "['words', 'sound']",
    ),
    export(fused, endpoints={"text": ["image", "words"]}).says(
        "endpoints['text']",
        "name every input that is not optional",
        "['image', 'words']. ['valid'] can be left out",
    ),
    export(fused, warmup=request()).says("warmup", "be a list of dicts", "dict"),
    export(fused, warmup=[request()] * 1001).says(
        "warmup", "hold at most 1000 requests", "1001"
    ),
    export(fused, warmup=[[1]]).says("warmup[0]", "be a dict of arrays", "list"),
    export(fused, warmup=[request(), {"words": 0}]).says(
        "warmup[1]", "have the inputs of one of the endpoints", "['words']"
    ),
    export(fused, warmup=[request(words=np.ones((2, 3)))]).says(
        "warmup[0]['words']", "be of a dtype that becomes int32", "float64"
    ),
    export(fused, warmup=[request(image=np.ones((2, 4, 6)))]).says(
        "warmup[0]['image'].shape", "fit (None, None, None, 6)", "(2, 4, 6)"
    ),
    export(fused, warmup=[request(words=np.ones((3, 3), "int32"))]).says(
        "warmup[0]",
        "have one batch size for all inputs",
        "{'words': 3, 'valid': 2, 'image': 2}",
    ),
]


@each([*MODELS, *ARGUMENTS, *VALUES])
def test_export(row, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    row.check(tmp_path)
    assert os.listdir(tmp_path) == []


def test_the_directory_is_a_file(tmp_path):
    path = tmp_path / "models"
    path.write_text("content")
    row = export(whole_models.small).says("directory", "be a folder", f"'{path}'")
    row.check(tmp_path)
    assert path.read_text() == "content"


def test_the_name_of_the_directory_is_too_long(tmp_path):
    with pytest.raises(OSError) as error:
        mm.export_for_serving(whole_models.small(), tmp_path / ("a" * 300))
    text = str(error.value)
    rule = "be a path that the file system takes"
    assert text.startswith(f"export_for_serving: `directory` must {rule}. Received: ")
    assert text.endswith("Nothing was exported.")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["3", "03"])
def test_the_version_exists(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / "8").write_text("")
    row = export(whole_models.small, directory=tmp_path, version=3).says(
        "version",
        f"not be in '{tmp_path}' yet",
        "3. The next free number is 9.",
    )
    row.check(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [name, "8"]


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow is the backend")
def test_tensorflow_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError) as error:
        mm.export_for_serving(whole_models.small(), tmp_path / "models")
    rule = f"be installed beside the {BACKEND} backend"
    assert_message(error, "tensorflow", rule, "nothing. Install it: pip install")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(BACKEND == "tensorflow", reason="this process exports the model")
@pytest.mark.parametrize("module", ["tests", "__main__"])
def test_classes_that_another_process_does_not_know(tmp_path, monkeypatch, module):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    layer = serving_models.Unregistered()
    rule, received = "hold only classes and functions that are", "Unregistered. Put @"
    if module == "__main__":
        layer = serving_models.CountsCalls()
        monkeypatch.setattr(serving_models.CountsCalls, "__module__", "__main__")
        rule, received = "be made of classes that another", "tests>CountsCalls of __ma"
    row = export(lambda: whole_models.small(layer=layer)).says("model", rule, received)
    row.check(tmp_path)
    assert os.listdir(tmp_path) == []


def unanswered():
    return whole_models.small(layer=keras.layers.Reshape((7, 4)))


REQUESTS = [
    export(unanswered).says("warmup", "be given, because the model does", "None"),
    export(unanswered, warmup=[{"x": np.ones((2, 5, 4))}]).says(
        "warmup[0]", "be a request that the model answers", "{'x': (2, 5, 4)}"
    ),
]


@each(REQUESTS)
def test_no_request_can_be_made_up(row, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    assert "The model says: " in row.check(tmp_path)
    assert os.listdir(tmp_path) == []
