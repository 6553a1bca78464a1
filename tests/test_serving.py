"""Exports for a server, run as a server runs them: by the C library, without XLA."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import serving_models as models

import keras_mmembed as mm
from keras_mmembed import _comparison

WORKER = Path(__file__).with_name("answer_in_c_library.py")


@pytest.fixture(scope="module")
def tensorflow():
    return pytest.importorskip(
        "tensorflow", reason="the export is written by TensorFlow"
    )


def in_c_library(export, requests, folder, signature="serving_default"):
    """Return the answers of an export to every request."""
    arrays = {f"{i}/{n}": a for i, r in enumerate(requests) for n, a in r.items()}
    np.savez(folder / "requests.npz", **arrays)
    files = [str(folder / f"{name}.npz") for name in ("requests", "answers")]
    command = [sys.executable, str(WORKER), str(export.path), signature, *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = [{} for _ in requests]
    with np.load(files[1]) as file:
        for key in file:
            index, name = key.split("/")
            answers[int(index)][name] = file[key]
    return answers


def test_a_trained_model_gives_its_answers_in_the_c_library(tmp_path, tensorflow):
    vqa = models.example("01_visual_question_answering.py")
    model = vqa.make_model(positions=True)
    model.compile("adam", "sparse_categorical_crossentropy")
    inputs = {
        "words": vqa.question_tokens()[:8],
        "board": np.random.default_rng(0).random((8, 9, 64)).astype("float32"),
    }
    model.train_on_batch(inputs, np.arange(8))
    some = {name: values[:2] for name, values in inputs.items()}
    export = mm.export_for_serving(model, tmp_path / "vqa", warmup=[some])
    assert export.path == tmp_path / "vqa" / "1"
    shapes = [(1, 1), (1, 5), (3, 12), (8, 7)]
    requests = [
        {"words": inputs["words"][:batch, :length], "board": inputs["board"][:batch]}
        for batch, length in shapes
    ]
    for signature in ("serving_default", "serve"):
        answers = in_c_library(export, requests, tmp_path, signature)
        for request, answer in zip(requests, answers, strict=True):
            assert list(answer) == ["output_0"]
            expected = model.predict_on_batch(request)
            np.testing.assert_allclose(answer["output_0"], expected, atol=1e-5, rtol=0)


HALF = {"mixed_bfloat16": ("bfloat16", 2e-2), "float16": ("float16", 2e-3)}
QUANTIZED = ["int8", "int4"]
if keras.backend.backend() != "tensorflow":
    # one of each is enough for the way over the file of the model
    del HALF["float16"], QUANTIZED[1]


@pytest.mark.parametrize("dtype", HALF)
def test_names_endpoints_and_half_precision(tmp_path, dtype, tensorflow):
    image_dtype, tolerance = HALF[dtype]
    model = models.fused(dtype, image_dtype)
    names = ("fused_embeddings", "fused_mask", "pooled")
    export = mm.export_for_serving(
        model, tmp_path / "fused", version=7, endpoints={"text": ["words", "valid"]}
    )
    assert (export.version, export.outputs) == (7, names)
    assert export.endpoints == {
        "serve": (
            ("words", "int32", (None, None)),
            ("valid", "bool", (None, None)),
            ("image", "float32", (None, None, None, 6)),
        ),
        "text": (("words", "int32", (None, None)), ("valid", "bool", (None, None))),
    }
    requests = [
        models.requests(model, words=(b, n), valid=(b, n), image=(b, h, w, 6))
        for b, n, h, w in ((1, 1, 1, 1), (1, 6, 2, 3), (3, 2, 4, 1), (2, 7, 1, 5))
    ]
    for endpoint in ("serving_default", "text"):
        if endpoint == "text":
            requests = [{n: r[n] for n in ("words", "valid")} for r in requests[:2]]
        answers = in_c_library(export, requests, tmp_path, endpoint)
        for request, answer in zip(requests, answers, strict=True):
            expected = model.predict_on_batch({"image": None, **request})
            assert sorted(answer) == sorted(names)
            assert answer["pooled"].dtype == np.float32
            np.testing.assert_allclose(
                answer["pooled"],
                expected["pooled"].astype("float32"),
                atol=tolerance,
            )
            mask = expected["fused"]["mask"]
            np.testing.assert_array_equal(answer["fused_mask"], mask, strict=True)


def test_what_was_written_and_compared(tmp_path, tensorflow):
    (tmp_path / "4").mkdir()
    model = models.small(outputs=lambda y: [y, y[:, 0]])
    export = mm.export_for_serving(model, tmp_path, warmup=[{"x": np.ones((2, 9, 4))}])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "5"]
    shapes = [compared[1] for compared in export.compared]
    assert shapes == [
        {"x": shape}
        for shape in ((1, 2, 4), (2, 3, 4), (3, 4, 4), (4, 5, 4), (2, 9, 4))
    ]
    assert all(0 <= difference < 1e-5 for _, _, difference in export.compared)
    text = str(export)
    assert text.startswith(f"version 5 in {tmp_path / '5'}\n")
    assert "serve: x float32 (None, None, 4) -> output_0, output_1\n" in text
    assert f"  serve: x (2, 9, 4): differs by {export.compared[-1][2]:.1e}" in text
    operations = operations_of(export.path / "saved_model.pb")
    assert operations & {"BiasAdd", "AddV2"}
    assert not [name for name in operations if "Xla" in name or "Py" in name]


def operations_of(path):
    """Return the types of all operations of a SavedModel."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = graph.library.function
    nodes = [*graph.node, *(node for f in functions for node in f.node_def)]
    return {node.op for node in nodes}


