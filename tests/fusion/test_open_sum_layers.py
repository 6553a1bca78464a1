"""Several values of a token, boxes as inputs, and convolutional positions."""

from functools import partial

import keras
import numpy as np
import pytest
from messages import checks
from messages import make as mistake
from one_modality import WIDTH, embeddings, make
from tensors import array, normal
from weights import randomize, reloaded

import keras_mmembed as mm

SEVERAL = np.array([[[0, 2], [3, -1], [-1, -1]], [[4, 1], [-1, 2], [1, 1]]], "int32")
PLAIN = {"type": "none", "dim": WIDTH, "modality": False}


def pooled(layer):
    return {**PLAIN, "terms": {"word": {"layer": layer, "pooling": "mean"}}}


def mean_of(rows, known):
    count = np.maximum(known.sum(axis=-1), 1)[..., None]
    return (rows * known[..., None]).sum(axis=-2) / count


def test_the_mean_of_several_values():
    layer, weights = make(pooled(mm.PositionEmbedding1D(5, kind="learned")))
    x, rows = normal(2, 3, WIDTH), weights["x/word/embeddings"][SEVERAL]
    expected = x + mean_of(rows, SEVERAL >= 0)
    got = embeddings(layer, x, terms={"word": SEVERAL})
    np.testing.assert_allclose(got, expected, atol=1e-5)
    # in a model that knows no sizes
    inputs = keras.Input((None, WIDTH)), keras.Input((None, None), dtype="int32")
    fused = layer({"x": inputs[0]}, terms={"x": {"word": inputs[1]}})
    model = keras.Model(inputs, fused["embeddings"])
    np.testing.assert_allclose(model.predict((x, SEVERAL)), expected, atol=1e-5)
    # for all samples the same, and none at all
    got = embeddings(layer, x, terms={"word": SEVERAL[:1]})
    np.testing.assert_allclose(got[0], expected[0], atol=1e-5)
    np.testing.assert_array_equal(embeddings(layer, x), x)
    # what stands in padding is no value
    spoilt = SEVERAL.copy()
    spoilt[1, 2] = 99
    mask = np.array([[1, 1, 1], [1, 1, 0]], bool)
    got = embeddings(layer, x, terms={"word": spoilt}, mask=mask)
    np.testing.assert_allclose(got[mask], expected[mask], atol=1e-5)


def test_the_mean_of_several_boxes():
    layer, _ = make(pooled(mm.BoxEmbedding(kind="linear", numbers=4)))
    boxes = np.random.default_rng(0).random((2, 3, 2, 4)).astype("float32")
    boxes[0, 1, 1] = -1.0
    x, known = normal(2, 3, WIDTH), boxes[..., 0] >= 0
    term = layer.branch("x").config["terms"]["word"]["layer"]
    expected = x + mean_of(array(term.encode(boxes)), known)
    got = embeddings(layer, x, terms={"word": boxes})
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_model_with_boxes_as_inputs(tmp_path):
    box = mm.BoxEmbedding(kind="sinusoidal", projection=True)
    config = {"type": "1d", "dim": WIDTH, "embedding": box}
    fusion = mm.MultiModalFusion({"page": config}, WIDTH, dropout=0.0, name="f")
    inputs = {
        "page": keras.Input((None, 4), name="page"),
        "mask": keras.Input((None,), dtype="bool", name="mask"),
    }
    fused = fusion({"page": inputs["page"]}, mask={"page": inputs["mask"]})
    model = randomize(keras.Model(inputs, fused))
    boxes = np.random.default_rng(0).random((2, 3, 4)).astype("float32")
    mask = np.array([[True, True, True], [True, True, False]])
    expected = model.predict({"page": boxes, "mask": mask}, verbose=0)
    alone = model.predict({"page": boxes[1:, :2], "mask": mask[1:, :2]}, verbose=0)
    np.testing.assert_allclose(expected[1:, :2], alone, atol=1e-5)
    boxes[1, 2] = np.nan
    got = reloaded(model, tmp_path).predict({"page": boxes, "mask": mask}, verbose=0)
    np.testing.assert_allclose(got[mask], expected[mask], atol=1e-6)


