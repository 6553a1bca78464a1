"""Pictures: what is drawn is what the layer adds."""

import sys
from functools import partial

import keras
import numpy as np
import pytest
from messages import checks, flags, ids, make, zeros
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


LAYER = mm.PositionEmbedding1D()
NOT_FINITE = mm.PositionEmbedding1D(
    4, kind="learned", embeddings_initializer=keras.initializers.Constant(np.nan)
)
FUSED = {
    "modality_ids": ids(1, 4) + 1,
    "mask": flags(1, 4),
    "positions": zeros(1, 4, 3),
}
LAYOUT = partial(mm.plot_layout, FUSED, ["text", "image"])
ERRORS = [
    *[
        row
        for plot in (mm.plot_encoding, mm.plot_similarity)
        for row in (
            make(plot, None, (4, 8)).says(
                "layer", "be a Keras layer that adds an encoding", "None"
            ),
            make(plot, keras.layers.Dense(5), (4, 8)).says(
                "layer", "have outputs of the shape (4, 8) of its inputs", "(4, 5)"
            ),
            make(plot, NOT_FINITE, (4, 8)).says("layer", "add finite numbers", "nan"),
            make(plot, LAYER, 12).says(
                "shape", "be integers, one for each axis but that of the batch", "12"
            ),
            make(plot, LAYER, None).says("shape", "be integers, one", "None"),
            make(plot, LAYER, "48").says("shape", "be integers, one", "'48'"),
            make(plot, LAYER, (4, 8.0)).says("shape", "be an integer", "8.0"),
            make(plot, LAYER, (4, 0)).says("shape", "be at least 1", "0"),
            make(plot, LAYER, (8,)).says("shape", "be (length, width)", "(8,)"),
            make(plot, LAYER, (4, 8), "axes").says(
                "axes", "be matplotlib axes or None", "'axes'"
            ),
        )
    ],
    make(mm.plot_similarity, mm.PositionEmbedding3D(), (2, 3, 4, 8)).says(
        "shape", "be (length, width) or (height, width, channels)", "(2, 3, 4, 8)"
    ),
    make(mm.plot_layout, np.ones((1, 4, 8)), ["text"]).says(
        "fused", "be what MultiModalFusion returns", "ndarray. Make the fusion with"
    ),
    make(mm.plot_layout, FUSED, "text").says(
        "modalities", "be a list of names", "'text'"
    ),
    make(mm.plot_layout, FUSED, ["text"]).says(
        "modalities", "name the 2 modalities of `fused`", "['text']"
    ),
    make(mm.plot_layout, {**FUSED, "mask": flags(4)}, ["text", "image"]).says(
        "fused['mask'].shape", "be (batch, length)", "(4,)"
    ),
    make(
        mm.plot_layout,
        {**FUSED, "mask": keras.Input((4,), dtype="bool")},
        ["text", "image"],
    ).says("fused['mask']", "have values", "a symbolic tensor"),
    make(LAYOUT, 5).says("sample", "be below 1, the number of samples", "5"),
    make(LAYOUT, -1).says("sample", "be at least 0", "-1"),
    *[
        make(LAYOUT, value).says("sample", "be an integer", repr(value))
        for value in ("0", None, slice(1), 0.0, True)
    ],
    make(LAYOUT, 0, "axes").says("axes", "be matplotlib axes or None", "'axes'"),
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
