"""Values of terms: one for each token, or one for each sample."""

import keras
import numpy as np
import pytest
from one_modality import WIDTH, embeddings, make
from tensors import array, normal, numpy
from weights import weights_by_path

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


@keras.saving.register_keras_serializable(package="tests")
class Boxes(mm.BoxEmbedding):
    """A layer of one's own, which says nothing of the axes of its values."""


@pytest.mark.parametrize(
    "kind, axes, box",
    [("2d", (4, 3), mm.BoxEmbedding), ("2d", (4, 3), Boxes), ("3d", (3, 1, 4), Boxes)],
)
def test_values_of_sizes_that_only_a_step_knows(kind, axes, box):
    terms = {"box": box(kind="linear"), "part": mm.SegmentEmbedding(3)}
    layer, _ = make({"type": kind, "dim": WIDTH, "terms": terms}, (None, *axes, WIDTH))
    x = normal(2, *axes, WIDTH)
    mask = np.arange(12).reshape(axes) < np.array([12, 5]).reshape(2, *(1,) * len(axes))
    boxes = np.random.default_rng(0).integers(0, 9, (2, 12, 4)).astype("int32")
    part = np.array([[2], [1]], "int32")
    call = {"mask": mask, "terms": {"box": boxes, "part": part}}
    expected = embeddings(layer, x, **call)
    unknown = (None,) * len(axes)
    inputs = {
        "x": keras.Input((*unknown, WIDTH), name="x"),
        "box": keras.Input((None, 4), dtype="int32", name="box"),
        "part": keras.Input((None,), dtype="int32", name="part"),
        "mask": keras.Input(unknown, dtype="bool", name="mask"),
    }
    named = {name: inputs[name] for name in ("box", "part")}
    fused = layer({"x": inputs["x"]}, mask={"x": inputs["mask"]}, terms={"x": named})
    model = keras.Model(inputs, fused["embeddings"])
    fed = {"x": x, "box": boxes, "part": part, "mask": mask}
    valid = mask.reshape(2, 12)
    got = model.predict(fed, verbose=0)
    np.testing.assert_allclose(got[valid], expected[valid], atol=1e-5)
    # those of every sample
    for name, value in (("box", boxes[:1]), ("part", np.arange(12)[None] % 3)):
        one = embeddings(layer, x, mask=mask, terms={name: value.astype("int32")})
        each = np.repeat(value, 2, axis=0).astype("int32")
        each = embeddings(layer, x, mask=mask, terms={name: each})
        np.testing.assert_allclose(one[valid], each[valid], atol=1e-6)


def test_stand_ins_get_no_term():
    config = {"type": "1d", "dim": WIDTH}
    terms = {"segments": 2, "terms": {"part": mm.SegmentEmbedding(3)}}
    layer, weights = make({**config, **terms}, missing="token")
    plain, _ = make(config, missing="token")
    for path, weight in weights_by_path(plain).items():
        weight.assign(weights[path])
    x, ids = normal(2, 3, WIDTH), np.ones((2, 3), "int32")
    call = {"present": {"x": np.array([True, False])}}
    given = {**call, "segment_ids": {"x": ids}, "terms": {"x": {"part": ids}}}
    expected = array(plain({"x": x}, **call)["embeddings"])
    for more in (call, given):
        fused = numpy(layer({"x": x}, **more))
        assert fused["mask"].all()
        np.testing.assert_allclose(fused["embeddings"][1], expected[1], atol=1e-6)
        assert np.abs(fused["embeddings"][0] - expected[0]).min() > 0


def test_no_terms_of_an_absent_modality():
    config = {"type": "1d", "dim": WIDTH, "terms": {"part": mm.SegmentEmbedding(3)}}
    layer = mm.MultiModalFusion({"x": config, "y": {"instance_of": "x"}}, WIDTH)
    x, ids = {"y": normal(2, 3, WIDTH)}, np.ones((2, 3), "int32")
    expected = array(layer(x, terms={"y": {"part": ids}}))
    for nothing in (None, {}, {"part": None}):
        got = array(layer(x, terms={"x": nothing, "y": {"part": ids}}))
        np.testing.assert_array_equal(got, expected)
