"""Padding and missing modalities change nothing, and the mask goes on."""

import keras
import numpy as np
import pytest
from keras import ops
from reference import TEXT_AND_IMAGE
from tensors import array, features, normal

import keras_mmembed as mm

SHAPES = {"text": (5, 8), "image": (12, 6)}


def test_masks_reach_attention_downstream():
    words = keras.Input((None,), dtype="int32", name="words")
    image = keras.Input((12, 6), name="image")
    text = keras.layers.Embedding(50, 8, mask_zero=True)(words)
    fusion = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, cls_token=True)
    tokens = fusion({"text": text, "image": image})
    mixed = keras.layers.MultiHeadAttention(2, 4)(tokens, tokens)
    model = keras.Model({"words": words, "image": image}, mixed[:, 0])
    x = normal(2, 12, 6)
    short = np.array([[3, 4, 5]] * 2, "int32")
    padded = np.array([[3, 4, 5, 0, 0]] * 2, "int32")
    one = model.predict({"words": short, "image": x}, verbose=0)
    two = model.predict({"words": padded, "image": x}, verbose=0)
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_what_stands_in_padding_changes_nothing(dtype):
    fusion = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, dropout=0.0)
    x = features(**SHAPES)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).astype(dtype)
    one = fusion(x, mask={"text": mask})
    text = x["text"].copy()
    text[0, 3:] = np.nan
    two = fusion({**x, "text": text}, mask={"text": mask})
    np.testing.assert_array_equal(array(one), array(two))


class Learned(keras.layers.Layer):
    """Features that are weights: a step of SGD takes away their gradient."""

    def __init__(self, value):
        super().__init__()
        self.value = self.add_weight(shape=value.shape, initializer="zeros")
        self.value.assign(value)

    def call(self, like):
        return ops.add(self.value, ops.zeros_like(like))


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("missing", ["mask", "token"])
def test_what_stands_in_padding_gets_no_gradient(missing):
    raw = {**SHAPES, "sound": (4, 3)}
    configs = {
        **TEXT_AND_IMAGE,
        "sound": {"type": "1d", "dim": 8, "embedding": keras.layers.Dense(8)},
    }
    fusion = mm.MultiModalFusion(
        configs, 8, dropout=0.0, cls_token=True, normalization="both", missing=missing
    )
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(2, *shape)) for name, shape in raw.items()}
    absent = {name: np.zeros((2, shape[0]), bool) for name, shape in raw.items()}
    absent["text"][0, 3:] = absent["image"][1] = absent["sound"][0] = True
    for name, value in values.items():
        value[absent[name]] = np.nan
    learned = {name: Learned(value) for name, value in values.items()}
    like = {n: keras.Input(s, batch_size=2, name=n) for n, s in raw.items()}
    flags = {n: keras.Input((), dtype="bool", name=f"has_{n}") for n in raw}
    lengths = keras.Input((), dtype="int32", name="lengths")
    present = {name: flags[name] for name in ("image", "sound")}
    tokens = fusion(
        {name: layer(like[name]) for name, layer in learned.items()},
        present=present,
        mask={"text": lengths},
    )
    fed = {n: np.zeros((2, *s), "float32") for n, s in raw.items()}
    fed["lengths"] = np.array([3, 5], "int32")
    for name in present:
        fed[f"has_{name}"] = ~absent[name][:, 0]
    inputs = {**like, "lengths": lengths, **{f"has_{n}": t for n, t in present.items()}}
    model = keras.Model(inputs, tokens)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(fed, rng.normal(size=(2, 22, 8)).astype("float32"))
    for name, layer in learned.items():
        before, after = values.pop(name).astype("float32"), array(layer.value)
        np.testing.assert_array_equal(after[absent[name]], before[absent[name]])
        assert np.isfinite(after[~absent[name]]).all()
        assert (after != before)[~absent[name]].any()
    for weight in fusion.trainable_weights:
        assert np.isfinite(array(weight)).all(), weight.path


@pytest.mark.parametrize("batch", [1, 2])
def test_no_tokens_at_all(batch):
    text = {"type": "1d", "dim": 8, "segments": 2, "max_len": 20}
    configs = {"text": text, "image": TEXT_AND_IMAGE["image"]}
    fusion = mm.MultiModalFusion(configs, 8, dropout=0.0, return_dict=True)
    image = normal(batch, 12, 6)
    empty = {"text": np.zeros((batch, 0, 8), "float32"), "image": image}
    ids = {"text": np.zeros((batch, 0), "int32")}
    fused, alone = fusion(empty, segment_ids=ids), fusion({"image": image})
    for key, value in alone.items():
        np.testing.assert_allclose(array(fused[key]), array(value), atol=1e-6)


def test_an_absent_modality_leaves_the_others_as_they_are():
    fusion = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, dropout=0.0)
    x = features(**SHAPES)
    both = array(fusion(x))
    np.testing.assert_allclose(
        array(fusion({"image": x["image"]})), both[:, 5:], atol=1e-6
    )
    got = array(fusion({"text": x["text"], "image": None}))
    np.testing.assert_allclose(got, both[:, :5], atol=1e-6)


@pytest.mark.parametrize("place", ["fusion", "gate", "split"])
def test_a_layer_of_a_model_reads_the_mask(place):
    """Keras connects a mask that a layer takes with what the mask was made from."""
    configs = {name: {"type": "1d", "dim": 8} for name in ("audio", "text")}
    inputs = {name: keras.Input((None, 8), name=name) for name in configs}
    lengths = keras.Input((None,), dtype="bool", name="valid")
    fusion = mm.MultiModalFusion(configs, 8, dropout=0.0)
    tokens = fusion(inputs, mask={"text": lengths})
    if place == "gate":
        tokens = mm.ZeroGate()([tokens, 2 * tokens])
    if place == "split":
        tokens = fusion.split(tokens, like=inputs)["text"]
    pooled = keras.layers.GlobalAveragePooling1D()(tokens)
    model = keras.Model({**inputs, "valid": lengths}, [tokens, pooled])
    fed = features(1, audio=(4, 8), text=(4, 8))
    got, mean = model.predict(
        {**fed, "valid": np.array([[1, 1, 0, 0]], bool)}, verbose=0
    )
    np.testing.assert_allclose(mean, got[:, :-2].mean(axis=1), atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="meshes of JAX")
def test_the_mask_is_sharded_as_the_tokens():
    import jax

    configs = {name: {"type": "1d", "dim": 8} for name in ("text", "image")}
    layer = mm.MultiModalFusion(configs, 8, cls_token=True)
    inputs = {name: np.ones((2, 3, 8), "float32") for name in configs}
    layer(inputs)
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Explicit,))
    sharding = jax.NamedSharding(mesh, jax.P("batch"))
    with jax.set_mesh(mesh):
        fused = layer({name: jax.device_put(x, sharding) for name, x in inputs.items()})
        assert jax.typeof(fused._keras_mask).sharding.spec[0] == "batch"
