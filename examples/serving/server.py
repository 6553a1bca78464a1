"""A small local server with the protocol of TensorFlow Serving, to try exports.

It loads the newest version in a directory with the C library of TensorFlow, without XLA
and without Python of TensorFlow or Keras; replays its warmup requests; and answers gRPC
`Predict` and REST. It serves this machine only, and stops by itself:

    python examples/serving/server.py models/vqa --seconds 600

It has no batching, no loading of new versions and no metrics. For production use
TensorFlow Serving; see docs/serving.md.
"""

import argparse
import json
import os
import re
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import protos
from c_library import DTYPES, INVALID_ARGUMENT, SavedModel, TensorFlowError

HOST = "127.0.0.1"
NOT_FOUND = 5
# clients that connect at once, before they are answered
BACKLOG = 1024
# of a request that is too large, so that its client reads the answer
MOST_BYTES_SKIPPED = 8 * protos.MOST_BYTES
HTTP_STATUS = {INVALID_ARGUMENT: 400, NOT_FOUND: 404}


class ServedModel:
    """The newest version in a directory, under the name of the directory."""

    def __init__(self, directory):
        directory = Path(directory)
        numbers = [p.name for p in directory.iterdir() if p.name.isdecimal()]
        if not numbers:
            sys.exit(f"{directory} has no versions, folders whose names are numbers")
        self.name = directory.resolve().name
        self.version = max(numbers, key=int)
        self.path = directory / self.version
        self.model = SavedModel(self.path)

    def predict(self, arrays, signature="", version=None):
        """Return the outputs by name; raise `TensorFlowError` for bad requests."""
        if version not in (None, "", self.version):
            raise TensorFlowError(NOT_FOUND, f"version {version} of {self.name}")
        return self.model.run(arrays, signature or "serving_default")

    def warm_up(self):
        """Replay the requests that came with the export; return their number."""
        path = self.path / "assets.extra" / "tf_serving_warmup_requests"
        records = list(read_records(path)) if path.exists() else []
        for record in records:
            request = protos.PredictionLog.FromString(record).predict_log.request
            arrays = {n: protos.to_array(m) for n, m in request.inputs.items()}
            self.predict(arrays, request.model_spec.signature_name)
        return len(records)


def read_records(path):
    """Yield the records of a TFRecord file: length, checksum, content, checksum."""
    with path.open("rb") as file:
        while header := file.read(12):
            yield file.read(struct.unpack("<Q", header[:8])[0])
            file.read(4)


class PredictionService(protos.PredictionServiceServicer):
    """gRPC: `tensorflow.serving.PredictionService/Predict`."""

    def __init__(self, served):
        self.served = served

    def Predict(self, request, context):
        spec = request.model_spec
        if spec.name != self.served.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model named {spec.name!r}")
        version = str(spec.version.value) if spec.HasField("version") else None
        try:
            arrays = {n: protos.to_array(m) for n, m in request.inputs.items()}
            outputs = self.served.predict(arrays, spec.signature_name, version)
            outputs = {name: outputs[name] for name in request.output_filter or outputs}
        except TensorFlowError as error:
            codes = {code.value[0]: code for code in grpc.StatusCode}
            context.abort(codes[error.code], str(error))
        except (KeyError, ValueError, OverflowError) as error:
            text = f"cannot read the request: {error}"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        except Exception as error:  # every request has an answer
            context.abort(grpc.StatusCode.INTERNAL, repr(error))
        response = protos.PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = int(self.served.version)
        response.model_spec.signature_name = spec.signature_name or "serving_default"
        for name, output in outputs.items():
            response.outputs[name].CopyFrom(protos.to_message(output))
        return response


