"""Which token may attend to which: pure functions of masks and ids."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeGuard

import keras
import numpy as np
from keras import ops

from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Tensor

EVERYONE = "*"


class HiddenRules(NamedTuple):
    """What the queries of each row of ids may not attend to; row 0 has special tokens.

    Attributes:
        of_row: `(rows,)`, the number of the rule of each row.
        visible: `(rules, rows)`, whether a rule leaves the keys of a row visible.
    """

    of_row: np.ndarray
    visible: np.ndarray


def hidden_rules(
    modalities: Sequence[str], hidden: Mapping[str, Sequence[str]]
) -> HiddenRules:
    """Return the distinct rules of `hidden`; rows that hide the same share one."""
    visible = np.ones((len(modalities) + 1,) * 2, dtype=bool)
    for name, keys in hidden.items():
        for key in keys:
            column = modalities.index(key) + 1
            if name == EVERYONE:
                visible[np.arange(len(visible)) != column, column] = False
            else:
                visible[modalities.index(name) + 1, column] = False
    distinct = list(dict.fromkeys(map(tuple, visible)))
    of_row = [distinct.index(tuple(row)) for row in visible]
    return HiddenRules(np.array(of_row, "int32"), np.array(distinct))


def rows_of(modality_ids: Tensor, num_modalities: int) -> Tensor:
    """Return the row of each token in the tables; special tokens have the first."""
    rows = ops.cast(modality_ids, "int32") + 1
    # not every backend reads the nearest row of a table
    return ops.clip(rows, 0, num_modalities)


def visible_keys(
    rules: HiddenRules, valid: Tensor, query_rows: Tensor, key_rows: Tensor
) -> Tensor:
    """Return `(batch, queries, keys)`: whether a key is valid and not hidden.

    There is no number for each pair: each rule is a mask of queries that have it, and
    one of keys.

    Shapes:
        valid, key_rows: `(batch, keys)`.
        query_rows: `(batch, queries)`.
    """
    rule = look_up(rules.of_row, query_rows)
    valid = ops.expand_dims(valid, 1)
    # (batch, rules, keys)
    visible = ops.transpose(look_up(rules.visible.T, key_rows), (0, 2, 1))
    visible = ops.logical_and(visible, valid)
    if keras.backend.backend() == "jax":  # joins all of it to one pass
        allowed = valid
        for number in range(len(rules.visible)):
            others = ops.expand_dims(ops.not_equal(rule, number), 2)
            of_rule = ops.logical_or(others, visible[:, number : number + 1])
            allowed = ops.logical_and(allowed, of_rule)
        return allowed
    # elsewhere the fastest is that a query copies the keys of its rule
    shape = ops.shape(visible)
    lines = ops.reshape(visible, (shape[0] * shape[1], shape[2]))
    start = ops.expand_dims(count(visible, axis=0) * shape[1], 1)
    return ops.take(lines, ops.add(rule, start), axis=0)


def keys_before(query: Tensor, key: Tensor, length: int | None) -> Tensor:
    """Return whether a key is not behind a query.

    Args:
        query: The index of each query, which broadcasts to `(batch, queries, keys)`.
        key: The index of each key, likewise.
        length: The number of tokens where queries are all keys, if it is known.
    """
    if not _compares_slowly(length):
        return ops.less_equal(key, query)
    # every row is the one before, moved by one: lines of 2 * length cut one shorter
    offsets = ops.arange(2 * length, dtype="int32")
    line = ops.logical_or(ops.equal(offsets, 0), ops.greater(offsets, length))
    lines = ops.reshape(ops.tile(line, length)[:-length], (length, 2 * length - 1))
    # a copy, because strided rows are slow to read
    return ops.expand_dims(ops.copy(lines[:, :length]), 0)


def same_token(query: Tensor, key: Tensor, length: int | None) -> Tensor:
    """Return whether a key is the query; the arguments are as for `keys_before`."""
    if not _compares_slowly(length):
        return ops.equal(query, key)
    return ops.expand_dims(ops.eye(length, dtype="bool"), 0)


def _compares_slowly(length: int | None) -> TypeGuard[int]:
    """Whether a backend compares broadcast numbers one by one, and need not."""
    is_known = isinstance(length, int) and length > 0
    return is_known and keras.backend.backend() == "torch"


def look_up(table: np.ndarray, index: Tensor) -> Tensor:
    """Return the entries of a small table."""
    return ops.take(ops.convert_to_tensor(table), index, axis=0)
