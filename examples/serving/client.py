"""Sends requests over gRPC and REST, to TensorFlow Serving or to `server.py`.

    python examples/serving/client.py vqa requests.npz

sends the arrays in the file, one for each input name, to the model `vqa`. It needs the
packages `grpcio` and `tensorflow-serving-api`, and neither Keras nor a model.
"""

import argparse
import json
import urllib.error
import urllib.request

import grpc
import numpy as np
import protos

SECONDS = 30


def ask_grpc(address, model, arrays, signature="serving_default"):
    """Return the outputs by name; raises `grpc.RpcError`."""
    request = protos.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, array in arrays.items():
        request.inputs[name].CopyFrom(protos.to_message(array))
    with grpc.insecure_channel(address) as channel:
        stub = protos.PredictionServiceStub(channel)
        response = stub.Predict(request, timeout=SECONDS)
    return {n: protos.to_array(message) for n, message in response.outputs.items()}


def ask_rest(address, model, arrays, signature="serving_default", rows=False):
    """Return the outputs in the JSON response; raises `ValueError` with its error.

    In columns the body lists each input (`inputs`). In rows it lists each sample
    (`instances`), whose sequences must all have the same length.
    """
    columns = {name: array.tolist() for name, array in arrays.items()}
    body = {"signature_name": signature, "inputs": columns}
    if rows:
        samples = zip(*columns.values(), strict=True)
        instances = [dict(zip(columns, sample, strict=True)) for sample in samples]
        body = {"signature_name": signature, "instances": instances}
    request = urllib.request.Request(
        f"http://{address}/v1/models/{model}:predict",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise ValueError(json.load(error)["error"]) from error
    return answer["predictions" if rows else "outputs"]


def main():
    """Send a request over gRPC and REST, and print the responses."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="its name on the server")
    parser.add_argument("requests", help="an .npz file with an array for each input")
    parser.add_argument("--grpc", default="127.0.0.1:8500", help="host:port")
    parser.add_argument("--rest", default="127.0.0.1:8501", help="host:port")
    parser.add_argument("--signature", default="serving_default")
    parser.add_argument("--save", help="an .npz file for the answers by gRPC")
    options = parser.parse_args()
    with np.load(options.requests) as file:
        arrays = {name: file[name] for name in file}
    outputs = ask_grpc(options.grpc, options.model, arrays, options.signature)
    for name, output in outputs.items():
        print(f"gRPC: {name} {output.dtype} {output.shape}")
    by_rest = ask_rest(options.rest, options.model, arrays, options.signature)
    if not isinstance(by_rest, dict):  # one output comes without its name
        by_rest = {next(iter(outputs)): by_rest}
    for name, output in outputs.items():
        difference = np.abs(np.asarray(by_rest[name], output.dtype) - output).max()
        print(f"REST: {name} differs from gRPC by {difference:.1e}")
    if options.save:
        np.savez(options.save, **outputs)


if __name__ == "__main__":
    main()
