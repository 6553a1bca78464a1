"""Grids, starts, padding ids and vectors that a call of a fusion takes."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_mmembed as mm

TABLE = {"kind": "learned", "interpolation": "bilinear", "out_of_range": "resize"}


def array(x):
    return ops.convert_to_numpy(x)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def make(**options):
    position = mm.PositionEmbedding2D(4, 4, **TABLE)
    configs = {
        "text": {"type": "1d", "dim": 8},
        "image": {"type": "2d", "dim": 8, "position": position},
    }
    return mm.MultiModalFusion(configs, 8, dropout=0.0, return_dict=True, **options)


@pytest.mark.parametrize("form", [tuple, np.array, lambda g: np.array([g, g])])
def test_a_grid_of_tokens_that_come_row_by_row(form):
    fusion, x = make(), normal(2, 15, 8)
    flat = fusion({"image": x}, grids={"image": form((3, 5))})
    grid = fusion({"image": x.reshape(2, 3, 5, 8)})
    for key, value in grid.items():
        np.testing.assert_allclose(array(flat[key]), array(value), atol=1e-6)


def test_a_grid_for_each_sample_makes_the_padding_mask():
    fusion, x = make(), normal(2, 15, 8)
    grids = np.array([[3, 5], [2, 4]])
    given = np.arange(15)[None] < np.array([[15], [7]])
    fused = fusion({"image": x}, grids={"image": grids}, mask={"image": given})
    assert array(fused["mask"]).sum(axis=1).tolist() == [15, 7]
    alone = fusion({"image": x[1:, :8]}, grids={"image": (2, 4)})
    got = array(fused["embeddings"])[1, :7]
    np.testing.assert_allclose(got, array(alone["embeddings"])[0, :7], atol=1e-6)


def test_padded_grids_of_several_sizes():
    fusion, x = make(), normal(2, 3, 5, 8)
    grids = np.array([[3, 5], [2, 4]])
    fused = fusion({"image": x}, grids={"image": grids})
    valid = array(fused["mask"])
    assert valid.sum(axis=1).tolist() == [15, 8]
    alone = fusion({"image": x[1:, :2, :4]})
    got = array(fused["embeddings"])[1][valid[1]]
    np.testing.assert_allclose(got, array(alone["embeddings"])[0], atol=1e-5)
    places = array(fused["positions"])[1][valid[1]]
    np.testing.assert_array_equal(places, array(alone["positions"])[0])


def test_a_start_is_that_of_the_first_token():
    fusion, x = make(), normal(2, 3, 8)
    whole = array(fusion({"text": normal(2, 9, 8)})["positions"])[:, :, 0]
    for start in (4, np.array([4, 6])):
        fused = fusion({"text": x}, start_index={"text": start})
        starts = np.broadcast_to(start, (2,))
        expected = np.stack([whole[0, s : s + 3] for s in starts])
        np.testing.assert_array_equal(array(fused["positions"])[:, :, 0], expected)


def test_grids_in_a_model_of_unknown_sizes(tmp_path):
    fusion = make(name="fusion")
    inputs = {
        "image": keras.Input((None, 8), name="image"),
        "grid": keras.Input((2,), dtype="int32", name="grid"),
    }
    fused = fusion({"image": inputs["image"]}, grids={"image": inputs["grid"]})
    model = keras.Model(inputs, {k: fused[k] for k in ("embeddings", "mask")})
    x = {"image": normal(2, 15, 8), "grid": np.array([[3, 5], [2, 4]], "int32")}
    got = model.predict(x, verbose=0)
    expected = fusion({"image": x["image"]}, grids={"image": x["grid"]})
    for key in got:
        np.testing.assert_allclose(got[key], array(expected[key]), atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.predict(x, verbose=0)
    np.testing.assert_allclose(again["embeddings"], got["embeddings"], atol=1e-6)


@pytest.mark.parametrize("padding_id", [0, 1])
def test_an_id_is_padding(padding_id):
    config = {"type": "1d", "vocabulary_size": 9, "padding_id": padding_id}
    fusion = mm.MultiModalFusion({"text": config}, 8, dropout=0.0, return_dict=True)
    words = np.array([[5, 7, padding_id, padding_id]])
    fused = fusion({"text": words})
    assert array(fused["mask"]).tolist() == [[True, True, False, False]]
    joined = fusion({"text": words}, mask={"text": np.array([1])})
    assert array(joined["mask"]).tolist() == [[True, False, False, False]]


def test_a_placed_text_leaves_its_padding_out():
    configs = {
        "image": {"type": "2d", "dim": 8},
        "text": {"type": "1d", "vocabulary_size": 9, "padding_id": 0, "into": "image"},
    }
    fusion = mm.MultiModalFusion(configs, 8, dropout=0.0, return_dict=True)
    inputs = {"image": normal(1, 2, 2, 8), "text": np.array([[0, 5, 7]])}
    places = {"text": np.array([[True, False, True, False]])}
    fused = fusion(inputs, placeholders=places)
    ids, tokens = fused["modality_ids"], fused["embeddings"]
    parts = fusion.split(tokens, inputs, modality_ids=ids)
    got, sequence = array(parts["text"])[0], array(tokens)[0]
    np.testing.assert_array_equal(got[1:], sequence[[0, 2]])
    np.testing.assert_array_equal(got[0], np.zeros(8))


def test_a_vector_is_one_token():
    configs = {
        "text": {"type": "1d", "dim": 8},
        "table": {"type": "none", "dim": 5},
    }
    fusion = mm.MultiModalFusion(configs, 8, dropout=0.0, return_dict=True)
    inputs = {"text": normal(2, 3, 8), "table": normal(2, 5)}
    present = {"table": np.array([True, False])}
    fused = fusion(inputs, present=present)
    assert array(fused["mask"])[:, -1].tolist() == [True, False]
    as_tokens = fusion({**inputs, "table": inputs["table"][:, None]}, present=present)
    np.testing.assert_array_equal(
        array(fused["embeddings"]), array(as_tokens["embeddings"])
    )
    parts = fusion.split(fused["embeddings"], inputs)
    assert tuple(parts["table"].shape) == (2, 1, 8)
    symbols = {
        "text": keras.Input((None, 8), name="text"),
        "table": keras.Input((5,), name="table"),
    }
    model = keras.Model(symbols, fusion(symbols)["embeddings"])
    assert model.output_shape == (None, None, 8)
    np.testing.assert_allclose(
        model.predict(inputs, verbose=0),
        array(fusion(inputs)["embeddings"]),
        atol=1e-6,
    )
