"""Start and end tokens, instances, embedded ids, and modalities added later."""

import keras
import numpy as np
import pytest
import reference
from tensors import array, normal, numpy
from weights import randomize, reloaded, weights_by_path

import keras_mmembed as mm


def make(configs, width=8, shapes=None, **kwargs):
    layer = mm.MultiModalFusion(
        configs, width, **{"dropout": 0.0, "return_dict": True, **kwargs}
    )
    layer.build(shapes or {n: (None, None, c["dim"]) for n, c in configs.items()})
    return randomize(layer)


BORDERS = {"start_token": True, "end_token": True}
TEXT = {"type": "1d", "dim": 8, **BORDERS}


@pytest.mark.parametrize("counted", [False, True])
def test_borders_against_the_formula(counted):
    configs = {"text": {**TEXT, "count_special": counted, "segments": 2}}
    layer = make(configs, normalization=None)
    x = normal(2, 4, 8)
    ids = np.array([0, 1, 1, 0], "int32")
    fused = numpy(layer({"text": x}, segment_ids={"text": ids}))
    branch, vector = layer.branch("text"), array(layer.modality.embeddings)[0]
    positions = range(1, 5) if counted else range(4)
    tokens = x + reference.interleaved(positions, 8) + vector
    tokens = tokens + array(branch.segment.embeddings)[ids]
    ends = [array(branch.start) + vector, array(branch.end) + vector]
    if counted:
        ends[0] = ends[0] + reference.interleaved([0], 8)
        ends[1] = ends[1] + reference.interleaved([5], 8)
    rows = [np.broadcast_to(end, (2, 1, 8)) for end in ends]
    expected = np.concatenate([rows[0], tokens, rows[1]], axis=1)
    np.testing.assert_allclose(fused["embeddings"], expected, atol=1e-5)
    np.testing.assert_array_equal(fused["modality_ids"], [[-1, 0, 0, 0, 0, -1]] * 2)
    places = [0, *positions, 5 if counted else 0]
    np.testing.assert_array_equal(fused["positions"][..., 0], [places] * 2)
    parts = numpy(layer.split(fused["embeddings"], like={"text": x}))
    np.testing.assert_array_equal(parts["text"], fused["embeddings"][:, 1:5])


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_a_counted_end_follows_the_last_valid_token(kind):
    text = {**TEXT, "count_special": True, "position": kind, "max_len": 9}
    layer = make({"text": text}, missing="token")
    x = normal(2, 4, 8)
    masked = numpy(layer({"text": x}, mask={"text": np.array([2, 4])}))
    alone = numpy(layer({"text": x[:1, :2]}))
    for key in ("embeddings", "positions", "modality_ids"):
        valid = masked[key][0][masked["mask"][0]]
        np.testing.assert_allclose(valid, alone[key][0], atol=1e-5, err_msg=key)


def test_borders_of_a_grid_and_of_a_missing_sample():
    image = {"type": "2d", "dim": 6, "start_token": True}
    configs = {"text": TEXT, "image": image, "sound": {"type": "1d", "dim": 8}}
    layer = make(configs, cls_token=True, normalization="both")
    x = {"text": normal(2, 3, 8), "image": normal(2, 2, 2, 6), "sound": normal(2, 2, 8)}
    present = {"text": np.array([True, False])}
    fused = numpy(layer(x, present=present))
    assert fused["embeddings"].shape == (2, 1 + 5 + 5 + 2, 8)
    alone = numpy(layer({n: v[1:] for n, v in x.items() if n != "text"}))
    for key in ("embeddings", "positions", "modality_ids"):
        valid = fused[key][1][fused["mask"][1]]
        np.testing.assert_allclose(valid, alone[key][0], atol=1e-5, err_msg=key)
    parts = numpy(layer.split(fused["positions"], like=x, grids=True))
    expected = np.stack(np.meshgrid([0], [0, 1], [0, 1], indexing="ij"), -1)[0]
    np.testing.assert_array_equal(parts["image"][0], expected)
    shapes = {name: value.shape for name, value in x.items()}
    assert layer.compute_output_shape(shapes)["embeddings"] == (2, 13, 8)


def test_instances_share_everything_and_have_a_vector_of_their_own():
    configs = {
        "image": {"type": "2d", "height": 2, "width": 2, "dim": 6},
        "image_2": {"instance_of": "image"},
    }
    shapes = {n: (None, 4, 6) for n in configs}
    layer = make(configs, shapes=shapes, normalization=None)
    x = normal(2, 4, 6)
    fused = numpy(layer({"image": x, "image_2": x}))
    rows = array(layer.modality.embeddings)
    one, two = fused["embeddings"][:, :4], fused["embeddings"][:, 4:]
    np.testing.assert_allclose(
        two - one, np.broadcast_to(rows[1], one.shape), atol=1e-5
    )
    np.testing.assert_array_equal(fused["modality_ids"][0], [0] * 4 + [1] * 4)
    assert len(layer.weights) == 4  # kernel, bias, and two vectors
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_ids_are_embedded():
    configs = {"text": {"type": "1d", "dim": 8, "vocabulary_size": 20}}
    layer = make(configs, shapes={"text": (None, None)}, normalization=None)
    words = np.array([[3, 4, 19], [0, 1, 2]], "int32")
    got = numpy(layer({"text": words}))["embeddings"]
    expected = array(layer.branch("text").embedding.embeddings)[words]
    expected = expected + reference.interleaved(range(3), 8)
    expected = expected + array(layer.modality.embeddings)[0]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    inputs = {"text": keras.Input((None,), dtype="int32", name="text")}
    fused = layer(inputs)
    assert fused["embeddings"].shape == (None, None, 8)
    parts = layer.split(fused["embeddings"], like=inputs)
    model = keras.Model(inputs, parts["text"])
    np.testing.assert_allclose(
        model.predict({"text": words}, verbose=0), got, atol=1e-6
    )


