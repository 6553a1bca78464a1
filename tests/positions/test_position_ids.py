"""Positions that follow from a mask, or from the ids of packed examples."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors import array

import keras_mmembed as mm


@pytest.mark.parametrize(
    "mask, expected",
    [
        ([1, 1, 1, 0, 0], [0, 1, 2, 2, 2]),
        ([0, 0, 1, 1, 1], [0, 0, 0, 1, 2]),
        ([1, 0, 0, 1, 1], [0, 0, 0, 1, 2]),
        ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_positions_from_mask(mask, expected, dtype):
    got = mm.positions_from_mask(np.array([mask]).astype(dtype), first_index=2)
    assert array(got).tolist() == [[p + 2 for p in expected]]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=5), min_size=1))
def test_positions_of_packed_rows(rows):
    longest = max(sum(row) for row in rows)
    ids, expected = [], []
    for row in rows:
        row = [*row, longest - sum(row)]
        ids.append(np.repeat(np.arange(len(row)), row))
        expected.append(np.concatenate([np.arange(n) for n in row]))
    got = mm.positions_from_ids(np.array(ids, "int32"))
    np.testing.assert_array_equal(array(got), expected)


def test_positions_of_ids_of_several_numbers():
    column = np.array([[0, 0, 1, 1, 1, 1, 0], [2, 2, 2, 2, 3, 3, 3]], "int32")
    row = np.array([[0, 0, 0, 0, 1, 1, 1], [5, 5, 5, 4, 4, 4, 4]], "int32")
    expected = [[0, 1, 0, 1, 0, 1, 0], [0, 1, 2, 0, 0, 1, 2]]
    ids = np.stack([column, row], axis=-1)
    assert array(mm.positions_from_ids(ids)).tolist() == expected
    inputs = keras.Input((None, 2), dtype="int32")
    model = keras.Model(inputs, mm.positions_from_ids(inputs))
    assert model.predict(ids, verbose=0).tolist() == expected
