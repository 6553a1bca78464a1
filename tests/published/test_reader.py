"""Files of published weights: what is read of them, and what is refused."""

import json

import numpy as np
import pytest
from safetensors_files import (
    arrays_of,
    file_of,
    header_of,
    mutants,
    values_of,
    write,
    write_shards,
)

from keras_mmembed.published.reader import open_source

MESSAGE = r"(?s)^reader: `source` must .*\. Received: source=.*\."


def read(source):
    return {name: one.read() for name, one in open_source("reader", source).items()}


def same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


def test_a_file_a_folder_an_index_and_arrays_hold_the_same(tmp_path):
    arrays = arrays_of()
    file = write(tmp_path / "model.safetensors", arrays)
    shards = [dict(list(arrays.items())[:2]), dict(list(arrays.items())[2:])]
    (tmp_path / "shards").mkdir()
    index = write_shards(tmp_path / "shards", shards)
    for source in (file, str(file), tmp_path, index, index.parent, arrays):
        same(read(source), arrays)


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    upper = values.view("uint32") >> 16
    entry = {"dtype": "BF16", "shape": [3, 4], "data_offsets": [0, 24]}
    path = tmp_path / "one.safetensors"
    path.write_bytes(file_of({"x": entry}, upper.astype("<u2").tobytes()))
    same(read(path), {"x": (upper << 16).view("float32")})


HEADER, VALUES = header_of(arrays_of()), values_of(arrays_of())


def changed(name, **entry):
    return {**HEADER, name: {**HEADER[name], **entry}}


FAULTS = {
    "empty": (b"", "begins with the length of its header"),
    "huge": (file_of(HEADER, VALUES, 10**12), "begins with the length of its header"),
    "list": (file_of("[1]", b""), "have a header of JSON"),
    "text": (file_of("{1}", b""), "have JSON of keys that come once"),
    "twice": (file_of('{"a": 1, "a": 1}', b""), "a key comes twice"),
    "deep": (file_of('{"a":' + "[" * 100_000, b""), "RecursionError"),
    "nan": (file_of('{"a": NaN}', b""), "NaN is no JSON"),
    "metadata": (file_of({**HEADER, "__metadata__": {"a": 1}}, VALUES), "only texts"),
    "keys": (file_of(changed("ids", more=1), VALUES), "for each tensor. .* 'ids' has"),
    "dtype": (
        file_of(changed("ids", dtype="F8_E4M3"), VALUES),
        "dtype among BOOL, .* 'ids' has 'F8_E4M3'",
    ),
    "shape": (file_of(changed("ids", shape=[True]), VALUES), "a list of sizes"),
    "axes": (file_of(changed("scale", shape=[1] * 99), VALUES), "a list of sizes"),
    "offsets": (file_of(changed("ids", data_offsets=[1]), VALUES), "two offsets"),
    "sizes": (file_of(changed("ids", shape=[4]), VALUES), "offsets that fit"),
    "empty and huge": (
        file_of(changed("none", shape=[0, 2**40, 2**40]), VALUES),
        "offsets that fit",
    ),
    "overlap": (
        file_of(changed("ids", data_offsets=[80, 104]), VALUES),
        "one behind the other",
    ),
    "gap": (
        file_of({n: e for n, e in HEADER.items() if n != "ids"}, VALUES),
        "one behind the other",
    ),
    "cut": (file_of(HEADER, VALUES[:-1]), r"end behind its tensors.* has \d+ bytes"),
    "longer": (file_of(HEADER, VALUES + b"0"), "end behind its tensors"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_with_a_fault_is_refused(name, tmp_path):
    data, rule = FAULTS[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=MESSAGE) as raised:
        open_source("reader", path)
    assert raised.match(rule)


@pytest.mark.parametrize(
    "listed, rule",
    [
        ({}, "have a `weight_map`"),
        ({"ids": 1}, "list only files by name, in its own folder.* lists 1"),
        ({"ids": "../outside.safetensors"}, "list only files by name"),
        ({"ids": "/etc/outside.safetensors"}, "list only files by name"),
        ({"ids": "a\\b.safetensors"}, "list only files by name"),
        ({"ids": "config.json"}, "list only files by name"),
        ({"ids": "model-9.safetensors"}, "list only files that exist"),
        ({"ids": "model-0.safetensors"}, "list what its files hold.*embeddings"),
        (
            dict.fromkeys([*arrays_of(), "more"], "model-0.safetensors"),
            "list what its files hold.*more",
        ),
    ],
)
def test_an_index_lists_what_is_in_its_folder(listed, rule, tmp_path):
    path = write_shards(tmp_path, [arrays_of()], listed)
    with pytest.raises(ValueError, match=rule):
        open_source("reader", path)


@pytest.mark.parametrize(
    "source, error, rule",
    [
        (3, TypeError, "be a path of a folder or a safetensors file, or a dict.*int"),
        (b"model", TypeError, "be a path of a folder"),
        ("nowhere", ValueError, "exist. Received: source='nowhere'. .*downloaded"),
        ("a\0b", ValueError, "exist"),
        ({"x": "text"}, TypeError, "hold arrays by their names.*{'x': 'text'}"),
        ({1: np.ones(2)}, TypeError, "hold arrays by their names.*{1: "),
    ],
)
def test_a_source_is_a_place_or_arrays(source, error, rule):
    with pytest.raises(error, match=f"^reader: `source` must {rule}"):
        open_source("reader", source)


def test_a_folder_has_weights_that_hold_no_code(tmp_path):
    with pytest.raises(ValueError, match=r"be a folder with .*It has nothing\.$"):
        open_source("reader", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"model\.bin. Pickled weights .* code"):
        open_source("reader", tmp_path)
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(ValueError, match=r"be a folder (or|with)"):
        open_source("reader", tmp_path / "model.safetensors")


def test_of_600_files_with_faults_none_crashes_or_misleads(tmp_path):
    path, refused = tmp_path / "model.safetensors", 0
    for data in mutants(600):
        path.write_bytes(data)
        try:
            tensors = open_source("reader", path)
        except ValueError as error:
            assert str(error).startswith("reader: `source` must ")
            refused += 1
            continue
        # what a file says of itself, and nothing else
        length = int.from_bytes(data[:8], "little")
        header, values = json.loads(data[8 : 8 + length]), data[8 + length :]
        header.pop("__metadata__", None)
        assert tensors.keys() == header.keys()
        read_bytes = 0
        for name, entry in header.items():
            start, stop = entry["data_offsets"]
            got, read_bytes = tensors[name].read(), read_bytes + stop - start
            assert list(got.shape) == entry["shape"]
            if entry["dtype"] != "BF16":
                assert got.tobytes() == values[start:stop]
        assert read_bytes == len(values)
    assert refused > 500