def test_axes_of_unknown_size_differ_if_the_model_takes_that():
    def inputs(**shapes):
        return {name: keras.Input(shape, name=name) for name, shape in shapes.items()}

    def sizes(model):
        made, answers = _comparison.requests_and_answers(
            model, {"serve": tuple(model.input)}, []
        )
        assert len(answers) == 4
        return [tuple(a.shape[1] for a in arrays.values()) for _, arrays in made]

    free = inputs(a=(None, 2), b=(None, 2))
    model = keras.Model(free, keras.layers.Concatenate(axis=1)(list(free.values())))
    assert sizes(model) == [(2, 3), (3, 4), (4, 5), (5, 6)]
    same = inputs(a=(None, 2), b=(None, 2))
    model = keras.Model(same, same["a"] + same["b"])
    assert sizes(model) == [(2, 2), (3, 3), (4, 4), (5, 5)]


def test_warmup_records_are_those_of_the_server(tmp_path, tensorflow):
    logs = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2", reason="an extra package"
    )
    model = models.fused()
    requests = [
        models.requests(model, words=(2, 3), valid=(2, 3), image=(2, 4, 5, 6)),
        models.requests(model, seed=1, words=(300, 2), valid=(300, 2)),
    ]
    export = mm.export_for_serving(
        model, tmp_path, endpoints={"text": ["words", "valid"]}, warmup=requests
    )
    path = export.path / "assets.extra" / "tf_serving_warmup_requests"
    records = list(tensorflow.data.TFRecordDataset(str(path)).as_numpy_iterator())
    for record, endpoint, arrays in zip(
        records, ("serve", "text"), requests, strict=True
    ):
        request = logs.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.signature_name == endpoint
        assert set(request.inputs) == set(arrays)
        for name, value in arrays.items():
            got = tensorflow.make_ndarray(request.inputs[name])
            np.testing.assert_array_equal(got, value, strict=True)


def padded_by_a_server(requests):
    """Join requests in one batch as the server does that pads at the end.

    A tensor is padded with its own first element.
    """
    batch = {}
    for name in requests[0]:
        rows = [request[name] for request in requests]
        shape = np.max([row.shape for row in rows], axis=0)[1:]
        full = [np.full((1, *shape), row.flat[0]) for row in rows]
        for target, row in zip(full, rows, strict=True):
            target[tuple(slice(size) for size in row.shape)] = row
        batch[name] = np.concatenate(full)
    return batch