def test_an_embedding_hands_on_its_mask(tmp_path):
    embedding = keras.layers.Embedding(20, 8, mask_zero=True)
    configs = {"text": {"type": "1d", "embedding": embedding}}
    layer = mm.MultiModalFusion(configs, 8, return_dict=True)
    words = np.array([[3, 4, 0], [1, 1, 2]], "int32")
    inputs = {"text": keras.Input((None,), dtype="int32", name="text")}
    model = keras.Model(inputs, layer(inputs))
    fused = model.predict({"text": words}, verbose=0)
    np.testing.assert_array_equal(fused["mask"], words > 0)
    loaded = reloaded(model, tmp_path)
    again = loaded.predict({"text": words}, verbose=0)
    np.testing.assert_allclose(again["embeddings"], fused["embeddings"], atol=1e-6)


def test_weights_are_saved_under_the_names_of_what_they_are_for(tmp_path):
    layers = {
        "position": mm.PositionEmbedding1D(9, kind="learned"),
        "embedding": keras.layers.Embedding(20, 8),
    }
    made = mm.MultiModalFusion({"text": {"type": "1d", **layers}}, 8, name="fusion")
    named = mm.MultiModalFusion(
        {
            "text": {
                "type": "1d",
                "dim": 8,
                "vocabulary_size": 20,
                "max_len": 9,
                "position": "learned",
            }
        },
        8,
        name="fusion",
    )
    models = []
    for layer in (made, named):
        inputs = {"text": keras.Input((None,), dtype="int32", name="text")}
        models.append(keras.Model(inputs, layer(inputs)))
    models[0].save_weights(tmp_path / "made.weights.h5")
    models[1].load_weights(tmp_path / "made.weights.h5")
    words = {"text": np.array([[3, 4, 5]], "int32")}
    got, expected = (model.predict(words, verbose=0) for model in models)
    np.testing.assert_array_equal(got, expected)


def test_an_instance_that_comes_alone_builds_what_it_shares():
    configs = {
        "image": {"type": "2d", "dim": 8, "embedding": mm.PatchEmbedding(2, 8)},
        "image_2": {"instance_of": "image"},
    }
    layer = mm.MultiModalFusion(configs, 8)
    assert tuple(layer({"image_2": normal(1, 4, 4, 3)}).shape) == (1, 4, 8)


OLD = {
    "image": {"type": "2d", "height": 2, "width": 2, "dim": 6, "position": "learned"},
    "text": {"type": "1d", "dim": 8, "start_token": True},
}
NEW = {"audio": {"type": "1d", "dim": 5}, "text": OLD["text"], "image": OLD["image"]}


@pytest.mark.parametrize("missing", ["mask", "token"])
def test_a_modality_added_later_keeps_what_was_trained(missing, tmp_path):
    options = {"missing": missing, "cls_token": True, "normalization": "per_modality"}
    old = make(OLD, **options)
    new = make(NEW, **options)
    shapes = {"text": (None, 8), "image": (4, 6), "audio": (None, 5)}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    grown = keras.Model(inputs, new(inputs))
    del inputs["audio"]
    keras.Model(inputs, old(inputs)).save_weights(tmp_path / "old.weights.h5")
    fresh = {path: array(w) for path, w in weights_by_path(new).items()}
    with pytest.warns(UserWarning, match="projection"):
        grown.load_weights(tmp_path / "old.weights.h5", skip_mismatch=True)
    trained = weights_by_path(old)
    for path, weight in weights_by_path(new).items():
        expected = (fresh if "audio" in path else trained)[path]
        np.testing.assert_array_equal(array(weight), array(expected), path)
    x = {"text": normal(2, 3, 8), "image": normal(2, 4, 6)}
    before, after = old(x)["embeddings"], new(x)["embeddings"]
    np.testing.assert_array_equal(array(after)[:, 0], array(before)[:, 0])
    before, after = numpy(old.split(before, x)), numpy(new.split(after, x))
    for name in x:
        np.testing.assert_array_equal(after[name], before[name])


def test_an_optional_input():
    layer = mm.MultiModalFusion(
        {"text": {"type": "1d", "dim": 8}, "image": {"type": "1d", "dim": 6}}, 8
    )
    inputs = {
        "text": keras.Input((None, 8), name="text"),
        "image": keras.Input((None, 6), name="image", optional=True),
    }
    model = keras.Model(inputs, layer(inputs))
    text = normal(2, 3, 8)
    got = model.predict({"text": text, "image": None}, verbose=0)
    np.testing.assert_allclose(got, array(layer({"text": text})), atol=1e-6)
