"""Every message of an export, and the directory that it leaves as it was."""

import importlib.util
import os

import keras
import numpy as np
import pytest
import serving_models
import whole_models
from messages import assert_message

import keras_mmembed as mm


def of_inputs(inputs, outputs=None):
    tensors = keras.tree.flatten(inputs)
    return keras.Model(inputs, tensors[0] if outputs is None else outputs(tensors))


def named(*names):
    return [keras.Input((3,), name=name) for name in names]


def request(**changed):
    arrays = {"words": np.ones((2, 3), "int32"), "valid": np.ones((2, 3), "bool")}
    arrays["image"] = np.ones((2, 2, 2, 6), "float32")
    return {**arrays, **changed}


MODELS = [
    # what is exported, argument, rule, value received
    (lambda: keras.layers.Dense(2), "model", "be a keras.Model", "Dense"),
    (lambda: keras.Sequential(name="s"), "model", "be built of keras.Input", "'s'"),
    (lambda: of_inputs(keras.Input((3,))), "model", "have named inputs", "'functional"),
    (
        lambda: of_inputs([*named("a"), keras.Input((3,))]),
        "model",
        "have named inputs",
        "'functional",
    ),
    (
        lambda: of_inputs({"a": named("b", "c")}),
        "model",
        "take one tensor, a list or a dict of them",
        "'functional",
    ),
    (
        lambda: of_inputs(named("a.b")),
        "model.input",
        "have names that start with a letter",
        "'a.b'",
    ),
    (
        lambda: of_inputs(named("a"), lambda tensors: {"a b": tensors[0]}),
        "model.output",
        "have names that start with a letter",
        "'a b'",
    ),
    (
        lambda: of_inputs(
            named("a", "b"), lambda t: {"x_y": t[0] + t[1], "x": {"y": t[0]}}
        ),
        "model.output",
        "have names that differ when nested names are joined",
        "('x_y',)",
    ),
]
ARGUMENTS = [
    # arguments of the export of `whole_models.fused()`, argument, rule, value received
    ({"directory": 3}, "directory", "be a path", "int"),
    ({"version": 0}, "version", "be at least 1", "0"),
    ({"version": "2"}, "version", "be an integer or None", "'2'"),
    ({"tolerance": 0}, "tolerance", "be greater than 0", "0"),
    ({"endpoints": ["words"]}, "endpoints", "be a dict of input names", "list"),
    ({"endpoints": {"a-b": ["words"]}}, "endpoints", "have names that start", "'a-b'"),
    (
        {"endpoints": {"serve": ["words", "valid"]}},
        "endpoints['serve']",
        "have a name of its own",
        "'serve'",
    ),
    (
        {"endpoints": {"text": ["words", "sound"]}},
        "endpoints['text']",
        "name some of the inputs ['words', 'valid', 'image']",
        "['words', 'sound']",
    ),
    (
        {"endpoints": {"text": ["image", "words"]}},
        "endpoints['text']",
        "name every input that is not optional",
        "['image', 'words']. ['valid'] can be left out",
    ),
    ({"warmup": request()}, "warmup", "be a list of dicts", "dict"),
    ({"warmup": [request()] * 1001}, "warmup", "hold at most 1000 requests", "1001"),
    ({"warmup": [[1]]}, "warmup[0]", "be a dict of arrays", "list"),
    (
        {"warmup": [request(), {"words": 0}]},
        "warmup[1]",
        "have the inputs of one of the endpoints",
        "['words']",
    ),
    (
        {"warmup": [request(words=np.ones((2, 3)))]},
        "warmup[0]['words']",
        "be of a dtype that becomes int32",
        "float64",
    ),
    (
        {"warmup": [request(image=np.ones((2, 4, 6)))]},
        "warmup[0]['image'].shape",
        "fit (None, None, None, 6)",
        "(2, 4, 6)",
    ),
    (
        {"warmup": [request(words=np.ones((3, 3), "int32"))]},
        "warmup[0]",
        "have one batch size for all inputs",
        "{'words': 3, 'valid': 2, 'image': 2}",
    ),
]


@pytest.mark.parametrize(
    "make, argument, rule, value", MODELS, ids=[c[2] for c in MODELS]
)
def test_model(make, argument, rule, value, tmp_path):
    with pytest.raises((TypeError, ValueError)) as error:
        mm.export_for_serving(make(), tmp_path / "models")
    assert_message(error, argument, rule, value)
    assert os.listdir(tmp_path) == []