class RestHandler(BaseHTTPRequestHandler):
    """REST: `POST /v1/models/<name>[/versions/<version>]:predict`."""

    served = None

    def do_GET(self):
        """Answer with the status of the served version."""
        if self.path != f"/v1/models/{self.served.name}":
            self.answer(404, {"error": f"no model at {self.path}"})
            return
        status = {"error_code": "OK", "error_message": ""}
        version = {"version": self.served.version, "state": "AVAILABLE"}
        self.answer(200, {"model_version_status": [{**version, "status": status}]})

    def do_POST(self):
        """Predict, for a request in rows (`instances`) or in columns (`inputs`)."""
        name = re.escape(self.served.name)
        match = re.fullmatch(
            rf"/v1/models/{name}(?:/versions/(\d+))?:predict", self.path
        )
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,18}", length):
            status = 400 if length else 411
            self.refuse(status, "a request needs the header Content-Length, a number")
            return
        if int(length) > protos.MOST_BYTES:
            self.skip(int(length))
            self.refuse(413, f"a request may have {protos.MOST_BYTES} bytes")
            return
        content = self.rfile.read(int(length))
        if not match:
            self.answer(404, {"error": f"cannot do {self.path}"})
            return
        self.answer(*self.predict(content, match[1]))

    def predict(self, content, version):
        """Return the status and the content of the answer to a request."""
        try:
            body = json.loads(content)
            if not isinstance(body, dict):
                raise ValueError("it must be an object")
            signature = body.get("signature_name", "serving_default")
            if not isinstance(signature, str):
                raise ValueError("`signature_name` must be a string")
            arrays = read_body(body, self.served.model.signatures.get(signature))
            outputs = self.served.predict(arrays, signature, version)
            return 200, make_body(outputs, in_rows="instances" in body)
        except TensorFlowError as error:
            return HTTP_STATUS.get(error.code, 500), {"error": str(error)}
        except RecursionError:
            return 400, {"error": "cannot read the request: its lists are too deep"}
        except (ValueError, OverflowError) as error:
            return 400, {"error": f"cannot read the request: {error}"}
        except Exception as error:  # every request has an answer
            return 500, {"error": repr(error)}

    def skip(self, length):
        """Read a request that is not used; a client that still sends reads nothing."""
        length = min(length, MOST_BYTES_SKIPPED)
        while length > 0:
            part = self.rfile.read(min(length, 2**16))
            length = length - len(part) if part else 0

    def refuse(self, status, text):
        """Answer a request whose end is not known."""
        self.close_connection = True
        self.answer(status, {"error": text})

    def answer(self, status, content):
        """Send `content` as JSON."""
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        """Log nothing."""


class RestServer(ThreadingHTTPServer):
    """Keeps clients waiting that connect at once, instead of refusing them."""

    request_queue_size = BACKLOG


def read_body(body, signature):
    """Return the arrays in a JSON request, with the dtypes of the signature."""
    if signature is None:
        raise ValueError("there is no such signature")
    if ("instances" in body) == ("inputs" in body):
        raise ValueError("it must have either `instances` or `inputs`")
    names = list(signature.inputs)
    if "instances" in body:
        columns = read_rows(body["instances"], names)
    else:
        columns = body["inputs"]
        if not isinstance(columns, dict):  # a single input may have no name
            columns = {names[0]: columns}
    for name in columns:
        if name not in signature.inputs:
            raise ValueError(f"there is no input {name!r}, but {names}")
    return {
        name: read_values(name, values, DTYPES[signature.inputs[name].dtype])
        for name, values in columns.items()
    }


def read_rows(rows, names):
    """Return the values of all rows by the name of the input."""
    if not isinstance(rows, list) or not rows:
        raise ValueError("`instances` must be a list of at least one row")
    if not isinstance(rows[0], dict):
        rows = [{names[0]: row} for row in rows]
    if not all(isinstance(row, dict) and set(row) == set(rows[0]) for row in rows):
        raise ValueError("all rows of `instances` must have the same names")
    return {name: [row[name] for row in rows] for name in rows[0]}


