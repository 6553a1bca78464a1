"""The fusion against the formula in float64, and what must not change it."""

import keras
import numpy as np
import pytest
import reference
from keras import ops
from reference import TEXT_AND_IMAGE

import keras_mmembed as mm

SEGMENTS = {**TEXT_AND_IMAGE, "text": {**TEXT_AND_IMAGE["text"], "segments": 2}}


def array(x):
    return np.asarray(ops.convert_to_numpy(x)).astype("float64")


def features(seed=0, batch=2, length=5):
    rng = np.random.default_rng(seed)
    return {
        "text": rng.normal(size=(batch, length, 8)).astype("float32"),
        "image": rng.normal(size=(batch, 12, 6)).astype("float32"),
    }


def randomize(layer, seed=1):
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])


def functional(fusion, order=("text", "image")):
    shapes = {"text": (None, 8), "image": (12, 6)}
    inputs = {name: keras.Input(shapes[name], name=name) for name in order}
    return keras.Model(inputs, fusion(inputs))


def test_the_configuration_of_the_document():
    configs = {
        "text": {"type": "1d", "max_len": 512, "dim": 768},
        "image": {"type": "2d", "height": 14, "width": 14, "dim": 512},
    }
    fusion = mm.MultiModalFusion(modality_configs=configs, unified_dim=512)
    x = {"text": np.ones((4, 50, 768)), "image": np.ones((4, 196, 512))}
    assert tuple(fusion(x).shape) == (4, 246, 512)
    shapes = {name: value.shape for name, value in x.items()}
    assert fusion.compute_output_shape(shapes) == (4, 246, 512)


def test_formula():
    fusion = mm.MultiModalFusion(SEGMENTS, 10, dropout=0.0)
    x = features()
    ids = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]], "int32")
    fusion.build({name: value.shape for name, value in x.items()})
    randomize(fusion)
    rows = array(fusion.modality.embeddings)
    expected = reference.fused(
        x,
        {
            name: [array(w) for w in fusion.branch(name).projection.weights]
            for name in x
        },
        {
            "text": reference.interleaved(range(5), 10),
            "image": reference.grid(3, 4, 10).reshape(12, 10),
        },
        {"text": rows[0], "image": rows[1]},
        {"text": array(fusion.branch("text").segment.embeddings)[ids]},
        array(fusion.norm.gamma),
        array(fusion.norm.beta),
        1e-6,
    )
    got = array(fusion(x, segment_ids={"text": ids}))
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("normalization", ["per_modality", "both"])
def test_norm_of_each_modality(normalization):
    fusion = mm.MultiModalFusion(
        TEXT_AND_IMAGE, 8, dropout=0.0, normalization=normalization
    )
    x = features()
    fusion.build({name: value.shape for name, value in x.items()})
    randomize(fusion)
    rows = array(fusion.modality.embeddings)
    projection = [array(w) for w in fusion.branch("image").projection.weights]
    sums = {
        "text": x["text"] + reference.interleaved(range(5), 8) + rows[0],
        "image": x["image"].astype("float64") @ projection[0]
        + projection[1]
        + reference.grid(3, 4, 8).reshape(12, 8)
        + rows[1],
    }
    norms = {name: fusion.branch(name).norm for name in sums}
    parts = [
        reference.layer_norm(
            sums[name], array(norms[name].gamma), array(norms[name].beta), 1e-6
        )
        for name in sums
    ]
    expected = np.concatenate(parts, axis=1)
    if normalization == "both":
        expected = reference.layer_norm(
            expected, array(fusion.norm.gamma), array(fusion.norm.beta), 1e-6
        )
    np.testing.assert_allclose(array(fusion(x)), expected, atol=1e-5)


@pytest.mark.parametrize("normalization", ["shared", "both"])
def test_root_mean_square(normalization):
    configs = {"text": {"type": "none", "dim": 8}}
    fusion = mm.MultiModalFusion(
        configs,
        8,
        dropout=0.0,
        normalization=normalization,
        norm_type="rms",
        epsilon=0.1,
    )
    x = np.random.default_rng(0).normal(size=(2, 5, 8))
    fusion.build({"text": (None, None, 8)})
    weights = [np.random.default_rng(1).normal(size=w.shape) for w in fusion.weights]
    fusion.set_weights(weights)
    total = x + array(fusion.modality.embeddings)[0]
    norms = [fusion.branch("text").norm, fusion.norm]
    for norm in norms if normalization == "both" else norms[1:]:
        root = np.sqrt((total**2).mean(axis=-1, keepdims=True) + 0.1)
        total = total / root * array(norm.scale)
    np.testing.assert_allclose(array(fusion({"text": x})), total, atol=1e-5)


