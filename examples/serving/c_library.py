"""Loads and runs SavedModels in the C library of TensorFlow, without its Python.

It loads a graph and runs it as a server does, with XLA disabled, which is the default
of TensorFlow Serving. The library comes with the package `tensorflow` or
`tensorflow-cpu`.
"""

import ctypes
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# tensorflow/core/framework/types.proto
DTYPES = {
    1: np.dtype("float32"),
    2: np.dtype("float64"),
    3: np.dtype("int32"),
    4: np.dtype("uint8"),
    5: np.dtype("int16"),
    6: np.dtype("int8"),
    9: np.dtype("int64"),
    10: np.dtype("bool"),
    19: np.dtype("float16"),
}
NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
INVALID_ARGUMENT = 3


class TensorFlowError(Exception):
    """An error of the C library, with its status code, the same as that of gRPC."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of a signature; -1 in `shape` is an unknown size."""

    tensor: str
    dtype: int
    shape: tuple


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of an endpoint, by the names that clients use."""

    inputs: dict
    outputs: dict


class Output(ctypes.Structure):
    """TF_Output: an output of an operation."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Buffer(ctypes.Structure):
    """TF_Buffer: bytes, and the function that frees them."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


class Library:
    """The functions of the C library that load and run a SavedModel."""

    def __init__(self, xla=False):
        # find_spec does not run the package
        spec = importlib.util.find_spec("tensorflow")
        folder = Path(spec.submodule_search_locations[0])
        # not RTLD_GLOBAL: their symbols would stand in for those of other libraries
        self.framework = ctypes.CDLL(str(folder / "libtensorflow_framework.so.2"))
        self.library = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"))
        if not xla:
            self.library._ZN10tensorflow21DisableXlaCompilationEv()

    def call(self, name, *arguments, result=None):
        """Call `name(*arguments)`; `result` is the ctypes type of what it returns."""
        function = getattr(self.library, name)
        function.restype = result
        return function(*arguments)

    def checked(self, name, *arguments, result=None):
        """Call with a status as the last argument; raise unless it is OK."""
        status = self.pointer("TF_NewStatus")
        try:
            value = self.call(name, *arguments, status, result=result)
            code = self.call("TF_GetCode", status, result=ctypes.c_int)
            if code:
                text = self.call("TF_Message", status, result=ctypes.c_char_p)
                raise TensorFlowError(code, text.decode())
            return value
        finally:
            self.call("TF_DeleteStatus", status)

    def pointer(self, name, *arguments):
        """Call a function that returns a pointer, which ctypes would cut to 32 bits."""
        value = self.call(name, *arguments, result=ctypes.c_void_p)
        return None if value is None else ctypes.c_void_p(value)

    def to_tensor(self, array):
        """Copy an array to a new TF_Tensor."""
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self.pointer(
            "TF_AllocateTensor",
            ctypes.c_int(NUMBERS[array.dtype]),
            shape,
            ctypes.c_int(array.ndim),
            ctypes.c_size_t(array.nbytes),
        )
        data = np.ascontiguousarray(array)
        target = self.pointer("TF_TensorData", tensor)
        ctypes.memmove(target, data.ctypes.data, array.nbytes)
        return tensor

    def to_array(self, tensor):
        """Copy a TF_Tensor to a new array."""
        number = self.call("TF_TensorType", tensor, result=ctypes.c_int)
        rank = self.call("TF_NumDims", tensor, result=ctypes.c_int)
        shape = [
            self.call("TF_Dim", tensor, ctypes.c_int(axis), result=ctypes.c_int64)
            for axis in range(rank)
        ]
        array = np.empty(shape, DTYPES[number])
        source = self.pointer("TF_TensorData", tensor)
        ctypes.memmove(array.ctypes.data, source, array.nbytes)
        return array


class SavedModel:
    """A loaded SavedModel that can be run; close it at the end.

    Args:
        path: The folder of one version.
        xla: Whether the library may compile with XLA. A process that has disabled XLA
            cannot enable it again.
    """

    def __init__(self, path, *, xla=False):
        self._library = Library(xla)
        library, call = self._library, self._library.call
        self._graph = library.pointer("TF_NewGraph")
        options = library.pointer("TF_NewSessionOptions")
        meta_graph = Buffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        try:
            session = library.checked(
                "TF_LoadSessionFromSavedModel",
                options,
                None,
                str(path).encode(),
                tags,
                ctypes.c_int(1),
                self._graph,
                ctypes.byref(meta_graph),
                result=ctypes.c_void_p,
            )
        finally:
            call("TF_DeleteSessionOptions", options)
        self._session = ctypes.c_void_p(session)
        content = ctypes.string_at(meta_graph.data, meta_graph.length)
        free = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)
        free(meta_graph.deallocator)(meta_graph.data, meta_graph.length)
        self.signatures = read_signatures(content)

    def run(self, arrays, signature="serving_default"):
        """Run a signature on arrays by input name; return the outputs by name.

        Names and dtypes must be those of the signature, as for a server.
        """
        if signature not in self.signatures:
            raise TensorFlowError(
                INVALID_ARGUMENT, f"no signature {signature!r} in {[*self.signatures]}"
            )
        wanted = self.signatures[signature]
        if set(arrays) != set(wanted.inputs):
            raise TensorFlowError(
                INVALID_ARGUMENT,
                f"inputs must be {sorted(wanted.inputs)}, not {sorted(arrays)}",
            )
        for name, array in arrays.items():
            dtype = DTYPES[wanted.inputs[name].dtype]
            if array.dtype != dtype:
                raise TensorFlowError(
                    INVALID_ARGUMENT, f"{name} must be {dtype}, not {array.dtype}"
                )
        return self._run(arrays, wanted)

    def _run(self, arrays, signature):
        library = self._library
        fed = [self._output(signature.inputs[name].tensor) for name in arrays]
        fetched = [self._output(info.tensor) for info in signature.outputs.values()]
        tensors = [library.to_tensor(array) for array in arrays.values()]
        results = (ctypes.c_void_p * len(fetched))()
        try:
            library.checked(
                "TF_SessionRun",
                self._session,
                None,
                (Output * len(fed))(*fed),
                (ctypes.c_void_p * len(fed))(*tensors),
                ctypes.c_int(len(fed)),
                (Output * len(fetched))(*fetched),
                results,
                ctypes.c_int(len(fetched)),
                None,
                ctypes.c_int(0),
                None,
            )
            outputs = [library.to_array(ctypes.c_void_p(result)) for result in results]
        finally:
            for tensor in [*tensors, *map(ctypes.c_void_p, results)]:
                library.call("TF_DeleteTensor", tensor)
        return dict(zip(signature.outputs, outputs, strict=True))

    def _output(self, tensor):
        name, index = tensor.split(":")
        operation = self._library.pointer(
            "TF_GraphOperationByName", self._graph, name.encode()
        )
        return Output(operation, int(index))

    def close(self):
        """Free the session and the graph."""
        self._library.checked("TF_CloseSession", self._session)
        self._library.checked("TF_DeleteSession", self._session)
        self._library.call("TF_DeleteGraph", self._graph)


def read_signatures(meta_graph):
    """Return the signatures in the bytes of a MetaGraphDef, by name."""
    signatures = {}
    for number, entry in read_fields(meta_graph):
        if number != 5:  # signature_def
            continue
        entry = dict(read_fields(entry))
        name, sides = entry[1].decode(), {1: {}, 2: {}}
        for side, content in read_fields(entry[2]):
            if side in sides:
                pair = dict(read_fields(content))
                sides[side][pair[1].decode()] = read_tensor_info(pair[2])
        if not name.startswith("__"):  # initializes the session
            signatures[name] = Signature(sides[1], sides[2])
    return signatures


def read_tensor_info(message):
    """Return the TensorInfo of a message of that name."""
    info = dict(read_fields(message))
    axes = [
        dict(read_fields(axis)) for n, axis in read_fields(info.get(3, b"")) if n == 2
    ]
    # two's complement of 64 bits: -1 is an unknown size
    sizes = [axis.get(1, 0) for axis in axes]
    shape = tuple(size - 2**64 if size >= 2**63 else size for size in sizes)
    return TensorInfo(info[1].decode(), info.get(2, 0), shape)


def read_fields(message):
    """Yield number and content of every field of a protocol buffer."""
    position = 0
    while position < len(message):
        key, position = read_integer(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, position = read_integer(message, position)
        else:
            size = {1: 8, 5: 4}.get(wire_type)
            if size is None:
                size, position = read_integer(message, position)
            value, position = message[position : position + size], position + size
        yield number, value


def read_integer(message, position):
    """Return an integer of 7 bits per byte, and the position after it."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