@pytest.mark.parametrize("missing", ["mask", "token"])
def test_a_model_with_convolutional_positions(missing, tmp_path):
    position = mm.ConvPositionEmbedding(3, groups=2)
    config = {"type": "1d", "dim": 5, "position": {"layer": position, "gate": "linear"}}
    configs = {
        "sound": {**config, "start_token": True, "modality": False},
        "text": {"type": "none", "dim": WIDTH},
    }
    fusion = mm.MultiModalFusion(
        configs,
        WIDTH,
        normalization=None,
        dropout=0.0,
        missing=missing,
        return_dict=True,
        name="f",
    )
    inputs = {
        "sound": keras.Input((None, 5), name="sound"),
        "text": keras.Input((None, WIDTH), name="text"),
        "present": keras.Input((), dtype="bool", name="present"),
        "mask": keras.Input((None,), dtype="bool", name="mask"),
    }
    fused = fusion(
        {name: inputs[name] for name in configs},
        mask={"sound": inputs["mask"]},
        present={"sound": inputs["present"]},
    )
    model = randomize(keras.Model(inputs, fused))
    values = {
        "sound": normal(3, 4, 5),
        "text": normal(3, 2, WIDTH),
        "present": np.array([True, True, False]),
        "mask": np.arange(4) < np.array([[4], [2], [4]]),
    }
    got = model.predict(values, verbose=0)
    valid = got["mask"]
    assert valid.sum(axis=1).tolist() == [7, 5, 7 if missing == "token" else 2]
    branch = fusion.branch("sound")
    x = values["sound"][:1] @ array(branch.projection.kernel)
    x = (x + array(branch.projection.bias)).astype("float32")
    expected = x + array(branch.gate_position) * array(position.encode(x))
    np.testing.assert_allclose(got["embeddings"][0, 1:5], expected[0], atol=1e-4)
    np.testing.assert_array_equal(got["positions"][0, 1:5, 0], range(4))
    values["sound"][1, 2:] = np.nan
    again = reloaded(model, tmp_path).predict(values, verbose=0)
    for name, value in got.items():
        np.testing.assert_allclose(again[name][valid], value[valid], atol=1e-5)
    paths = {weight.path for weight in model.weights}
    assert "f/sound/position/kernel" in paths


def call_of(config, values):
    layer = mm.MultiModalFusion({"x": config}, WIDTH, normalization=None)
    return layer({"x": normal(2, 3, WIDTH)}, terms={"x": {"word": values}})


def test_errors_of_values():
    table = mm.SegmentEmbedding(5)
    for config, values, rule in (
        (pooled(table), SEVERAL[..., 0], "be (2, 3) or (2, 1), then (None,)"),
        ({**PLAIN, "terms": {"word": table}}, SEVERAL, "be (2, 3) or (2, 1)"),
    ):
        with pytest.raises(ValueError) as error:
            call_of(config, np.maximum(values, 0))
        place = "terms['x']['word'].shape"
        text = f"`{place}` must {rule}. Received: {place}={values.shape}"
        assert text in str(error.value)


def config_of(**keys):
    return partial(mm.MultiModalFusion, {"x": {**PLAIN, **keys}}, WIDTH)


CONV = mm.ConvPositionEmbedding(3, groups=2)
START = {"type": "1d", "start_token": True, "count_special": True}
PLACE = "modality_configs['x']"
TABLE = mm.SegmentEmbedding(2)
test_errors_of_configurations = checks(
    [
        mistake(
            config_of(terms={"a": {"layer": TABLE, "pooling": "sum"}}),
        ).says(f"{PLACE}['terms']['a']['pooling']", "be one of 'mean', None", "'sum'"),
        mistake(config_of(position=CONV, **START)).says(
            f"{PLACE}['count_special']", "be False with a ConvPositionEmbedding", "True"
        ),
        mistake(config_of(position=CONV, type="2d")).says(
            f"{PLACE}['position']", "be 'sinusoidal', 'learned', None or a", repr(CONV)
        ),
    ]
)