def test_one_norm_before_or_after_the_concatenation_is_the_same():
    x = features()
    shared = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, dropout=0.0)
    joint = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, dropout=0.0, normalization="joint")
    for fusion in (shared, joint):
        fusion.build({name: value.shape for name, value in x.items()})
        randomize(fusion)
    np.testing.assert_allclose(array(shared(x)), array(joint(x)), atol=1e-6)


def permuted(x):
    return dict(reversed(x.items()))


def test_order_of_the_inputs_in_call_and_predict():
    x = features()
    fusion = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, dropout=0.0)
    expected = array(fusion(x))
    np.testing.assert_array_equal(array(fusion(permuted(x))), expected)
    for order in (("text", "image"), ("image", "text")):
        model = functional(fusion, order)
        for fed in (x, permuted(x)):
            got = model.predict(fed, verbose=0)
            np.testing.assert_allclose(got, expected, atol=1e-6)


def test_order_of_the_inputs_in_fit():
    x = features()
    targets = np.random.default_rng(5).normal(size=(2, 17, 8))
    results = []
    for order, fed in ((("text", "image"), x), (("image", "text"), permuted(x))):
        fusion = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, dropout=0.0)
        fusion.build({name: value.shape for name, value in x.items()})
        randomize(fusion)
        model = functional(fusion, order)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(fed, targets, epochs=2, verbose=0)
        results.append({w.path: array(w) for w in fusion.weights})
    for path, value in results[0].items():
        other = next(v for p, v in results[1].items() if suffix(p) == suffix(path))
        np.testing.assert_allclose(other, value, atol=1e-6)


def suffix(path):
    return path.split("/", 1)[1]


def test_order_of_the_inputs_after_a_reload(tmp_path):
    x = features()
    fusion = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, dropout=0.0)
    model = functional(fusion)
    randomize(model)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(permuted(x), verbose=0), expected, atol=1e-6
    )


def test_the_order_of_the_configuration_binds_weights_by_name(tmp_path):
    x = features()
    fusion = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, dropout=0.0, return_dict=True)
    other = mm.MultiModalFusion(
        permuted(TEXT_AND_IMAGE), 8, dropout=0.0, return_dict=True
    )
    model, turned = functional(fusion), functional(other)
    randomize(model)
    model.save_weights(tmp_path / "fusion.weights.h5")
    turned.load_weights(tmp_path / "fusion.weights.h5")
    one = fusion.split(fusion(x)["embeddings"], like=x)
    two = other.split(other(x)["embeddings"], like=x)
    for name in x:
        np.testing.assert_allclose(array(one[name]), array(two[name]), atol=1e-6)


def test_a_file_with_fewer_modalities_keeps_its_rows(tmp_path):
    small = mm.ModalityEmbedding(["image", "text"])
    large = mm.ModalityEmbedding(["text", "audio", "image"])
    for layer in (small, large):
        layer.build((None, None, 8))
    inputs = keras.Input((None, 8))
    keras.Model(inputs, small(inputs, modality="text")).save_weights(
        tmp_path / "m.weights.h5"
    )
    keras.Model(inputs, large(inputs, modality="text")).load_weights(
        tmp_path / "m.weights.h5"
    )
    rows = array(small.embeddings)
    np.testing.assert_array_equal(array(large.embeddings)[[2, 0]], rows)


def test_masks_reach_attention_downstream():
    words = keras.Input((None,), dtype="int32", name="words")
    image = keras.Input((12, 6), name="image")
    text = keras.layers.Embedding(50, 8, mask_zero=True)(words)
    fusion = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, cls_token=True)
    tokens = fusion({"text": text, "image": image})
    mixed = keras.layers.MultiHeadAttention(2, 4)(tokens, tokens)
    model = keras.Model({"words": words, "image": image}, mixed[:, 0])
    x = features()["image"]
    short = np.array([[3, 4, 5]] * 2, "int32")
    padded = np.array([[3, 4, 5, 0, 0]] * 2, "int32")
    one = model.predict({"words": short, "image": x}, verbose=0)
    two = model.predict({"words": padded, "image": x}, verbose=0)
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_what_stands_in_a_pad_changes_nothing(dtype):
    fusion = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, dropout=0.0)
    x = features()
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
def test_what_stands_in_a_pad_gets_no_gradient(missing):
    raw = {"text": (5, 8), "image": (12, 6), "sound": (4, 3)}
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
    features = {name: Learned(value) for name, value in values.items()}
    like = {n: keras.Input(s, batch_size=2, name=n) for n, s in raw.items()}
    flags = {n: keras.Input((), dtype="bool", name=f"has_{n}") for n in raw}
    lengths = keras.Input((), dtype="int32", name="lengths")
    present = {name: flags[name] for name in ("image", "sound")}
    tokens = fusion(
        {name: layer(like[name]) for name, layer in features.items()},
        present=present,
        mask={"text": lengths},
    )
    fed = {n: np.zeros((2, *s), "float32") for n, s in raw.items()}
    fed["lengths"] = np.array([3, 5], "int32")
    for name in present:
        fed[f"has_{name}"] = ~absent[name][:, 0]
    given = {**like, "lengths": lengths, **{f"has_{n}": t for n, t in present.items()}}
    model = keras.Model(given, tokens)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(fed, rng.normal(size=(2, 22, 8)).astype("float32"))
    for name, layer in features.items():
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
    image = features(batch=batch)["image"]
    empty = {
        "text": np.zeros((batch, 0, 8), "float32"),
        "image": image,
    }
    ids = {"text": np.zeros((batch, 0), "int32")}
    fused, alone = fusion(empty, segment_ids=ids), fusion({"image": image})
    for key, value in alone.items():
        np.testing.assert_allclose(array(fused[key]), array(value), atol=1e-6)


