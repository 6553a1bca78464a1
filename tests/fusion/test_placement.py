"""Modalities placed at marked tokens of another, against loops in NumPy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors import features, numpy
from weights import randomize, reloaded, weights_by_path

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 8},
    "image": {"type": "2d", "dim": 6, "into": "text"},
    "audio": {"type": "1d", "dim": 8, "into": "text"},
    "video": {"type": "none", "dim": 8},
}
SHAPES = {"text": (9, 8), "image": (2, 2, 6), "audio": (3, 8), "video": (2, 8)}


def make(configs=CONFIGS, **kwargs):
    options = {"dropout": 0.0, "return_dict": True, "cls_token": True, **kwargs}
    layer = mm.MultiModalFusion(configs, 8, **options)
    layer.build({n: (None, None, c["dim"]) for n, c in CONFIGS.items() if n in configs})
    return randomize(layer)


def places(rows, length=9):
    marks = np.zeros((len(rows), length), bool)
    for sample, row in enumerate(rows):
        marks[sample, list(row)] = True
    return marks


MARKS = {
    "audio": places([(0, 1, 2), (4, 5, 8)]),
    "image": places([(3, 6, 7, 8), (0, 1, 2, 7)]),
}


@pytest.fixture(scope="module")
def fusion():
    return make()


@settings(max_examples=5, deadline=None)
@given(order=st.lists(st.permutations(range(9)), min_size=2, max_size=2))
def test_every_token_goes_to_its_place_and_back(fusion, order):
    x = features(**SHAPES)
    image = places([sorted(o[:4]) for o in order])
    audio = places([sorted(o[4:7]) for o in order])
    marks = {"image": image, "audio": audio}
    fused = numpy(fusion(x, placeholders=marks))
    plain = {n: {k: v for k, v in c.items() if k != "into"} for n, c in CONFIGS.items()}
    apart = make(plain)
    apart.set_weights(fusion.get_weights())
    parts = {key: numpy(apart.split(value, like=x)) for key, value in apart(x).items()}
    for key, value in fused.items():
        assert value.shape[1] == 1 + 9 + 2
        expected = parts[key]["text"].copy()
        for name, mark in marks.items():
            for sample in range(2):
                expected[sample, mark[sample]] = parts[key][name][sample]
        np.testing.assert_allclose(value[:, 1:10], expected, atol=1e-5, err_msg=key)
        np.testing.assert_allclose(value[:, 10:], parts[key]["video"], atol=1e-5)
    back = numpy(
        fusion.split(fused["embeddings"], x, modality_ids=fused["modality_ids"])
    )
    for name in marks:
        np.testing.assert_allclose(back[name], parts["embeddings"][name], atol=1e-5)


def test_masked_tokens_take_no_place(fusion):
    x = features(**SHAPES)
    lengths = {"audio": np.array([2, 3])}
    image = places([(2, 3, 4, 5), (3, 4, 6, 7)])
    marks = {"audio": places([(0, 8), (1, 2, 5)]), "image": image}
    fused = numpy(fusion(x, placeholders=marks, mask=lengths))
    assert fused["mask"].all()
    short = {n: v[:1] for n, v in x.items()}
    short["audio"] = short["audio"][:, :2]
    alone = numpy(fusion(short, placeholders={n: m[:1] for n, m in marks.items()}))
    for key in fused:
        np.testing.assert_allclose(fused[key][:1], alone[key], atol=1e-5, err_msg=key)
    ids = fused["modality_ids"]
    back = numpy(fusion.split(fused["embeddings"], x, modality_ids=ids, mask=lengths))
    assert (back["audio"][0, 2] == 0).all()
    np.testing.assert_array_equal(back["audio"][0, :2], fused["embeddings"][0, [1, 9]])


def test_a_compiled_step_masks_places_and_drops_tokens_that_are_left_over():
    configs = {name: CONFIGS[name] for name in ("text", "audio")}
    layer = make(configs)
    inputs = {name: keras.Input((None, 8), name=name) for name in configs}
    marks = keras.Input((None,), dtype="bool", name="marks")
    model = keras.Model(
        {**inputs, "marks": marks}, layer(inputs, placeholders={"audio": marks})
    )
    x = {name: features(**SHAPES)[name] for name in configs}
    rows = places([(1, 2, 3, 4), (0, 5)])
    if keras.backend.backend() == "torch":
        with pytest.raises(ValueError, match="mark a place for each valid token, 3"):
            model.predict({**x, "marks": rows}, verbose=0)
        return
    fused = model.predict({**x, "marks": rows}, verbose=0)
    expected = np.ones((2, 10), bool)
    expected[0, 1 + 4] = False
    np.testing.assert_array_equal(fused["mask"], expected)
    ids = np.zeros((2, 10))
    ids[:, 0], ids[0, 2:5], ids[1, [1, 6]] = -1, 1, 1
    np.testing.assert_array_equal(fused["modality_ids"], ids)


@pytest.mark.parametrize("missing", ["mask", "token"])
def test_absent_for_all_or_for_some(missing):
    fusion = make(missing=missing)
    x = features(**SHAPES)
    marks = {"audio": places([(0, 1, 2), (4, 5, 8)]), "image": places([(3, 6, 7)] * 2)}
    del x["image"]
    fused = numpy(fusion(x, placeholders=marks))
    valid = np.ones((2, 12), bool)
    if missing == "mask":
        valid[:, [4, 7, 8]] = False
    np.testing.assert_array_equal(fused["mask"], valid)
    if missing == "token":
        tokens = fused["embeddings"][:, [4, 7, 8]]
        assert np.ptp(tokens, axis=(0, 1)).max() < 1e-6
    present = {"audio": np.array([True, False])}
    some = numpy(fusion(x, placeholders=marks, present=present))
    np.testing.assert_allclose(some["embeddings"][0], fused["embeddings"][0], atol=1e-6)
    assert some["mask"][1, [5, 6, 9]].all() == (missing == "token")


def test_gate_keeps_the_words_at_first():
    configs = {
        "text": CONFIGS["text"],
        "audio": {**CONFIGS["audio"], "gate": True},
    }
    layer = make(configs)
    gate = layer.branch("audio").gate
    gate.set_weights([np.float32(0.0)])
    x = {name: features(**SHAPES)[name] for name in configs}
    marks = {"audio": places([(0, 1, 2), (4, 5, 8)])}
    closed = numpy(layer(x, placeholders=marks))["embeddings"]
    text = numpy(layer({"text": x["text"]}))["embeddings"]
    np.testing.assert_array_equal(closed, text)
    gate.set_weights([np.float32(30.0)])
    ungated = make({name: CONFIGS[name] for name in configs})
    weights = weights_by_path(layer)
    for path, weight in weights_by_path(ungated).items():
        weight.assign(weights[path])
    opened = numpy(layer(x, placeholders=marks))["embeddings"]
    expected = numpy(ungated(x, placeholders=marks))["embeddings"]
    np.testing.assert_allclose(opened, expected, atol=1e-5)


def test_blocks_of_attention(fusion):
    x = features(**SHAPES)
    ids = fusion(x, placeholders=MARKS)["modality_ids"]
    scores = np.random.default_rng(0).normal(size=(2, 3, 12, 12)).astype("float32")
    blocks = numpy(fusion.split_attention(scores, like=x, modality_ids=ids))
    assert list(blocks) == list(blocks["text"]) == list(CONFIGS)
    where = {
        "text": [range(1, 10)] * 2,
        "video": [range(10, 12)] * 2,
        **{n: [1 + np.flatnonzero(row) for row in m] for n, m in MARKS.items()},
    }
    for query, row in blocks.items():
        for key, block in row.items():
            for sample in range(2):
                index = np.ix_(where[query][sample], where[key][sample])
                expected = scores[sample][:, index[0], index[1]]
                np.testing.assert_array_equal(block[sample], expected)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("missing", ["mask", "token"])
def test_trained(missing):
    """Keras finds out shapes on PyTorch by calls that know no values."""
    layer = make(missing=missing, modality_dropout=0.5, seed=0)
    shapes = {"text": (9, 8), "image": (None, None, 6), "audio": (None, 8)}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    marks = {
        name: keras.Input((None,), dtype="bool", name=f"{name}_marks")
        for name in ("image", "audio")
    }
    fused = layer(inputs, placeholders=marks)
    # the audio of unknown length is none of the sequence, and the video is absent
    length = 10 + (missing == "token")
    assert fused["embeddings"].shape == (None, length, 8)
    everything = {**inputs, **{f"{name}_marks": mark for name, mark in marks.items()}}
    model = keras.Model(everything, keras.layers.Dense(2)(fused["embeddings"]))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = {name: features(4, **SHAPES)[name] for name in shapes}
    x["image_marks"] = places([(0, 2, 4, 6)] * 4)
    x["audio_marks"] = places([(1, 3, 5)] * 4)
    losses = model.fit(x, np.zeros((4, length, 2)), batch_size=2, verbose=0).history
    assert np.isfinite(losses["loss"]).all()


def test_nothing_to_place(fusion):
    x = features(**SHAPES)
    x["audio"] = x["audio"][:, :0]
    marks = {"audio": places([(), ()]), "image": places([(0, 1, 2, 3)] * 2)}
    fused = fusion(x, placeholders=marks)
    del x["audio"], marks["audio"]
    expected = fusion(x, placeholders=marks)
    for key, value in numpy(expected).items():
        np.testing.assert_array_equal(numpy(fused)[key], value)


def test_saved_and_loaded(tmp_path):
    layer = make(missing="token")
    inputs = {
        "text": keras.Input((None, 8), name="text"),
        "image": keras.Input((None, None, 6), name="image"),
    }
    marks = keras.Input((None,), dtype="bool", name="marks")
    fused = layer(inputs, placeholders={"image": marks})
    parts = layer.split(
        fused["embeddings"], inputs, grids=True, modality_ids=fused["modality_ids"]
    )
    assert parts["image"].shape == (None, None, None, 8)
    model = keras.Model({**inputs, "marks": marks}, parts)
    x = {name: features(**SHAPES)[name] for name in inputs}
    fed = {**x, "marks": places([(0, 1, 2, 3), (2, 4, 6, 8)])}
    expected = model.predict(fed, verbose=0)
    loaded = reloaded(model, tmp_path)
    got = loaded.predict(fed, verbose=0)
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6)
    np.testing.assert_allclose(
        got["image"].reshape(2, 4, 8)[1], got["text"][1, [2, 4, 6, 8]], atol=1e-6
    )


def test_gradients_reach_only_tokens_that_were_placed():
    layer = make()
    x = features(**SHAPES)
    model = Sensitivity(layer, MARKS)
    slope = model(x)
    assert np.abs(slope["audio"]).min() > 0
    assert (slope["text"][0, [0, 1, 2, 3, 6, 7, 8]] == 0).all()
    assert np.abs(slope["text"][0, [4, 5]]).min() > 0


class Sensitivity:
    """How much the sum of the embeddings changes with each input, by differences."""

    def __init__(self, layer, marks):
        self.layer, self.marks = layer, marks

    def total(self, x):
        fused = numpy(self.layer(x, placeholders=self.marks))["embeddings"]
        return (
            fused.astype("float64") * np.arange(fused.size).reshape(fused.shape)
        ).sum(axis=(1, 2))

    def __call__(self, x):
        slopes = {}
        for name in ("text", "audio"):
            slopes[name] = np.zeros(x[name].shape[:2])
            for token in range(x[name].shape[1]):
                moved = x[name].copy()
                moved[:, token, 0] += 0.5
                change = self.total({**x, name: moved}) - self.total(x)
                slopes[name][:, token] = change
        return slopes
