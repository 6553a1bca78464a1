"""Files of published weights, read without a dependency: safetensors and their index.

A safetensors file is 8 bytes for the length of a header, the header, which is JSON, and
the raw values. It holds no code, so that a file from anywhere can be opened.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np

from keras_mmembed.common import checks

# kinds of values in a file; bfloat16 is the upper half of a float32
DTYPES: dict[str, str] = {
    "BOOL": "?",
    "U8": "<u1",
    "I8": "<i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "BF16": "<u2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}
FLOATS = ("F16", "BF16", "F32", "F64")
# the limit of the format
MOST_HEADER_BYTES = 100_000_000
MOST_AXES = 32
FILE, INDEX = "model.safetensors", "model.safetensors.index.json"


class Stored(Protocol):
    """A published tensor, whose values are read when they are needed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes."""
        ...

    @property
    def is_float(self) -> bool:
        """Whether its values are floats."""
        ...

    def read(self) -> np.ndarray:
        """Return its values."""
        ...


@dataclass(frozen=True)
class FileTensor:
    """A tensor in a safetensors file.

    Attributes:
        path: The file.
        dtype: Its kind of values, a key of `DTYPES`.
        shape: The sizes of its axes.
        start: The first byte of its values in the file.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def is_float(self) -> bool:
        """Whether its values are floats."""
        return self.dtype in FLOATS

    def read(self) -> np.ndarray:
        """Return its values; those of bfloat16 in float32."""
        count = math.prod(self.shape)
        values = np.fromfile(self.path, DTYPES[self.dtype], count, offset=self.start)
        if self.dtype == "BF16":
            values = (values.astype("uint32") << 16).view("float32")
        return values.reshape(self.shape)


@dataclass(frozen=True)
class ArrayTensor:
    """A tensor that the user holds as an array."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes."""
        return self.array.shape

    @property
    def is_float(self) -> bool:
        """Whether its values are floats."""
        return self.array.dtype.kind == "f"

    def read(self) -> np.ndarray:
        """Return its values."""
        return self.array


def open_source(who: str, source: Any) -> dict[str, Stored]:
    """Return the tensors of a folder, a file or a dict of arrays, by their names.

    Args:
        who: The name of what reads, for messages.
        source: A folder with `model.safetensors` or its index, one of such files, or a
            dict of arrays.
    """
    if isinstance(source, Mapping):
        return {name: _held(who, name, value) for name, value in source.items()}
    path = as_path(who, source)
    if path.is_dir():
        found = [path / name for name in (FILE, INDEX) if (path / name).is_file()]
        if not found:
            rule = f"be a folder with {FILE} or {INDEX}"
            _refuse(who, path, rule, _files_in(path))
        path = found[0]
    if path.name.endswith(".json"):
        return dict(read_index(who, path))
    return dict(read_file(who, path))


def as_path(who: str, source: Any) -> Path:
    """Return a source that is a path, which must exist."""
    is_path = isinstance(source, (str, os.PathLike)) and isinstance(
        os.fspath(source), str
    )
    rule = "be a path of a folder or a safetensors file, or a dict of arrays"
    kind = type(source).__name__
    checks.check(is_path, who, "source", rule, kind, error=TypeError)
    path = Path(source)
    try:
        is_there = path.exists()
    except (OSError, ValueError):  # a name that no file can have
        is_there = False
    remedy = "Files of a hub are downloaded first, as by huggingface_hub."
    checks.check(is_there, who, "source", "exist", repr(str(source)), remedy)
    return path