def test_an_absent_modality_leaves_the_others_as_they_are():
    fusion = mm.MultiModalFusion(TEXT_AND_IMAGE, 8, dropout=0.0)
    x = features()
    both = array(fusion(x))
    np.testing.assert_allclose(
        array(fusion({"image": x["image"]})), both[:, 5:], atol=1e-6
    )
    got = array(fusion({"text": x["text"], "image": None}))
    np.testing.assert_allclose(got, both[:, :5], atol=1e-6)


def test_mixed_policies_in_one_fusion():
    position = mm.PositionEmbedding1D(dtype="float32")
    configs = {
        **TEXT_AND_IMAGE,
        "text": {"type": "1d", "dim": 8, "position": position},
    }
    fusion = mm.MultiModalFusion(configs, 8, dtype="mixed_bfloat16")
    outputs = fusion(features())
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"


def test_segments_of_a_grid():
    configs = {"image": {**TEXT_AND_IMAGE["image"], "segments": 2, "dim": 8}}
    fusion = mm.MultiModalFusion(configs, 8, normalization=None, dropout=0.0)
    x = np.zeros((2, 3, 4, 8), "float32")
    ids = np.random.default_rng(0).integers(0, 2, (2, 3, 4)).astype("int32")
    got = array(fusion({"image": x}, segment_ids={"image": ids}))
    bare = array(fusion({"image": x}))
    rows = array(fusion.branch("image").segment.embeddings)
    expected = bare - rows[0] + rows[ids.reshape(2, 12)]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_positions_of_three_tokens():
    """On TensorFlow, `ops.add` takes (1, 1, 3) for a bias of an axis of 3."""
    fusion = mm.MultiModalFusion(
        {"image": {"type": "none", "dim": 8}, "text": {"type": "1d", "dim": 8}},
        8,
        return_dict=True,
    )
    inputs = {"text": np.ones((1, 2, 8)), "image": np.ones((1, 3, 8))}
    positions = ops.convert_to_numpy(fusion(inputs)["positions"])
    expected = np.zeros((1, 5, 3))
    expected[0, 3:, 0] = [0, 1]
    np.testing.assert_array_equal(positions, expected)


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
    rng = np.random.default_rng(0)
    fed = {name: rng.normal(size=(1, 4, 8)).astype("float32") for name in configs}
    got, mean = model.predict(
        {**fed, "valid": np.array([[1, 1, 0, 0]], bool)}, verbose=0
    )
    np.testing.assert_allclose(mean, got[:, :-2].mean(axis=1), atol=1e-6)


def test_split_restores_grids(tmp_path):
    configs = {"video": {"type": "3d", "dim": 8}, "text": {"type": "1d", "dim": 8}}
    fusion = mm.MultiModalFusion(configs, 8, dropout=0.0, cls_token=True)
    text = keras.Input((None, 8), name="text")
    video = keras.Input((None, None, None, 8), name="video")
    inputs = {"text": text, "video": video}
    parts = fusion.split(fusion(inputs), like=inputs, grids=True)
    assert parts["video"].shape == (None, None, None, None, 8)
    model = keras.Model(inputs, parts)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    rng = np.random.default_rng(0)
    fed = {
        "text": rng.normal(size=(2, 5, 8)),
        "video": rng.normal(size=(2, 3, 2, 4, 8)),
    }
    got = model.predict(fed, verbose=0)
    assert got["text"].shape == (2, 5, 8)
    whole = array(model.get_layer(fusion.name)(fed))
    np.testing.assert_allclose(
        got["video"], whole[:, 1:25].reshape(2, 3, 2, 4, 8), atol=1e-6
    )


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
