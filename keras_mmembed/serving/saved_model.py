"""The part of an export that runs on TensorFlow, here or in a process of its own."""

import keras
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.serving import signature

# operations of Python and of XLA
REFUSED = ("XlaCallModule", "XlaLaunch", "PyFunc", "PyFuncStateless", "EagerPyFunc")
WARMUP_FILE = ("assets.extra", "tf_serving_warmup_requests")


def export(model, folder, endpoints, requests, warmup):
    """Write a SavedModel, read it, and return its answers to the requests.

    Args:
        model: A model; TensorFlow is the backend.
        folder: Where to write; made here.
        endpoints: Names of the inputs by endpoint.
        requests: Pairs of an endpoint and arrays by name.
        warmup: The same, for the server.
    """
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)
    inputs = signature.inputs_by_name(model)
    for endpoint, names in endpoints.items():
        spec = {
            name: tf.TensorSpec(
                inputs[name].shape,
                signature.served_dtype(inputs[name].dtype),
                name=name,
            )
            for name in names
        }
        archive.add_endpoint(endpoint, _serving_function(model), [spec])
    archive.write_out(str(folder), verbose=False)
    _check_operations(folder)
    if warmup:
        _write_warmup(folder, warmup)
    loaded = tf.saved_model.load(str(folder))
    answers = []
    for endpoint, arrays in requests:
        tensors = {name: tf.constant(array) for name, array in arrays.items()}
        outputs = loaded.signatures[endpoint](**tensors)
        answers.append({name: output.numpy() for name, output in outputs.items()})
    return answers


def _serving_function(model):
    inputs = signature.inputs_by_name(model)

    def serve(values):
        values = {
            name: ops.cast(value, inputs[name].dtype) for name, value in values.items()
        }
        outputs = model(signature.arrange(model, values), training=False)
        return {
            name: ops.cast(output, "float32")
            if checks.is_float(output.dtype)
            else output
            for name, output in signature.outputs_by_name(outputs).items()
        }

    return serve


def _check_operations(folder):
    """Raise if the graph has operations that a server does not run by default."""
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
    refused = sorted(found & set(REFUSED))
    if refused:
        raise RuntimeError(
            f"A server does not run the operations {refused}: they need Python or XLA."
        )


def _write_warmup(folder, requests):
    """Write records of the requests, which a server replays when it loads the model."""
    import tensorflow as tf

    path = folder.joinpath(*WARMUP_FILE)
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for endpoint, arrays in requests:
            writer.write(_prediction_log(endpoint, arrays))


def _prediction_log(endpoint, arrays):
    """Return a `PredictionLog` of TensorFlow Serving, whose package is not needed."""
    import tensorflow as tf

    request = _field(1, _field(3, endpoint.encode()))
    for name, array in arrays.items():
        tensor = tf.make_tensor_proto(array).SerializeToString()
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def _field(number, content):
    """Return a field of a protocol buffer that holds bytes."""
    size, length = len(content), []
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content
