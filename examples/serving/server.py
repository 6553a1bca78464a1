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
MOST_BYTES = 64 * 2**20
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
        except (KeyError, ValueError) as error:
            text = f"cannot read the request: {error}"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
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
        length = int(self.headers.get("Content-Length", 0))
        if not match or length > MOST_BYTES:
            self.answer(404 if not match else 413, {"error": f"cannot do {self.path}"})
            return
        try:
            body = json.loads(self.rfile.read(length))
            signature = body.get("signature_name", "serving_default")
            arrays = read_body(body, self.served.model.signatures.get(signature))
            outputs = self.served.predict(arrays, signature, match[1])
        except TensorFlowError as error:
            self.answer(HTTP_STATUS.get(error.code, 500), {"error": str(error)})
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            self.answer(400, {"error": f"cannot read the request: {error}"})
        else:
            self.answer(200, make_body(outputs, in_rows="instances" in body))

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


def read_body(body, signature):
    """Return the arrays in a JSON request, with the dtypes of the signature."""
    if signature is None:
        raise ValueError("there is no such signature")
    if "instances" in body:
        rows, names = body["instances"], list(signature.inputs)
        if not isinstance(rows[0], dict):  # a single input may have no name
            rows = [{names[0]: row} for row in rows]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
    else:
        columns = body["inputs"]
        if not isinstance(columns, dict):
            columns = {next(iter(signature.inputs)): columns}
    return {
        name: np.array(values, DTYPES[signature.inputs[name].dtype])
        for name, values in columns.items()
    }


def make_body(outputs, in_rows):
    """Return the response as TensorFlow Serving does: a single output has no name."""
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
        options=[("grpc.max_receive_message_length", MOST_BYTES)],
    )
    service = PredictionService(served)
    protos.add_PredictionServiceServicer_to_server(service, grpc_server)
    grpc_port = grpc_server.add_insecure_port(f"{HOST}:{options.grpc_port}")
    handler = type("Handler", (RestHandler,), {"served": served, "timeout": 30})
    rest_server = ThreadingHTTPServer((HOST, options.rest_port), handler)
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
