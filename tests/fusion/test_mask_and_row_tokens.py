"""Mask tokens and row tokens of one modality, against NumPy."""

import numpy as np
import pytest
import reference
from one_modality import EPSILON, WIDTH, embeddings, make
from tensors import array, normal, numpy
from weights import randomize

import keras_mmembed as mm


def test_the_mask_token_replaces_features():
    norm = {"place": "features", "epsilon": EPSILON}
    config = {"type": "2d", "dim": 5, "mask_token": True, "normalization": norm}
    layer, w = make(config, (None, 2, 3, 5))
    x, marked = normal(2, 2, 3, 5), np.arange(12).reshape(2, 2, 3) % 3 == 0
    tokens = x @ w["x/projection/kernel"] + w["x/projection/bias"]
    gamma, beta = w["x/norm/gamma"], w["x/norm/beta"]
    tokens = reference.layer_norm(tokens, gamma, beta, EPSILON)
    tokens = np.where(marked[..., None], w["x/mask_token"], tokens).reshape(2, 6, WIDTH)
    expected = tokens + w["modality/x"] + reference.grid(2, 3, WIDTH).reshape(6, WIDTH)
    for marks in (marked, marked.reshape(2, 6)):
        got = embeddings(layer, x, masked=marks)
        np.testing.assert_allclose(got, expected, atol=1e-4)
    plain = embeddings(layer, x)
    np.testing.assert_allclose(
        plain[~marked.reshape(2, 6)], expected[~marked.reshape(2, 6)], atol=1e-4
    )


@pytest.mark.parametrize("kind, axes", [("2d", (2, 3)), ("3d", (2, 2, 3))])
def test_a_row_token_after_each_row(kind, axes):
    config = {"type": kind, "dim": WIDTH, "row_token": True, "start_token": True}
    layer, w = make(config, (None, *axes, WIDTH))
    plain, _ = make({"type": kind, "dim": WIDTH}, (None, *axes, WIDTH))
    plain.set_weights([w["modality/x"]])
    x, mask = normal(2, *axes, WIDTH), np.ones((2, *axes), "bool")
    mask[1, ..., 2], mask[1, ..., 1, :] = False, False
    fused = numpy(layer({"x": x}, mask={"x": mask}))
    whole = numpy(plain({"x": x}, mask={"x": mask}))
    rows = int(np.prod(axes[:-1]))

    def with_rows(tokens, end, start):
        tokens = tokens.reshape(2, rows, 3, *tokens.shape[2:])
        ends = np.broadcast_to(end, (2, rows, 1, *tokens.shape[3:]))
        joined = np.concatenate([tokens, ends], axis=2)
        joined = joined.reshape(2, rows * 4, *tokens.shape[3:])
        start = np.broadcast_to(start, (2, 1, *tokens.shape[3:]))
        return np.concatenate([start, joined], axis=1)

    vector = w["modality/x"]
    ends = w["x/row_token"] + vector, w["x/start"] + vector
    expected = with_rows(whole["embeddings"], *ends)
    np.testing.assert_allclose(fused["embeddings"], expected, atol=1e-5)
    expected = with_rows(whole["modality_ids"], -1, -1)
    np.testing.assert_array_equal(fused["modality_ids"], expected)
    expected = with_rows(whole["positions"], 0.0, 0.0)
    np.testing.assert_array_equal(fused["positions"], expected)
    valid = mask.reshape(2, rows, 3).any(axis=-1)
    expected = np.concatenate([mask.reshape(2, rows, 3), valid[..., None]], axis=2)
    np.testing.assert_array_equal(fused["mask"][:, 1:], expected.reshape(2, -1))
    for grids, shape in ((False, (2, rows * 3)), (True, (2, *axes))):
        piece = array(layer.split(fused["embeddings"], {"x": x}, grids=grids)["x"])
        expected = whole["embeddings"].reshape(*shape, WIDTH)
        np.testing.assert_allclose(piece, expected, atol=1e-5)


def test_placed_tokens_bring_their_row_tokens():
    configs = {
        "text": {"type": "1d", "dim": WIDTH},
        "image": {"type": "2d", "dim": WIDTH, "into": "text", "row_token": True},
    }
    layer = mm.MultiModalFusion(configs, WIDTH, dropout=0.0, return_dict=True)
    text, image = normal(1, 9, WIDTH), normal(1, 2, 2, WIDTH)
    places = (np.arange(9) >= 2)[None] & (np.arange(9) < 8)[None]
    fused = numpy(layer({"text": text, "image": image}, placeholders={"image": places}))
    assert fused["modality_ids"][0].tolist() == [0, 0, 1, 1, -1, 1, 1, -1, 0]
    parts = layer.split(
        fused["embeddings"],
        {"text": text, "image": image},
        modality_ids=fused["modality_ids"],
    )
    taken = fused["embeddings"][:, [2, 3, 5, 6]]
    np.testing.assert_array_equal(array(parts["image"]), taken.astype("float64"))


@pytest.mark.parametrize("kind, axes", [("2d", (2, 3)), ("3d", (2, 2, 3))])
def test_tokens_placed_between_row_tokens(kind, axes):
    grid = {"type": kind, "dim": WIDTH, "row_token": True, "start_token": True}
    word = {"type": "1d", "dim": WIDTH}
    options = {"dropout": 0.0, "return_dict": True}
    placed, apart = (
        mm.MultiModalFusion({"grid": grid, "word": one}, WIDTH, **options)
        for one in ({**word, "into": "grid"}, word)
    )
    x = {"grid": normal(2, *axes, WIDTH), "word": normal(2, 2, WIDTH, seed=1)}
    apart.build({name: value.shape for name, value in x.items()})
    randomize(apart)
    expected = numpy(apart(x))
    placed.build({name: value.shape for name, value in x.items()})
    placed.set_weights(apart.get_weights())
    tokens = np.arange(np.prod(axes))
    places = np.isin(tokens, (2, 3))[None] | np.zeros((2, 1), bool)
    fused = numpy(placed(x, placeholders={"word": places}))
    # behind the start token, and behind the token of the first row
    for key, value in fused.items():
        want = expected[key][:, :-2].copy()
        want[:, [3, 5]] = expected[key][:, -2:]
        np.testing.assert_allclose(value, want, atol=1e-6, err_msg=key)
    ids, where = fused["modality_ids"], 1 + tokens + tokens // 3
    parts = numpy(placed.split(fused["embeddings"], x, modality_ids=ids))
    np.testing.assert_array_equal(parts["grid"], fused["embeddings"][:, where])
    np.testing.assert_array_equal(parts["word"], fused["embeddings"][:, [3, 5]])
    with pytest.raises(ValueError, match="mark a place for each valid token, 2 in"):
        placed(x, placeholders={"word": places & (tokens > 2)})