def reader():
    """Return a model of ids that are padded with 0, and of features with a mask."""
    words = keras.Input((None,), dtype="int32", name="words")
    sound = keras.Input((None, 3), name="sound")
    heard = keras.Input((None,), dtype="bool", name="heard")
    text = keras.layers.Embedding(9, 4, mask_zero=True)(words)
    fused = mm.MultiModalFusion(
        {"text": {"type": "1d", "dim": 4}, "sound": {"type": "1d", "dim": 3}},
        4,
        dropout=0.0,
        cls_token=True,
        return_dict=True,
        embeddings_initializer="random_normal",
    )({"text": text, "sound": sound}, mask={"sound": heard})
    tokens, mask = fused["embeddings"], fused["mask"][:, None, :]
    mixed = keras.layers.MultiHeadAttention(2, 4)(tokens, tokens, attention_mask=mask)
    return keras.Model({"words": words, "sound": sound, "heard": heard}, mixed[:, 0])


def test_lengths_survive_the_padding_of_a_server(tmp_path):
    model = reader()
    served = mm.with_lengths(model, {"words": None, "sound": "heard"})
    assert set(served.input) == {"words", "sound", "words_lengths", "sound_lengths"}
    rng = np.random.default_rng(0)
    requests = [
        {
            "words": rng.integers(1, 9, (1, n)).astype("int32"),
            "sound": rng.normal(size=(1, m, 3)).astype("float32"),
            "heard": np.ones((1, m), "bool"),
        }
        for n, m in ((2, 5), (4, 1), (1, 3))
    ]
    expected = np.concatenate([model.predict_on_batch(r) for r in requests])
    naive = model.predict_on_batch(padded_by_a_server(requests))
    assert np.abs(naive - expected).max() > 1e-2
    for request in requests:
        del request["heard"]
        for name in ("words", "sound"):
            length = np.array([request[name].shape[1]], "int32")
            request[f"{name}_lengths"] = length
    batch = padded_by_a_server(requests)
    np.testing.assert_allclose(served.predict_on_batch(batch), expected, atol=1e-6)
    served.save(tmp_path / "served.keras")
    loaded = keras.models.load_model(tmp_path / "served.keras")
    np.testing.assert_allclose(loaded.predict_on_batch(batch), expected, atol=1e-6)
    pytest.importorskip("tensorflow", reason="the export is written by TensorFlow")
    export = mm.export_for_serving(served, tmp_path / "reader", warmup=[batch])
    (answer,) = in_c_library(export, [batch], tmp_path)
    np.testing.assert_allclose(answer["output_0"], expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.parametrize("mode", QUANTIZED)
def test_quantized_attention(tmp_path, mode, tensorflow):
    """Not even the `.keras` file of a quantised attention of Keras can be loaded."""
    model = mm.MultiModalTransformer(
        {
            "text": {"type": "1d", "dim": 8, "vocabulary_size": 9},
            "image": {"type": "2d", "dim": 6},
        },
        8,
        num_layers=1,
        num_heads=2,
        num_outputs=3,
    )
    inputs = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "image": keras.Input((None, None, 6), name="image", optional=True),
    }
    model = keras.Model(inputs, model(inputs))
    exact = model.predict_on_batch(
        models.requests(model, text=(2, 3)) | {"image": None}
    )
    model.quantize(mode)
    export = mm.export_for_serving(model, tmp_path, endpoints={"read": ["text"]})
    requests = [
        models.requests(model, text=(2, 3)),
        models.requests(model, text=(3, 5)),
    ]
    for request, answer in zip(
        requests, in_c_library(export, requests, tmp_path, "read"), strict=True
    ):
        expected = model.predict_on_batch({**request, "image": None})
        np.testing.assert_allclose(answer["output_0"], expected, atol=2e-2)
        assert np.abs(expected).max() > 0.1
    first = model.predict_on_batch({**requests[0], "image": None})
    assert 0 < np.abs(first - exact).max() < 0.2
