"""What is wrong with a value: bad values in the place of a right one, by label."""

import keras
import numpy as np


class Wrong:
    """An object that is nothing that anybody could mean."""

    def __repr__(self):
        return "<wrong>"


# of no use where arrays are expected either
PLAIN = {
    "None": None,
    "string": "nope",
    "list": ["a", 1],
    "empty list": [],
    "dict": {"nope": 1},
    "negative": -1,
    "zero": 0,
    "huge": 10**400,
    "2**40": 2**40,
    "NaN": float("nan"),
    "infinite": float("inf"),
    "bool": True,
    "one": 1,
    "float": 1.5,
    "float for int": 2.0,
    "complex": 1j,
    "array": np.ones((2, 2), "float32"),
    "object": Wrong(),
    "class": Wrong,
}


def bad_values(right):
    """Return wrong values by label, for the place of a right one."""
    values = dict(PLAIN)
    values["symbolic"] = keras.Input((2,))
    if isinstance(right, np.ndarray):
        values.update(bad_arrays(right))
    elif isinstance(right, (list, tuple)):
        values.update(bad_lists(right))
    elif isinstance(right, dict):
        values.update(bad_dicts(right))
    return values


def bad_arrays(right):
    """Return arrays that differ from a right one in one way each."""
    whole, last = right.shape, right.shape[-1:]
    floats = right.astype("float32")
    values = {
        "scalar": np.asarray(right.ravel()[0]),
        "rank + 1": right[..., None],
        "rank - 1": right[0],
        "batch + 1": np.concatenate([right, right[:1]]),
        "batch 1": right[:1],
        "batch 0": right[:0],
        "negative values": (-1 - np.abs(floats)).astype(_signed(right)),
        "zeros": np.zeros_like(right),
        "2**40 values": np.full(whole, 2**40, "int64"),
        "huge values": np.full(whole, 1e30, "float32"),
        "NaN values": np.full(whole, np.nan, "float32"),
        "infinite values": np.full(whole, np.inf, "float32"),
        "bools": right.astype(bool),
        "fractions": floats + np.float32(0.5),
        "floats": floats,
        "integers": right.astype("int32"),
        "bytes": right.astype("uint8"),
        "complex values": right.astype("complex64"),
        "strings": np.full(whole, "a"),
        "objects": np.full(whole, None),
        "lists": right.tolist(),
        "ragged lists": [[1, 2], [1]],
        "list of arrays": [np.ones((2, *last)), np.ones((3, *last))],
        "shape": whole,
    }
    if right.ndim > 1:
        values["length + 1"] = np.concatenate([right, right[:, :1]], axis=1)
        values["length 0"] = right[:, :0]
    if right.ndim > 2:
        values["width + 1"] = np.concatenate([right, right[..., :1]], axis=-1)
        values["width 1"] = right[..., :1]
        values["width 0"] = right[..., :0]
    values["symbolic"] = keras.Input(batch_shape=whole, dtype=str(right.dtype))
    return values


def bad_symbols(right):
    """Return symbolic tensors that differ from a right one in one way each."""
    whole, dtype = right.shape, str(right.dtype)
    shapes = {
        "scalar": (),
        "rank + 1": (*whole, 1),
        "rank - 1": whole[1:],
        "batch + 1": (whole[0] + 1, *whole[1:]),
        "unknown sizes": (None,) * len(whole),
    }
    if right.ndim > 1:
        shapes["length + 1"] = (whole[0], whole[1] + 1, *whole[2:])
    if right.ndim > 2:
        shapes["width + 1"] = (*whole[:-1], whole[-1] + 1)
        shapes["width 1"] = (*whole[:-1], 1)
    dtypes = ("bool", "float32", "int32", "uint8", "complex64", "string")
    return {
        **{label: symbol(shape, dtype) for label, shape in shapes.items()},
        **{f"{one} dtype": symbol(whole, one) for one in dtypes if one != dtype},
        "None": None,
        "string": "nope",
        "eager": right,
    }


def symbol(shape, dtype):
    return keras.KerasTensor(shape, dtype=dtype)


def bad_lists(right):
    """Return lists that differ from a right one in one way each."""
    first, *rest = right
    wrong = {
        "a": "a",
        "None": None,
        "0": 0,
        "-1": -1,
        "1.5": 1.5,
        "True": True,
        "NaN": float("nan"),
        "10**400": 10**400,
        "[]": [],
        "an array": np.ones(2),
    }
    return {
        "too long": [*right, first],
        "too short": list(rest),
        "an array of it": np.array(right) if not isinstance(first, dict) else None,
        **{f"of {label}": [value, *rest] for label, value in wrong.items()},
    }


def bad_dicts(right):
    """Return dicts that differ from a right one in one way each."""
    name, value = next(iter(right.items()))
    others = {key: one for key, one in right.items() if key != name}
    return {
        "empty dict": {},
        "without a key": others,
        "one key more": {**right, "nope": value},
        "key of a number": {**right, 1: value},
        "key of None": {**right, None: value},
        "list of values": list(right.values()),
    }


def _signed(right):
    return "int32" if right.dtype.kind in "iub" else right.dtype
