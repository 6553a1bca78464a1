"""The fusion against the formula in float64, and what must not change it."""

import keras
import numpy as np
import pytest
import reference
from keras import ops
from reference import TEXT_AND_IMAGE
from tensors import array, features, normal, permuted
from weights import randomize, reloaded, weights_by_path

import keras_mmembed as mm

SEGMENTS = {**TEXT_AND_IMAGE, "text": {**TEXT_AND_IMAGE["text"], "segments": 2}}
SHAPES = {"text": (5, 8), "image": (12, 6)}


def make(configs=TEXT_AND_IMAGE, width=8, shapes=SHAPES, **options):
    fusion = mm.MultiModalFusion(configs, width, dropout=0.0, **options)
    fusion.build({name: (None, *shape) for name, shape in shapes.items()})
    return randomize(fusion)


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
    fusion, x = make(SEGMENTS, 10), features(**SHAPES)
    ids = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]], "int32")
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
    fusion, x = make(normalization=normalization), features(**SHAPES)
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
    fusion = make(
        {"text": {"type": "none", "dim": 8}},
        shapes={"text": (None, 8)},
        normalization=normalization,
        norm_type="rms",
        epsilon=0.1,
    )
    x = normal(2, 5, 8)
    total = x + array(fusion.modality.embeddings)[0]
    norms = [fusion.branch("text").norm, fusion.norm]
    for norm in norms if normalization == "both" else norms[1:]:
        root = np.sqrt((total**2).mean(axis=-1, keepdims=True) + 0.1)
        total = total / root * array(norm.scale)
    np.testing.assert_allclose(array(fusion({"text": x})), total, atol=1e-5)


def test_the_first_files_have_another_name_for_one_norm():
    config = {**make().get_config(), "normalization": "joint"}
    assert mm.MultiModalFusion.from_config(config).normalization == "shared"


def test_order_of_the_inputs_in_call_and_predict():
    fusion, x = make(), features(**SHAPES)
    expected = array(fusion(x))
    np.testing.assert_array_equal(array(fusion(permuted(x))), expected)
    for order in (("text", "image"), ("image", "text")):
        model = functional(fusion, order)
        for fed in (x, permuted(x)):
            got = model.predict(fed, verbose=0)
            np.testing.assert_allclose(got, expected, atol=1e-6)


def test_order_of_the_inputs_in_fit():
    x = features(**SHAPES)
    targets = np.random.default_rng(5).normal(size=(2, 17, 8))
    results = []
    for order, fed in ((("text", "image"), x), (("image", "text"), permuted(x))):
        fusion = make()
        model = functional(fusion, order)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(fed, targets, epochs=2, verbose=0)
        results.append(weights_by_path(fusion))
    for path, weight in results[0].items():
        np.testing.assert_allclose(array(results[1][path]), array(weight), atol=1e-6)


def test_order_of_the_inputs_after_a_reload(tmp_path):
    model, x = functional(make()), features(**SHAPES)
    expected = model.predict(x, verbose=0)
    loaded = reloaded(model, tmp_path)
    np.testing.assert_allclose(
        loaded.predict(permuted(x), verbose=0), expected, atol=1e-6
    )


def test_the_order_of_the_configuration_binds_weights_by_name(tmp_path):
    fusion, x = make(return_dict=True), features(**SHAPES)
    other = make(permuted(TEXT_AND_IMAGE), return_dict=True)
    model, turned = functional(fusion), functional(randomize(other, seed=2))
    model.save_weights(tmp_path / "fusion.weights.h5")
    turned.load_weights(tmp_path / "fusion.weights.h5")
    one = fusion.split(fusion(x)["embeddings"], like=x)
    two = other.split(other(x)["embeddings"], like=x)
    for name in x:
        np.testing.assert_allclose(array(one[name]), array(two[name]), atol=1e-6)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_file_with_fewer_modalities_keeps_its_rows(tmp_path):
    small = mm.ModalityEmbedding(["image", "text"])
    large = mm.ModalityEmbedding(["text", "audio", "image"])
    for layer in (small, large):
        layer.build((None, None, 8))
    inputs = keras.Input((None, 8))
    keras.Model(inputs, small(inputs, modality="text")).save_weights(
        tmp_path / "m.weights.h5"
    )
    grown = keras.Model(inputs, large(inputs, modality="text"))
    with pytest.raises(ValueError, match=r"must hold \['audio'\] in the file"):
        grown.load_weights(tmp_path / "m.weights.h5")
    with pytest.warns(UserWarning, match="audio"):
        grown.load_weights(tmp_path / "m.weights.h5", skip_mismatch=True)
    rows = array(small.embeddings)
    np.testing.assert_array_equal(array(large.embeddings)[[2, 0]], rows)


def test_mixed_policies_in_one_fusion():
    position = mm.PositionEmbedding1D(dtype="float32")
    configs = {
        **TEXT_AND_IMAGE,
        "text": {"type": "1d", "dim": 8, "position": position},
    }
    fusion = mm.MultiModalFusion(configs, 8, dtype="mixed_bfloat16")
    outputs = fusion(features(**SHAPES))
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
