"""Safetensors files, written byte by byte: whole ones, and ones with faults."""

import json
import struct

import numpy as np

DTYPES = {"float32": "F32", "float16": "F16", "int64": "I64", "bool": "BOOL"}


def arrays_of(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "embeddings.weight": rng.normal(size=(5, 4)).astype("float32"),
        "norm.bias": rng.normal(size=(3,)).astype("float16"),
        "ids": np.arange(3),
        "flag": np.array([True, False]),
        "scale": np.array(2.5, "float32"),
        "none": np.zeros((0, 4), "float32"),
    }


def header_of(arrays):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        entry = {"dtype": DTYPES[str(array.dtype)], "shape": list(array.shape)}
        header[name] = {**entry, "data_offsets": [start, end]}
    return header


def file_of(header, values, length=None):
    """Return the bytes of a file; a header may be a dict or text."""
    text = header if isinstance(header, str) else json.dumps(header)
    text = text.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + values


def values_of(arrays):
    return b"".join(array.tobytes() for array in arrays.values())


def write(path, arrays):
    path.write_bytes(file_of(header_of(arrays), values_of(arrays)))
    return path


def write_shards(folder, shards, listed=None):
    """Write a file for each dict of arrays, and their index."""
    names = [f"model-{number}.safetensors" for number in range(len(shards))]
    for name, arrays in zip(names, shards, strict=True):
        write(folder / name, arrays)
    found = {
        key: name for name, arrays in zip(names, shards, strict=True) for key in arrays
    }
    index = {"metadata": {}, "weight_map": found if listed is None else listed}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    return path


def mutants(count, seed=0):
    """Yield the bytes of files with faults: flipped bits, cuts, edited headers."""
    arrays, rng = arrays_of(), np.random.default_rng(seed)
    whole, header = file_of(header_of(arrays), values_of(arrays)), header_of(arrays)
    size = 8 + struct.unpack("<Q", whole[:8])[0]
    for number in range(count):
        kind = number % 4
        if kind == 0:  # a bit of the header, or of its length
            data, place = bytearray(whole), rng.integers(0, size)
            data[place] ^= 1 << int(rng.integers(0, 8))
            yield bytes(data)
        elif kind == 1:  # a file that ends early, or goes on
            cut = int(rng.integers(0, len(whole)))
            yield whole[:cut] if number % 8 == 1 else whole + whole[cut:]
        else:
            yield file_of(_edited(header, rng), values_of(arrays))


VALUES = (None, -1, 0, 1, 2, 3, 8, 40, 2**40, 2**63, 2.0, "4", True, [], {})


def _edited(header, rng):
    """Return a header one of whose entries is changed."""
    header = json.loads(json.dumps(header))
    name = rng.choice([name for name in header if name != "__metadata__"])
    entry, value = header[str(name)], VALUES[int(rng.integers(0, len(VALUES)))]
    edit = int(rng.integers(0, 5))
    if edit == 0:
        entry["dtype"] = rng.choice(["F16", "F64", "BF16", "F8_E4M3", "X", "U8"]).item()
    elif edit == 1 and entry["shape"]:
        entry["shape"][int(rng.integers(0, len(entry["shape"])))] = value
    elif edit == 2:
        entry["data_offsets"][int(rng.integers(0, 2))] = value
    elif edit == 3:
        key = str(rng.choice(["dtype", "shape", "data_offsets"]))
        entry[key] = value
    else:
        del header[str(name)]
    return header