def read_json(who: str, path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, each of whose keys comes once."""
    return _parse(who, path, path.read_bytes())


def read_index(who: str, path: Path) -> dict[str, FileTensor]:
    """Return the tensors of the files that an index lists, by their names."""
    listed = read_json(who, path).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        _refuse(who, path, "have a `weight_map` of names of tensors to files")
    held: dict[str, dict[str, FileTensor]] = {}
    for name in listed.values():
        # a name alone: no index leads out of its folder
        is_name = isinstance(name, str) and name.endswith(".safetensors")
        if not is_name or set(name) & set("/\\:\0"):
            rule = "list only files by name, in its own folder"
            _refuse(who, path, rule, f"It lists {name!r:.80}.")
        if name in held:
            continue
        if not (path.parent / name).is_file():
            _refuse(who, path, "list only files that exist", f"It lists {name!r:.80}.")
        held[name] = read_file(who, path.parent / name)
    there = {(tensor, file) for file, tensors in held.items() for tensor in tensors}
    differing = there.symmetric_difference(listed.items())
    if differing:
        name, file = sorted(differing)[0]
        rule = "list what its files hold"
        _refuse(who, path, rule, f"One of both alone has {name!r:.80} in {file!r:.80}.")
    return {name: held[file][name] for name, file in listed.items()}


def read_file(who: str, path: Path) -> dict[str, FileTensor]:
    """Return the tensors of a safetensors file, by their names.

    Whatever the header says, every byte of the file belongs to one tensor, and to one
    only.
    """
    if not path.is_file():
        _refuse(who, path, "be a folder or a file")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        fits = size >= 8 and length <= min(size - 8, MOST_HEADER_BYTES)
        if not fits:
            rule = "be a safetensors file, which begins with the length of its header"
            _refuse(who, path, rule)
        header = file.read(length)
    if not header.startswith(b"{"):
        _refuse(who, path, "have a header of JSON")
    entries = _parse(who, path, header)
    metadata = entries.pop("__metadata__", {})
    texts = [*metadata, *metadata.values()] if isinstance(metadata, dict) else [None]
    if not all(isinstance(text, str) for text in texts):
        _refuse(who, path, "have only texts in the metadata of its header")
    ranges, tensors = [], {}
    for name, entry in entries.items():
        dtype, shape, start, stop = _entry(who, path, name, entry)
        ranges.append((start, stop))
        tensors[name] = FileTensor(path, dtype, shape, 8 + length + start)
    end = 0
    for start, stop in sorted(ranges):
        if start != end:
            _refuse(who, path, "hold its tensors one behind the other, without gaps")
        end = stop
    if end != size - 8 - length:
        rule = f"end behind its tensors, at {8 + length + end} bytes"
        _refuse(who, path, rule, f"It has {size} bytes.")
    return tensors


def _entry(
    who: str, path: Path, name: str, entry: Any
) -> tuple[str, tuple[int, ...], int, int]:
    """Return dtype, shape, first and last byte that a header says of a tensor."""
    keys = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != keys:
        _refuse(who, path, f"have {sorted(keys)} for each tensor", _about(name))
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        rule = f"have tensors of a dtype among {', '.join(DTYPES)}"
        _refuse(who, path, rule, f"Tensor {name!r:.80} has {dtype!r:.80}.")
    if not _are_sizes(shape) or len(shape) > MOST_AXES:
        _refuse(who, path, "have a list of sizes as each shape", _about(name))
    if not _are_sizes(offsets) or len(offsets) != 2:
        _refuse(who, path, "have two offsets for each tensor", _about(name))
    start, stop = offsets
    itemsize = np.dtype(DTYPES[dtype]).itemsize
    # no array has more, not even one of no values
    is_array = math.prod(max(axis, 1) for axis in shape) < 2**60
    if not is_array or stop - start != itemsize * math.prod(shape):
        _refuse(who, path, "have offsets that fit each shape", _about(name))
    return dtype, tuple(shape), start, stop


def _are_sizes(value: Any) -> bool:
    """Whether a value of a header is a list of sizes: integers, no bools, from 0."""
    return isinstance(value, list) and all(
        type(one) is int and 0 <= one < 2**60 for one in value
    )


def _parse(who: str, path: Path, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        what = type(error).__name__
        _refuse(who, path, "have JSON of keys that come once", f"{what}: {error!s:.80}")
    if not isinstance(value, dict):
        _refuse(who, path, "have an object of JSON")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key comes twice")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _held(who: str, name: Any, value: Any) -> ArrayTensor:
    """Return an array of the user, as NumPy has it."""
    try:
        array = np.asarray(value)
    except Exception:  # each kind of array has errors of its own
        array = np.asarray(None)
    rule, received = "hold arrays by their names", f"{{{name!r}: {value!r:.80}}}"
    fits = isinstance(name, str) and array.dtype.kind in "fiub"
    checks.check(fits, who, "source", rule, received, error=TypeError)
    return ArrayTensor(array)


def _about(name: str) -> str:
    return f"Tensor {name!r:.80} has not."


def _files_in(folder: Path) -> str:
    """Return what is in a folder, for a message."""
    names = sorted(path.name for path in folder.iterdir())
    listed = ", ".join(names[:8]) or "nothing"
    pickled = any(name.endswith((".bin", ".pt", ".pth")) for name in names)
    remedy = " Pickled weights can hold code and are not read." if pickled else ""
    return f"It has {listed}.{remedy}"


def _refuse(who: str, path: Path, rule: str, remedy: str = "") -> NoReturn:
    raise ValueError(checks.error_text(who, "source", rule, repr(str(path)), remedy))
