"""The part of an export that runs on TensorFlow, here or in a process of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import ops

from keras_mmembed.common import tensors
from keras_mmembed.common.types import Tensor
from keras_mmembed.serving import signature
from keras_mmembed.serving.requests import Request
from keras_mmembed.serving.signature import Arrays, Endpoint

# operations of Python and of XLA
REFUSED = ("XlaCallModule", "XlaLaunch", "PyFunc", "PyFuncStateless", "EagerPyFunc")
WARMUP_FILE = ("assets.extra", "tf_serving_warmup_requests")


@dataclass(frozen=True)
class ExportJob:
    """What a SavedModel holds, and what it is asked after it is written.

    Attributes:
        endpoints: Its signatures.
        warmup: Requests that a server replays when it loads the model.
        requests: Requests whose answers are compared with those of the model.
    """

    endpoints: tuple[Endpoint, ...]
    warmup: tuple[Request, ...]
    requests: tuple[Request, ...]


def export(model: keras.Model, folder: Path, job: ExportJob) -> list[Arrays]:
    """Write a SavedModel in a new folder, and return its answers to the requests.

    TensorFlow is the backend of `model`.
    """
    _write_endpoints(model, folder, job.endpoints)
    _check_operations(folder)
    if job.warmup:
        _write_warmup(folder, job.warmup)
    return _answer_requests(folder, job.requests)


def _write_endpoints(
    model: keras.Model, folder: Path, endpoints: Sequence[Endpoint]
) -> None:
    import tensorflow as tf

    archive: Any = keras.export.ExportArchive()
    archive.track(model)
    for endpoint in endpoints:
        specs = {
            served.name: tf.TensorSpec(served.shape, served.dtype, name=served.name)
            for served in endpoint.inputs
        }
        archive.add_endpoint(endpoint.name, _serving_function(model), [specs])
    archive.write_out(str(folder), verbose=False)


def _serving_function(
    model: keras.Model,
) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """Return a function from tensors as clients send them to those they receive."""
    inputs = signature.inputs_by_name(model)

    def serve(values: dict[str, Tensor]) -> dict[str, Tensor]:
        values = {
            name: ops.cast(value, inputs[name].dtype) for name, value in values.items()
        }
        arguments = signature.inputs_in_structure(model, values)
        outputs = signature.outputs_by_name(model(arguments, training=False))
        return {name: _as_served(output) for name, output in outputs.items()}

    return serve


def _as_served(output: Tensor) -> Tensor:
    return ops.cast(output, "float32") if tensors.is_float(output.dtype) else output


def _answer_requests(folder: Path, requests: Sequence[Request]) -> list[Arrays]:
    """Return the outputs by name of a SavedModel that is read from its folder."""
    import tensorflow as tf

    loaded: Any = tf.saved_model.load(str(folder))
    answers = []
    for request in requests:
        inputs = {name: tf.constant(array) for name, array in request.arrays.items()}
        outputs = loaded.signatures[request.endpoint](**inputs)
        answers.append({name: output.numpy() for name, output in outputs.items()})
    return answers


def _check_operations(folder: Path) -> None:
    """Raise if the graph has operations that a server does not run by default."""
    refused = sorted(_operations(folder) & set(REFUSED))
    if refused:
        raise RuntimeError(
            f"A server does not run the operations {refused}: they need Python or XLA."
        )


def _operations(folder: Path) -> set[str]:
    """Return the types of the operations in all graphs of a SavedModel."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    found = set()
    for graph in (meta_graph.graph_def for meta_graph in saved.meta_graphs):
        found |= {node.op for node in graph.node}
        for function in graph.library.function:
            found |= {node.op for node in function.node_def}
            if function.attr["_XlaMustCompile"].b:
                found.add("XlaLaunch")
    return found


def _write_warmup(folder: Path, requests: Sequence[Request]) -> None:
    """Write records of the requests, which a server replays when it loads the model."""
    import tensorflow as tf

    path = folder.joinpath(*WARMUP_FILE)
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            writer.write(_prediction_log(request))


def _prediction_log(request: Request) -> bytes:
    """Return a `PredictionLog` of TensorFlow Serving, whose package is not needed."""
    import tensorflow as tf

    message = _field(1, _field(3, request.endpoint.encode()))
    for name, array in request.arrays.items():
        tensor = tf.make_tensor_proto(array).SerializeToString()
        message += _field(2, _field(1, name.encode()) + _field(2, tensor))
    return _field(6, _field(1, message))


def _field(number: int, content: bytes) -> bytes:
    """Return a field of a protocol buffer that holds bytes."""
    size, length = len(content), []
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content
