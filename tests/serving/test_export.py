"""Exports for a server, run as a server runs them: by the C library, without XLA."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import processes
import pytest
import serving_models
import whole_models

import keras_mmembed as mm

pytestmark = [
    pytest.mark.serving,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None,
        reason="the export is written by TensorFlow",
    ),
]
EXHAUSTIVE = pytest.mark.exhaustive
WORKER = Path(__file__).with_name("c_library_worker.py")


def in_c_library(export, calls, folder):
    """Return the answers of an export to pairs of a signature and arrays by name."""
    arrays = {
        f"{signature}/{index}/{name}": array
        for index, (signature, request) in enumerate(calls)
        for name, array in request.items()
    }
    np.savez(folder / "requests.npz", **arrays)
    files = [folder / f"{name}.npz" for name in ("requests", "answers")]
    processes.run(WORKER, export.path, *files)
    answers = [{} for _ in calls]
    with np.load(files[1]) as file:
        for key in file:
            _, index, name = key.split("/")
            answers[int(index)][name] = file[key]
    return answers


def test_a_trained_model_gives_its_answers_in_the_c_library(tmp_path):
    pytest.importorskip("sklearn", reason="the digits of the example")
    model, inputs = whole_models.vqa()
    before = model.predict_on_batch(inputs)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(inputs, np.arange(8))
    some = {name: values[:2] for name, values in inputs.items()}
    export = mm.export_for_serving(model, tmp_path / "vqa", warmup=[some])
    assert export.path == tmp_path / "vqa" / "1"
    requests = [
        {
            "text": inputs["text"][:batch, :length],
            "board": inputs["board"][:batch, :height, :width],
        }
        for batch, length, height, width in (
            (1, 1, 1, 1),
            (1, 5, 2, 3),
            (3, 6, 3, 1),
            (8, 7, 3, 3),
        )
    ]
    calls = [(name, r) for name in ("serve", "serving_default") for r in requests]
    answers = in_c_library(export, calls, tmp_path)
    for (_, request), answer in zip(calls, answers, strict=True):
        assert list(answer) == ["output_0"]
        expected = model.predict_on_batch(request)
        np.testing.assert_allclose(answer["output_0"], expected, atol=1e-5, rtol=0)
    assert np.abs(model.predict_on_batch(inputs) - before).max() > 1e-3


def test_an_answer_is_generated_in_the_c_library(tmp_path):
    decoder, model = serving_models.generator()
    rng, calls = np.random.default_rng(0), []
    for batch, length, height, width in ((1, 5, 1, 2), (2, 9, 2, 3)):
        image = rng.normal(size=(batch, height, width, 6)).astype("float32")
        places = np.arange(length)[None].repeat(batch, 0) < height * width
        text = rng.integers(0, 9, (batch, length)).astype("int32")
        request = {"text": text, "image": image, "places": places}
        calls.append(("serve", request))
    warmup = [calls[0][1]]
    export = mm.export_for_serving(model, tmp_path / "answers", warmup=warmup)
    answers = in_c_library(export, calls, tmp_path)
    for (_, request), answer in zip(calls, answers, strict=True):
        inputs = {name: request[name] for name in ("text", "image")}
        places = {"image": request["places"]}
        expected = decoder.generate(inputs, 4, placeholders=places)
        np.testing.assert_array_equal(answer["answer"], expected)


# the policy of the model, the dtype of its image, and the tolerance
HALF = [
    pytest.param(("mixed_bfloat16", "bfloat16", 2e-2), id="bfloat16"),
    pytest.param(("float16", "float16", 2e-3), id="float16", marks=EXHAUSTIVE),
]
OUTPUTS = ("fused_embeddings", "fused_mask", "pooled")


@pytest.fixture(scope="module", params=HALF)
def half(request, tmp_path_factory):
    """A model of half precision with its tolerance, export and warmup requests."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("half")
    (folder / "4").mkdir()
    *dtypes, tolerance = request.param
    model = whole_models.fused(*dtypes)
    warmup = [
        serving_models.requests(model, words=(2, 3), valid=(2, 3), image=(2, 4, 5, 6)),
        # long enough for a size of more than one byte in the record
        serving_models.requests(model, seed=1, words=(300, 2), valid=(300, 2)),
    ]
    endpoints = {"text": ["words", "valid"]}
    export = mm.export_for_serving(model, folder, endpoints=endpoints, warmup=warmup)
    return model, tolerance, export, warmup