@pytest.fixture(scope="module")
def fused():
    return whole_models.fused()


@pytest.mark.parametrize(
    "arguments, argument, rule, value",
    ARGUMENTS,
    ids=[f"{c[1]}-{c[2]}" for c in ARGUMENTS],
)
def test_argument(arguments, argument, rule, value, fused, tmp_path):
    arguments = {"directory": tmp_path / "models", **arguments}
    with pytest.raises((TypeError, ValueError)) as error:
        mm.export_for_serving(fused, **arguments)
    assert_message(error, argument, rule, value)
    assert os.listdir(tmp_path) == []


def test_the_directory_is_a_file(tmp_path):
    path = tmp_path / "models"
    path.write_text("content")
    with pytest.raises(ValueError) as error:
        mm.export_for_serving(whole_models.small(), path)
    assert_message(error, "directory", "be a folder", f"'{path}'")
    assert path.read_text() == "content"


@pytest.mark.parametrize("name", ["3", "03"])
def test_the_version_exists(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / "8").write_text("")
    with pytest.raises(ValueError) as error:
        mm.export_for_serving(whole_models.small(), tmp_path, version=3)
    assert_message(error, "version", f"not be in '{tmp_path}' yet", "3. The next free")
    assert "number is 9." in str(error.value)
    assert sorted(os.listdir(tmp_path)) == [name, "8"]


def test_tensorflow_is_missing(tmp_path, monkeypatch):
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow is the backend")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError) as error:
        mm.export_for_serving(whole_models.small(), tmp_path / "models")
    rule = f"be installed beside the {keras.backend.backend()} backend"
    assert_message(error, "tensorflow", rule, "nothing. Install it: pip install")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("module", ["tests", "__main__"])
def test_classes_that_another_process_does_not_know(tmp_path, monkeypatch, module):
    if keras.backend.backend() == "tensorflow":
        pytest.skip("the model is exported by this process")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    layer = serving_models.Unregistered()
    rule, received = "hold only classes and functions that are", "Unregistered. Put @"
    if module == "__main__":
        layer = serving_models.CountsCalls()
        monkeypatch.setattr(serving_models.CountsCalls, "__module__", "__main__")
        rule, received = "be made of classes that another", "tests>CountsCalls of __ma"
    with pytest.raises(ValueError) as error:
        mm.export_for_serving(whole_models.small(layer=layer), tmp_path / "models")
    assert_message(error, "model", rule, received)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("given", [False, True])
def test_no_request_can_be_made_up(tmp_path, monkeypatch, given):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    model = whole_models.small(layer=keras.layers.Reshape((7, 4)))
    warmup = [{"x": np.ones((2, 5, 4))}] if given else None
    with pytest.raises(ValueError) as error:
        mm.export_for_serving(model, tmp_path / "models", warmup=warmup)
    if given:
        rule = "be a request that the model answers"
        assert_message(error, "warmup[0]", rule, "{'x': (2, 5, 4)}")
    else:
        assert_message(error, "warmup", "be given, because the model does", "None")
    assert "The model says: " in str(error.value)
    assert os.listdir(tmp_path) == []


LENGTHS = [
    ([], "be a list of names", "[]"),
    ("words", "be a list of names", "'words'"),
    (["sound"], "name inputs of the model, ['words', 'valid', 'image']", "'sound'"),
    ({"words": "sound"}, "name inputs of the model", "'sound'"),
    ({"words": "image"}, "name masks of the shape (batch, length)", "'image' of"),
]


@pytest.mark.parametrize("sequences, rule, value", LENGTHS)
def test_lengths(fused, sequences, rule, value):
    with pytest.raises((TypeError, ValueError)) as error:
        mm.with_lengths(fused, sequences)
    assert_message(error, "sequences", rule, value)


def test_lengths_of_what_has_none():
    x = keras.Input((), name="x")
    with pytest.raises(ValueError) as error:
        mm.with_lengths(keras.Model(x, x + 1), ["x"])
    rule = "name inputs of the shape (batch, length, ...)"
    assert_message(error, "sequences", rule, "'x' of (None,)")


def test_lengths_that_are_there():
    x, lengths = keras.Input((None,), name="x"), keras.Input((), name="x_lengths")
    model = keras.Model([x, lengths], [x, lengths])
    with pytest.raises(ValueError) as error:
        mm.with_lengths(model, ["x"])
    assert_message(error, "sequences", "name sequences without lengths", "'x'")
