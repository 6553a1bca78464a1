"""Conventions of models that no package builds offline, against their formulas."""

import numpy as np
import pytest
from reference import halves, interleaved
from tensors import encoding

import keras_mmembed as mm


def encode(layer, *shape):
    return encoding(layer, 1, *shape)[0]


@pytest.mark.parametrize(("convention", "endpoint"), [("simple_vit", 1), ("scenic", 0)])
def test_grids_with_columns_first(convention, endpoint):
    rows, columns = np.mgrid[:3, :5]
    expected = [halves(columns, 12, endpoint), halves(rows, 12, endpoint)]
    got = encode(mm.PositionEmbedding2D(convention=convention), 3, 5, 24)
    np.testing.assert_allclose(got, np.concatenate(expected, -1), atol=1e-5)


@pytest.mark.parametrize(
    ("convention", "endpoint", "order"),
    [("simple_vit", 1, (2, 1, 0)), ("scenic", 0, (0, 2, 1))],
)
def test_clips_with_a_third_for_each_axis(convention, endpoint, order):
    axes = np.mgrid[:2, :3, :5]
    expected = [halves(axes[axis], 12, endpoint) for axis in order]
    got = encode(mm.PositionEmbedding3D(convention=convention), 2, 3, 5, 36)
    np.testing.assert_allclose(got, np.concatenate(expected, -1), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5)])
def test_mocov3_counts_column_by_column(height, width):
    column, row = np.divmod(np.arange(height * width), height)
    expected = np.concatenate([halves(column, 12), halves(row, 12)], axis=-1)
    layer = mm.PositionEmbedding2D(height, width, convention="mocov3")
    got = encode(layer, height * width, 24)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_videomae_counts_all_tokens_in_one_row():
    got = encode(mm.PositionEmbedding3D(convention="videomae"), 2, 3, 5, 24)
    expected = interleaved(range(30), 24).reshape(2, 3, 5, 24)
    np.testing.assert_allclose(got, expected, atol=1e-5)