def test_half_precision_and_endpoints_in_the_c_library(half, tmp_path):
    model, tolerance, export, _ = half
    calls = [
        (
            "serving_default",
            serving_models.requests(
                model, words=(b, n), valid=(b, n), image=(b, h, w, 6)
            ),
        )
        for b, n, h, w in ((1, 1, 1, 1), (1, 6, 2, 3), (3, 2, 4, 1), (2, 7, 1, 5))
    ]
    for _, request in calls[:2]:
        calls.append(("text", {name: request[name] for name in ("words", "valid")}))
    answers = in_c_library(export, calls, tmp_path)
    for (_, request), answer in zip(calls, answers, strict=True):
        expected = model.predict_on_batch({"image": None, **request})
        assert sorted(answer) == sorted(OUTPUTS)
        assert answer["pooled"].dtype == np.float32
        pooled = expected["pooled"].astype("float32")
        np.testing.assert_allclose(answer["pooled"], pooled, atol=tolerance)
        mask = expected["fused"]["mask"]
        np.testing.assert_array_equal(answer["fused_mask"], mask, strict=True)


def test_what_was_written_and_compared(half):
    _, _, export, warmup = half
    folder = export.path.parent
    assert sorted(path.name for path in folder.iterdir()) == ["4", "5"]
    assert (export.version, export.outputs) == (5, OUTPUTS)
    text = (("words", "int32", (None, None)), ("valid", "bool", (None, None)))
    image = ("image", "float32", (None, None, None, 6))
    assert export.endpoints == {"serve": (*text, image), "text": text}
    made = [
        {"words": (b, b + 1), "valid": (b, b + 1), "image": (b, b + 1, b + 1, 6)}
        for b in (1, 2, 3, 4)
    ]
    of_text = [{name: shapes[name] for name in ("words", "valid")} for shapes in made]
    real = [{name: array.shape for name, array in each.items()} for each in warmup]
    assert [(endpoint, shapes) for endpoint, shapes, _ in export.compared] == [
        *(("serve", shapes) for shapes in made),
        *(("text", shapes) for shapes in of_text),
        ("serve", real[0]),
        ("text", real[1]),
    ]
    assert all(0 <= difference < 6e-2 for _, _, difference in export.compared)
    lines = str(export).split("\n")
    assert lines[0] == f"version 5 in {export.path}"
    assert lines[2] == (
        "text: words int32 (None, None), valid bool (None, None) -> "
        "fused_embeddings, fused_mask, pooled"
    )
    assert lines[-1] == (
        "  text: words (300, 2), valid (300, 2): differs by "
        f"{export.compared[-1][2]:.1e}"
    )
    operations = operations_of(export.path / "saved_model.pb")
    assert "MatMul" in operations
    assert not [name for name in operations if "Xla" in name or "Py" in name]


def operations_of(path):
    """Return the types of all operations of a SavedModel."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = graph.library.function
    nodes = [*graph.node, *(node for f in functions for node in f.node_def)]
    return {node.op for node in nodes}


def test_warmup_records_are_those_of_the_server(half):
    logs = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2", reason="an extra package"
    )
    import tensorflow as tf

    _, _, export, warmup = half
    path = export.path / "assets.extra" / "tf_serving_warmup_requests"
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    for record, endpoint, arrays in zip(
        records, ("serve", "text"), warmup, strict=True
    ):
        request = logs.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.signature_name == endpoint
        assert set(request.inputs) == set(arrays)
        for name, value in arrays.items():
            got = tf.make_ndarray(request.inputs[name])
            np.testing.assert_array_equal(got, value, strict=True)


def test_lengths_survive_the_padding_of_a_server(tmp_path):
    served, batch, expected = serving_models.padded_reader()
    export = mm.export_for_serving(served, tmp_path / "reader", warmup=[batch])
    (answer,) = in_c_library(export, [("serve", batch)], tmp_path)
    np.testing.assert_allclose(answer["output_0"], expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.parametrize("mode", ["int8", pytest.param("int4", marks=EXHAUSTIVE)])
def test_quantized_attention(tmp_path, mode):
    """Not even the `.keras` file of a quantised attention of Keras can be loaded."""
    model = serving_models.transformer(num_layers=1)
    shapes = [
        {"text": (b, n), "valid": (b, n), "image": (b, h, w, 6)}
        for b, n, h, w in ((2, 3, 2, 1), (3, 5, 1, 4))
    ]
    calls = [("serve", serving_models.requests(model, **each)) for each in shapes]
    exact = model.predict_on_batch(calls[0][1])["scores"]
    model.quantize(mode)
    export = mm.export_for_serving(model, tmp_path)
    for (_, request), answer in zip(
        calls, in_c_library(export, calls, tmp_path), strict=True
    ):
        expected = model.predict_on_batch(request)["scores"]
        np.testing.assert_allclose(answer["scores"], expected, atol=2e-2)
        assert np.abs(expected).max() > 0.1
    first = model.predict_on_batch(calls[0][1])["scores"]
    assert 0 < np.abs(first - exact).max() < 0.2
