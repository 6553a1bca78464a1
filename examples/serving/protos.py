"""The messages of TensorFlow Serving, imported without the Python of TensorFlow.

They come with the packages `tensorflow-serving-api` and `tensorflow`, or
`tensorflow-cpu`.
"""

import importlib.util
import math
import sys

import numpy as np
from c_library import DTYPES, NUMBERS


def _find_without_running(name):
    """Make the modules of a package importable without running its `__init__.py`."""
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        sys.modules[name] = importlib.util.module_from_spec(spec)


_find_without_running("tensorflow")

from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    PredictionServiceStub,
    add_PredictionServiceServicer_to_server,
)

__all__ = [
    "MOST_BYTES",
    "PredictRequest",
    "PredictResponse",
    "PredictionLog",
    "PredictionServiceServicer",
    "PredictionServiceStub",
    "add_PredictionServiceServicer_to_server",
    "to_array",
    "to_message",
]

# of a request, and of a tensor in it
MOST_BYTES = 64 * 2**20
MOST_AXES = 32
# the field with the values of a message without `tensor_content`
VALUES = {
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "bool": "bool_val",
}


def to_message(array):
    """Return the TensorProto of an array."""
    message = TensorProto(
        dtype=NUMBERS[array.dtype], tensor_content=np.ascontiguousarray(array).tobytes()
    )
    for size in array.shape:
        message.tensor_shape.dim.add(size=size)
    return message


def to_array(message):
    """Return the array of a TensorProto; raise `ValueError` if it makes no sense.

    The size is checked before memory is allocated.
    """
    if message.dtype not in DTYPES:
        raise ValueError(f"tensors of the dtype {message.dtype} cannot be read")
    dtype = DTYPES[message.dtype]
    shape = [axis.size for axis in message.tensor_shape.dim]
    count = math.prod(shape)
    if min(shape, default=0) < 0 or len(shape) > MOST_AXES:
        raise ValueError(f"no tensor has the shape {shape[:MOST_AXES]}")
    if count * dtype.itemsize > MOST_BYTES:
        raise ValueError(f"a tensor of the shape {shape} is too large")
    if message.tensor_content:
        return np.frombuffer(message.tensor_content, dtype).reshape(shape)
    if dtype == "float16":
        values = np.array(message.half_val, "uint16").view(dtype)
    else:
        values = np.array(getattr(message, VALUES.get(dtype.name, "int_val")), dtype)
    # the last value stands for all that follow
    missing = count - len(values)
    if missing > 0:
        filler = values[-1:] if len(values) else np.zeros(1, dtype)
        values = np.concatenate([values, np.repeat(filler, missing)])
    return values.reshape(shape)
