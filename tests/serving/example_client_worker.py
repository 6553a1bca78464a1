"""Asks the server of the example, rightly and wrongly.

python example_client_worker.py GRPC_PORT REST_PORT REQUESTS.npz ANSWERS.npz
"""

import json
import sys
import urllib.request
from pathlib import Path

import grpc
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "serving"))
import client
import malformed_requests
import protos

MODEL = "vqa"


def status_of(address, change, arrays):
    """Return the status of a request after `change(request)`."""
    request = protos.PredictRequest()
    request.model_spec.name = MODEL
    for name, array in arrays.items():
        request.inputs[name].CopyFrom(protos.to_message(array))
    change(request)
    with grpc.insecure_channel(address) as channel:
        try:
            protos.PredictionServiceStub(channel).Predict(request, timeout=30)
        except grpc.RpcError as error:
            return error.code().name
    return "OK"


def rename(request):
    request.model_spec.name = "other"


def ask_for_version(request):
    request.model_spec.version.value = 7


def ask_for_signature(request):
    request.model_spec.signature_name = "other"


def leave_out(request):
    del request.inputs["board"]


def widen(request):
    wide = protos.to_array(request.inputs["text"]).astype("int64")
    request.inputs["text"].CopyFrom(protos.to_message(wide))


def ask_unknown_word(request):
    words = protos.to_array(request.inputs["text"]) + 1000
    request.inputs["text"].CopyFrom(protos.to_message(words))


def cut_off(request):
    request.inputs["text"].tensor_content = b"123"


def filter_outputs(request):
    request.output_filter.append("other")


def of_sizes(*sizes):
    """Return a change that makes a tensor of such sizes with a single value."""

    def change(request):
        message = protos.TensorProto(dtype=3, int_val=[1])
        for size in sizes:
            message.tensor_shape.dim.add(size=size)
        request.inputs["text"].CopyFrom(message)

    return change


def send_text(request):
    request.inputs["text"].CopyFrom(protos.TensorProto(dtype=7, string_val=[b"a"]))


CHANGES = {
    "OK": [lambda request: None],
    "NOT_FOUND": [rename, ask_for_version],
    "INVALID_ARGUMENT": [
        ask_for_signature,
        leave_out,
        widen,
        ask_unknown_word,
        cut_off,
        filter_outputs,
        of_sizes(10**6, 10**6),
        of_sizes(2**62, 2**62, 0),
        of_sizes(4, -1),
        of_sizes(*[1] * 70),
        send_text,
    ],
}


def check_values():
    """What other clients send: values one by one, the last one repeated."""
    message = protos.TensorProto(dtype=1, float_val=[1.5, 2.5])
    message.tensor_shape.dim.add(size=4)
    assert protos.to_array(message).tolist() == [1.5, 2.5, 2.5, 2.5]
    message = protos.TensorProto(dtype=19, half_val=[0x3C00])
    assert protos.to_array(message).tolist() == 1.0
    message = protos.TensorProto(dtype=3, int_val=[7])
    message.tensor_shape.dim.add(size=1)
    assert protos.to_array(message).dtype == np.int32


def main():
    grpc_address, rest_address = (f"127.0.0.1:{port}" for port in sys.argv[1:3])
    arrays, expected = (dict(np.load(path)) for path in sys.argv[3:5])
    expected = expected["output_0"]
    for signature in ("serving_default", "serve"):
        outputs = client.ask_grpc(grpc_address, MODEL, arrays, signature)
        np.testing.assert_allclose(outputs["output_0"], expected, atol=1e-5)
        for rows in (False, True):
            output = client.ask_rest(rest_address, MODEL, arrays, signature, rows)
            np.testing.assert_allclose(output, expected, atol=1e-5)
    for status, changes in CHANGES.items():
        for change in changes:
            assert status_of(grpc_address, change, arrays) == status, change.__name__
    for model, changed, text in (
        ("other", arrays, "cannot do"),
        (MODEL, {"text": arrays["text"]}, "inputs must be"),
        (MODEL, {**arrays, "sound": arrays["text"]}, "sound"),
    ):
        try:
            client.ask_rest(rest_address, model, changed)
        except ValueError as error:
            assert text in str(error), error
        else:
            raise AssertionError(f"{model} {sorted(changed)} was answered")
    url = f"http://{rest_address}/v1/models/{MODEL}"
    with urllib.request.urlopen(url, timeout=30) as response:
        (version,) = json.load(response)["model_version_status"]
    assert (version["version"], version["state"]) == ("1", "AVAILABLE")
    check_values()
    path = f"/v1/models/{MODEL}:predict"
    malformed_requests.check_rest(rest_address, path, arrays)
    malformed_requests.check_many(
        lambda: client.ask_rest(rest_address, MODEL, arrays), expected
    )


if __name__ == "__main__":
    main()