def read_values(name, values, dtype):
    """Return the array of nested lists, which must hold values of its dtype.

    As in TensorFlow Serving, no number becomes a bool or an integer by rounding.
    """
    shape, level = [], [values]
    while level and isinstance(level[0], list):
        size = len(level[0])
        if not all(isinstance(part, list) and len(part) == size for part in level):
            raise ValueError(f"the lists of {name!r} have different lengths")
        shape.append(size)
        level = [value for part in level for value in part]
    if len(shape) > protos.MOST_AXES:
        raise ValueError(f"the lists of {name!r} are too deep")
    kinds = {"b": {bool}, "f": {int, float}}.get(dtype.kind, {int})
    wrong = [value for value in level if type(value) not in kinds]
    if wrong:
        kind = type(wrong[0]).__name__
        raise ValueError(f"{name!r} must hold {dtype}, and has values like {kind}")
    with np.errstate(over="ignore"):
        array = np.array(level, dtype).reshape(shape)
    if dtype.kind == "f" and np.isinf(array).any():
        finite = np.isfinite(np.array(level, "float64")).reshape(shape)
        if (np.isinf(array) & finite).any():
            raise ValueError(f"{name!r} must hold {dtype}, and has larger values")
    return array


def make_body(outputs, in_rows):
    """Return the response as TensorFlow Serving does: a single output has no name."""
    sizes = {array.shape[:1] for array in outputs.values()}
    if in_rows and (len(sizes) > 1 or () in sizes):
        raise TensorFlowError(
            INVALID_ARGUMENT, "the outputs are no rows: ask with `inputs`"
        )
    lists = {name: array.tolist() for name, array in outputs.items()}
    if not in_rows:
        return {"outputs": lists if len(lists) > 1 else next(iter(lists.values()))}
    if len(lists) == 1:
        return {"predictions": next(iter(lists.values()))}
    rows = zip(*lists.values(), strict=True)
    return {"predictions": [dict(zip(lists, row, strict=True)) for row in rows]}


def serve(served, options):
    """Serve gRPC and REST until the time is over; print a line of JSON when ready."""
    grpc_server = grpc.server(
        ThreadPoolExecutor(4),
        options=[("grpc.max_receive_message_length", protos.MOST_BYTES)],
    )
    service = PredictionService(served)
    protos.add_PredictionServiceServicer_to_server(service, grpc_server)
    grpc_port = grpc_server.add_insecure_port(f"{HOST}:{options.grpc_port}")
    handler = type("Handler", (RestHandler,), {"served": served, "timeout": 30})
    rest_server = RestServer((HOST, options.rest_port), handler)
    grpc_server.start()
    threading.Thread(target=rest_server.serve_forever, daemon=True).start()
    ready = {"model": served.name, "version": served.version}
    ports = {"grpc": grpc_port, "rest": rest_server.server_port}
    print(json.dumps({**ready, **ports}), flush=True)
    closed = threading.Event()
    if options.with_parent:
        threading.Thread(target=wait_for_end, args=(closed,), daemon=True).start()
    try:
        closed.wait(timeout=options.seconds)
    finally:
        rest_server.shutdown()
        grpc_server.stop(grace=1).wait()


def wait_for_end(closed):
    """Set `closed` when the standard input ends."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    closed.set()


def main():
    """Serve the newest version in a directory."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path, help="with a folder for each version")
    parser.add_argument("--seconds", type=float, default=600, help="until it ends")
    parser.add_argument("--grpc-port", type=int, default=8500, help="0: any free one")
    parser.add_argument("--rest-port", type=int, default=8501, help="0: any free one")
    parser.add_argument(
        "--with-parent", action="store_true", help="end with the standard input"
    )
    options = parser.parse_args()
    served = ServedModel(options.directory)
    print(f"replayed {served.warm_up()} warmup requests", file=sys.stderr)
    serve(served, options)


if __name__ == "__main__":
    main()
