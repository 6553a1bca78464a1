"""Pictures: what is drawn is what the layer adds."""

import sys

import numpy as np
import pytest
from messages import checks, make
from reference import grid, interleaved

import keras_mmembed as mm

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def no_figures():
    yield
    matplotlib.pyplot.close("all")


def test_encoding():
    axes = mm.plot_encoding(mm.PositionEmbedding1D(), (9, 8))
    drawn = axes.images[0].get_array()
    np.testing.assert_allclose(drawn, interleaved(range(9), 8), atol=1e-5)


def test_encoding_of_a_grid_row_by_row():
    axes = mm.plot_encoding(mm.PositionEmbedding2D(), (3, 4, 8))
    drawn = axes.images[0].get_array()
    np.testing.assert_allclose(drawn, grid(3, 4, 8).reshape(12, 8), atol=1e-5)


def test_similarity():
    axes = mm.plot_similarity(mm.PositionEmbedding1D(), (9, 8))
    rows = interleaved(range(9), 8)
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    np.testing.assert_allclose(axes.images[0].get_array(), rows @ rows.T, atol=1e-5)


def test_similarity_of_a_grid_lays_maps_out_as_cells():
    axes = mm.plot_similarity(mm.PositionEmbedding2D(), (3, 4, 8))
    drawn = axes.images[0].get_array()
    rows = grid(3, 4, 8)
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    expected = np.einsum("hwd,yxd->hywx", rows, rows).reshape(9, 16)
    np.testing.assert_allclose(drawn, expected, atol=1e-5)


def test_axes_of_the_caller_are_drawn_on():
    _, mine = matplotlib.pyplot.subplots()
    assert mm.plot_encoding(mm.PositionEmbedding1D(), (9, 8), mine) is mine


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"plot_encoding: .*keras-mmembed\[plot\]"):
        mm.plot_encoding(mm.PositionEmbedding1D(), (9, 8))


ERRORS = [
    make(mm.plot_similarity, mm.PositionEmbedding3D(), (2, 3, 4, 8)).says(
        "shape", "be (length, width) or (height, width, channels)", "(2, 3, 4, 8)"
    ),
    make(mm.plot_layout, np.ones((1, 4, 8)), ["text"]).says(
        "fused", "be what MultiModalFusion returns", "ndarray. Make the fusion with"
    ),
]


test_messages = checks(ERRORS)


def test_layout_has_a_box_for_every_token():
    configs = {"text": {"type": "1d", "dim": 8}, "image": {"type": "2d", "dim": 8}}
    fusion = mm.MultiModalFusion(configs, 8, cls_token=True, return_dict=True)
    inputs = {"text": np.ones((1, 4, 8)), "image": np.ones((1, 2, 3, 8))}
    fused = fusion(inputs, mask={"text": np.array([3])})
    axes = mm.plot_layout(fused, fusion.modalities)
    boxes = [bars for bars in axes.containers if bars[0].get_y() > 3]
    assert [len(bars) for bars in boxes] == [1, 4, 6, 1]
    assert boxes[-1][0].get_x() + 0.45 == pytest.approx(4)
    columns = [bar.get_height() for bar in axes.containers[-3]]
    np.testing.assert_allclose(columns[5:], 0.8 * np.array([0, 0.5, 1] * 2))
