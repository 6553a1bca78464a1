"""Laws of the fusion over random subsets, lengths, masks and orders."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import ops
from tensors import numpy
from weights import randomize, reloaded

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 6, "segments": 2},
    "image": {"type": "2d", "dim": 4},
    "audio": {"type": "1d", "dim": 5, "position": "learned", "max_len": 8},
    "video": {"type": "3d", "dim": 6},
}
WIDTHS = {name: config["dim"] for name, config in CONFIGS.items()}
AXES = {"text": 1, "image": 2, "audio": 1, "video": 3}
few = settings(
    # JAX compiles every operation once for every shape
    max_examples=4 if keras.backend.backend() == "jax" else 8,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],
)


@pytest.fixture(scope="module")
def fusion():
    layer = mm.MultiModalFusion(
        CONFIGS, 6, dropout=0.0, cls_token=True, num_registers=1, return_dict=True
    )
    layer.build({name: (None,) * (AXES[name] + 1) + (WIDTHS[name],) for name in AXES})
    return randomize(layer)


@st.composite
def inputs(draw, only=tuple(AXES)):
    names = draw(st.permutations(only))
    names = names[: draw(st.integers(1, len(names)))]
    batch = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    sizes = {
        name: [draw(st.integers(1, 3)) for _ in range(AXES[name])] for name in names
    }
    return {
        name: rng.normal(size=(batch, *sizes[name], WIDTHS[name])).astype("float32")
        for name in names
    }


def in_order(x):
    return [name for name in CONFIGS if name in x]


@few
@given(x=inputs(), data=st.data())
def test_order_of_the_inputs_is_irrelevant(fusion, x, data):
    permuted = {name: x[name] for name in data.draw(st.permutations(list(x)))}
    got, expected = numpy(fusion(permuted)), numpy(fusion(x))
    for key in expected:
        np.testing.assert_array_equal(got[key], expected[key])


@few
@given(x=inputs())
def test_split_gives_every_modality_its_own_tokens(fusion, x):
    fused = fusion(x)
    parts = numpy(fusion.split(fused["embeddings"], like=x))
    ids = numpy(fusion.split(fused["modality_ids"], like=x))
    alone = {name: numpy(fusion({name: x[name]}))["embeddings"][:, 2:] for name in x}
    assert list(parts) == in_order(x)
    for name, part in parts.items():
        np.testing.assert_allclose(part, alone[name], atol=1e-5)
        assert (ids[name] == fusion.modalities.index(name)).all()
    joined = np.concatenate([parts[name] for name in in_order(x)], axis=1)
    np.testing.assert_array_equal(joined, numpy(fused["embeddings"])[:, 2:])


@few
@given(x=inputs(only=("text", "audio")), data=st.data())
def test_masked_at_the_end_equals_removed(fusion, x, data):
    lengths = {n: data.draw(st.integers(1, v.shape[1])) for n, v in x.items()}
    batch = next(iter(x.values())).shape[0]
    mask = {n: np.full((batch,), length, "int32") for n, length in lengths.items()}
    kept = {n: v[:, : lengths[n]] for n, v in x.items()}
    masked, removed = numpy(fusion(x, mask=mask)), numpy(fusion(kept))
    for key in ("embeddings", "modality_ids", "positions"):
        for sample in range(batch):
            valid = masked[key][sample][masked["mask"][sample]]
            np.testing.assert_allclose(valid, removed[key][sample], atol=1e-5)


@few
@given(x=inputs(), data=st.data())
def test_forms_of_a_mask_agree(fusion, x, data):
    seed = data.draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    masks = {name: rng.random(v.shape[:-1]) < 0.6 for name, v in x.items()}
    expected = numpy(fusion(x, mask=masks))
    for form in (
        lambda m: m.astype("int32"),
        lambda m: m.astype("float32"),
        lambda m: m.reshape(m.shape[0], -1),
    ):
        got = numpy(fusion(x, mask={name: form(m) for name, m in masks.items()}))
        for key in expected:
            np.testing.assert_array_equal(got[key], expected[key])
    flat = [masks[name].reshape(masks[name].shape[0], -1) for name in in_order(x)]
    np.testing.assert_array_equal(expected["mask"][:, 2:], np.concatenate(flat, 1))


@few
@given(x=inputs(), data=st.data())
def test_a_missing_modality_equals_the_sample_without_it(fusion, x, data):
    batch = next(iter(x.values())).shape[0]
    names = list(x)
    flags = np.array(
        [
            data.draw(st.lists(st.booleans(), min_size=len(x), max_size=len(x)))
            for _ in range(batch)
        ]
    )
    flags[:, data.draw(st.integers(0, len(x) - 1))] = True
    present = {name: flags[:, column] for column, name in enumerate(names)}
    fused = numpy(fusion(x, present=present))
    for sample in range(batch):
        there = {n: v[sample : sample + 1] for n, v in x.items() if present[n][sample]}
        alone = numpy(fusion(there))
        for key in ("embeddings", "modality_ids", "positions"):
            valid = fused[key][sample][fused["mask"][sample]]
            np.testing.assert_allclose(valid, alone[key][0], atol=1e-5)


@settings(few, max_examples=2)
@given(x=inputs(), data=st.data())
def test_compiled_and_loaded_equal_eager(fusion, x, data, tmp_path):
    lengths = {
        name: np.array([data.draw(st.integers(0, len(v))) for v in values])
        for name, values in x.items()
        if AXES[name] == 1
    }
    expected = numpy(fusion(x, mask=lengths))
    symbols = {n: keras.Input((None,) * AXES[n] + (WIDTHS[n],)) for n in x}
    masks = {name: keras.Input((), dtype="int32") for name in lengths}
    model = keras.Model([symbols, masks], fusion(symbols, mask=masks))
    for same in (model, reloaded(model, tmp_path)):
        got = same.predict([x, lengths], verbose=0)
        for key in expected:
            np.testing.assert_allclose(got[key], expected[key], atol=2e-6)


@few
@given(x=inputs(), rate=st.floats(0.1, 0.9), seed=st.integers(0, 99))
def test_training_never_drops_every_modality(x, rate, seed):
    layer = mm.MultiModalFusion(
        CONFIGS, 6, dropout=0.0, modality_dropout=rate, return_dict=True, seed=seed
    )
    mask = numpy(layer(x, training=True))["mask"]
    kept = layer.split(mask, like=x)
    counts = [ops.convert_to_numpy(kept[name]).all(axis=1) for name in x]
    assert np.stack(counts).any(axis=0).all()
    assert numpy(layer(x, training=False))["mask"].all()


def test_training_drops_at_the_rate_of_each_modality():
    rates = {"text": 0.0, "image": 0.3, "audio": 0.7, "video": 0.0}
    layer = mm.MultiModalFusion(
        CONFIGS, 6, dropout=0.0, modality_dropout=rates, return_dict=True, seed=1
    )
    x = {
        name: np.ones((4000, *[1] * AXES[name], WIDTHS[name]), "float32")
        for name in CONFIGS
    }
    kept = layer.split(layer(x, training=True)["mask"], like=x)
    for name, rate in rates.items():
        share = 1 - ops.convert_to_numpy(kept[name]).mean()
        assert abs(share - rate) < 0.03, name
