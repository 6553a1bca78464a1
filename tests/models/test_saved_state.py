"""State that is saved: what a file lacks is told, what is frozen comes back frozen."""

import warnings

import keras
import numpy as np
import pytest

import keras_mmembed as mm

TEXT = {"type": "1d", "dim": 8, "vocabulary_size": 20}
IMAGE = {"type": "2d", "dim": 6, "position": "learned", "height": 2, "width": 2}
QUIET = pytest.mark.filterwarnings("ignore:Skipping nested container")


def symbols(**shapes):
    return {
        name: keras.Input(shape, name=name, dtype="int32" if len(shape) == 1 else None)
        for name, shape in shapes.items()
    }


def fused(configs, **options):
    inputs = symbols(**{n: (None,) if n == "text" else (2, 2, 6) for n in configs})
    fusion = mm.MultiModalFusion(configs, 8, dropout=0.0, name="fusion", **options)
    return keras.Model(inputs, fusion(inputs), name="model")


def transformer(**options):
    configs = {"text": TEXT, "image": IMAGE}
    model = mm.MultiModalTransformer(
        configs, 8, num_layers=2, num_heads=2, num_outputs=3, name="inner", **options
    )
    inputs = symbols(text=(None,), image=(2, 2, 6))
    return keras.Model(inputs, model(inputs))


@QUIET
@pytest.mark.parametrize(
    "configs, options, missing",
    [
        ({"text": TEXT, "picture": IMAGE}, {}, "picture"),
        ({"text": TEXT, "image": IMAGE}, {"cls_token": True}, "cls_embedding"),
        ({"text": TEXT, "image": IMAGE}, {"num_registers": 2}, "register_embeddings"),
        ({"text": TEXT, "image": IMAGE}, {"missing": "token"}, "missing"),
        (
            {"text": {**TEXT, "start_token": True}, "image": IMAGE},
            {},
            "start",
        ),
    ],
)
def test_a_weight_that_the_file_lacks_is_told(configs, options, missing, tmp_path):
    path = tmp_path / "old.weights.h5"
    fused({"text": TEXT, "image": IMAGE}).save_weights(path)
    with pytest.raises(ValueError, match=f"must hold .*{missing}|could not be loaded"):
        fused(configs, **options).load_weights(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fused(configs, **options).load_weights(path, skip_mismatch=True)
    assert missing in " ".join(str(warning.message) for warning in caught)


def frozen_paths(model):
    """Return the ends of the paths of all weights that do not train."""
    weights = [w for w in model.weights if "seed" not in w.path]
    return {w.path.split("inner/")[-1] for w in weights if not w.trainable}


def test_frozen_parts_stay_frozen(tmp_path):
    model = transformer()
    inner = model.get_layer("inner")
    inner.fusion.trainable = False
    inner.fusion.branch("image").trainable = True
    inner.blocks[0].trainable = False
    expected = frozen_paths(model)
    assert any("text" in path for path in expected)
    assert not any("branch_image" in path or "/image/" in path for path in expected)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert frozen_paths(loaded) == expected
    assert not loaded.get_layer("inner").blocks[0].trainable


def test_the_optimizer_of_a_frozen_model_goes_on(tmp_path):
    model = transformer()
    model.get_layer("inner").fusion.trainable = False
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    rng = np.random.default_rng(0)
    x = {
        "text": rng.integers(0, 20, (2, 3)).astype("int32"),
        "image": rng.normal(size=(2, 2, 2, 6)).astype("float32"),
    }
    y = np.zeros((2, 3), "float32")
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        keras.utils.set_random_seed(1)
        each.train_on_batch(x, y)
    inner = model.get_layer("inner"), loaded.get_layer("inner")
    for a, b in zip(*(one.fusion.get_weights() for one in inner), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(model.optimizer.variables) == len(loaded.optimizer.variables)


@pytest.mark.parametrize("make", ["fusion", "transformer"])
def test_a_layer_that_is_not_built_is_saved_and_copied(make):
    layer = {
        "fusion": lambda: mm.MultiModalFusion({"text": TEXT}, 8, name="layer"),
        "transformer": lambda: mm.MultiModalTransformer(
            {"text": TEXT}, 8, num_layers=1, num_heads=2, name="layer"
        ),
    }[make]()
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert not copy.built
    assert copy.get_config() == layer.get_config()
    assert copy({"text": np.array([[1, 2]])}).shape[0] == 1


def paths(position, embedding):
    config = {"type": "2d", "embedding": embedding, "position": position}
    if position == "learned":
        config.update(height=2, width=2)
    fusion = mm.MultiModalFusion({"image": config}, 8, name="fusion")
    fusion({"image": np.ones((1, 4, 4, 3), "float32")})
    return [weight.path for weight in fusion.weights]


def test_paths_do_not_depend_on_how_a_layer_was_given():
    made = [
        paths(mm.PositionEmbedding2D(2, 2, kind="learned"), mm.PatchEmbedding(2, 8))
        for _ in range(2)
    ]
    named = paths("learned", mm.PatchEmbedding(2, 8))
    assert made[0] == made[1] == named
    assert "fusion/image/position/embeddings" in named


def test_a_layer_keeps_the_name_that_the_user_chose():
    named = paths("learned", mm.PatchEmbedding(2, 8, name="patches"))
    assert "fusion/image/patches/projection/kernel" in named


@pytest.mark.filterwarnings("ignore:Layer 'words'.* was passed an input with a mask")
def test_a_tied_head_is_tied_after_loading(tmp_path):
    words = keras.layers.ReversibleEmbedding(20, 8, name="words")
    inputs = {"text": keras.Input((None,), dtype="int32", name="text")}
    fusion = mm.MultiModalFusion({"text": {"type": "1d", "embedding": words}}, 8)
    model = keras.Model(inputs, words(fusion(inputs), reverse=True))
    x = {"text": np.array([[1, 2, 3]], "int32")}
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), expected, atol=1e-6)
    assert len(loaded.weights) == len(model.weights)


@keras.saving.register_keras_serializable(package="test_saved_state")
class Classifier(keras.Model):
    """A user's own model over ids."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.body = mm.MultiModalTransformer(
            {"text": TEXT, "image": {"type": "2d", "dim": 8, "into": "text"}},
            8,
            num_layers=1,
            num_heads=2,
        )
        self.head = keras.layers.Dense(2)

    def call(self, x):
        places = {"image": x["places"]}
        inputs = {"text": x["text"], "image": x["image"]}
        return self.head(self.body(inputs, placeholders=places))


def test_a_subclassed_model_over_ids_comes_back_whole(tmp_path):
    x = {
        "text": np.array([[1, 9, 3]], "int32"),
        "image": np.ones((1, 1, 1, 8), "float32"),
        "places": np.array([[False, True, False]]),
    }
    model = Classifier()
    expected = keras.ops.convert_to_numpy(model(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    got = keras.ops.convert_to_numpy(loaded(x))
    np.testing.assert_allclose(got, expected, atol=1e-6)
