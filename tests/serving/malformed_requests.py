"""Requests that make no sense, and what a server answers to them."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np

MANY = 200


def with_text(columns, text):
    return {"inputs": {**columns, "text": text}}


def bodies(columns):
    """Yield JSON bodies, or bytes, and what the error says; columns are right."""
    text = columns["text"]
    row = {name: values[0] for name, values in columns.items()}
    yield b"[" * 100_000, "too deep"
    yield b"{", "cannot read the request"
    yield b"\xff\xfe", "cannot read the request"
    yield [1], "must be an object"
    yield {}, "either `instances` or `inputs`"
    yield {"inputs": columns, "instances": [row]}, "either `instances` or `inputs`"
    yield {"inputs": columns, "signature_name": ["serve"]}, "must be a string"
    yield {"inputs": columns, "signature_name": "other"}, "no such signature"
    yield {"instances": []}, "at least one row"
    yield {"instances": 3}, "at least one row"
    yield {"instances": [row, 3]}, "the same names"
    yield {"instances": [row, {**row, "other": 1}]}, "the same names"
    yield with_text(columns, None), "values like NoneType"
    yield with_text(columns, [["a", "b"]]), "values like str"
    yield with_text(columns, [[1.7]]), "values like float"
    yield with_text(columns, [[True]]), "values like bool"
    yield with_text(columns, [[2**40]]), "cannot read the request"
    yield with_text(columns, [[1, 2], [3]]), "different lengths"
    yield with_text(columns, [[1, 2], 3]), "different lengths"
    deep = text
    for _ in range(40):
        deep = [deep]
    yield with_text(columns, deep), "too deep"
    yield {"inputs": {**columns, "board": [[[[1e300] * 3] * 3]]}}, "larger values"


def post(address, path, body, headers):
    """Return the status and the error of a request, whose headers may be wrong."""
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.putrequest("POST", path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        connection.send(body)
    except (BrokenPipeError, ConnectionResetError):
        pass  # answered before all of it was read
    with connection.getresponse() as response:
        return response.status, json.load(response).get("error")


def check_rest(address, path, arrays):
    """Assert that each request has an answer, and that the server lives on."""
    columns = {name: array.tolist() for name, array in arrays.items()}
    for body, text in bodies(columns):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, error = post(address, path, data, {"Content-Length": str(len(data))})
        assert status == 400 and text in error, (data[:80], status, error)
    for length, expected in (("abc", 400), ("-1", 400), ("", 411), ("9" * 30, 400)):
        status, error = post(address, path, b"", {"Content-Length": length})
        assert (status, "Content-Length" in error) == (expected, True), length
    large = bytes(65 * 2**20)
    status, error = post(address, path, large, {"Content-Length": str(len(large))})
    assert status == 413 and "bytes" in error


def check_many(ask, expected):
    """Assert that all are answered who ask at once."""
    with ThreadPoolExecutor(MANY) as threads:
        for answer in threads.map(lambda _: ask(), range(MANY)):
            np.testing.assert_allclose(answer, expected, atol=1e-5)
