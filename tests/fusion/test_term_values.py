"""Values of terms: one for each token, or one for each sample."""

import numpy as np
import pytest
from one_modality import WIDTH, embeddings, make
from tensors import normal

import keras_mmembed as mm

BOXES = np.random.default_rng(3).integers(0, 9, (3, 4)).astype("int32")


@pytest.mark.parametrize(
    "kind, axes", [("1d", (4,)), ("2d", (2, 2)), ("3d", (1, 2, 2))]
)
def test_terms_of_one_value_for_each_sample(kind, axes):
    terms = {"part": mm.SegmentEmbedding(3), "box": mm.BoxEmbedding(kind="linear")}
    layer, _ = make({"type": kind, "dim": WIDTH, "terms": terms}, (None, *axes, WIDTH))
    x, ids, boxes = normal(3, *axes, WIDTH), np.array([2, 0, 1], "int32"), BOXES
    ones = (1,) * len(axes)
    one = {"part": ids.reshape(3, *ones), "box": boxes.reshape(3, *ones, 4)}
    each = {
        "part": np.broadcast_to(one["part"], (3, *axes)),
        "box": np.broadcast_to(one["box"], (3, *axes, 4)),
    }
    expected = embeddings(layer, x, terms=each)
    np.testing.assert_allclose(embeddings(layer, x, terms=one), expected, atol=1e-6)
    flat = {"part": ids[:, None], "box": boxes[:, None]}
    np.testing.assert_allclose(embeddings(layer, x, terms=flat), expected, atol=1e-6)
    # a sample that is all padding has no value, and one with some padding has
    mask = np.ones((3, *axes), bool)
    mask[0, ..., -1], mask[1] = False, False
    one["box"] = one["box"].astype("float32")
    one["part"][1], one["box"][1] = 7, np.nan
    got = embeddings(layer, x, terms=one, mask=mask)
    valid = mask.reshape(3, 4)
    np.testing.assert_allclose(got[valid], expected[valid], atol=1e-6)
    assert np.isfinite(got).all()
