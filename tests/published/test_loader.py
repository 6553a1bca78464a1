"""Published weights into the weights of layers: every tensor accounted for."""

import keras
import numpy as np
import pytest
from safetensors_files import write
from small_bert import HIDDEN, LENGTH, WIDTH, WORDS, published
from tensors import array
from weights import weights_by_path

import keras_mmembed as mm

RNG = np.random.default_rng(0)


def bert(configs=None, num_layers=2, **options):
    text = {
        "type": "1d",
        "max_len": LENGTH,
        "position": "learned",
        "vocabulary_size": WORDS,
        "padding_id": 0,
        "segments": 2,
    }
    model = mm.MultiModalTransformer(
        {"text": text, **(configs or {})},
        WIDTH,
        num_layers=num_layers,
        num_heads=2,
        hidden_dim=HIDDEN,
        norm_first=False,
        pooling="tokens",
        modality_embedding=False,
        **options,
    )
    model.build({"text": (None, None)})
    return model


def values(layer):
    return {path: array(weight) for path, weight in weights_by_path(layer).items()}


def test_a_file_goes_into_a_model_whatever_its_prefix(tmp_path):
    tensors, outputs = published(), []
    words = RNG.integers(1, WORDS, (2, 5)).astype("int32")
    named = {f"bert.{name}": tensor for name, tensor in tensors.items()}
    for source in (tensors, named, write(tmp_path / "model.safetensors", tensors)):
        model = bert(dropout=0.0)
        mm.load_published_weights(model, source, "bert")
        outputs.append(array(model({"text": words})))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])
    kernel = tensors["encoder.layer.1.intermediate.dense.weight"].T
    np.testing.assert_array_equal(array(model.blocks[1].hidden.kernel), kernel)


def test_a_part_by_its_path_in_the_model_of_the_recipe():
    tensors = published()
    words = keras.layers.Embedding(WORDS, WIDTH)
    words.build()
    part = "fusion/text/embedding"
    mm.load_published_weights(words, tensors, "bert", part=part)
    expected = tensors["embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(array(words.embeddings), expected)
    position = mm.PositionEmbedding1D(LENGTH, kind="learned")
    position.build((None, None, WIDTH))
    mm.load_published_weights(position, tensors, "bert", part="fusion/text/position")
    expected = tensors["embeddings.position_embeddings.weight"]
    np.testing.assert_array_equal(array(position.embeddings), expected)
    model = bert(num_layers=1)
    mm.load_published_weights(model.blocks[0], tensors, "bert", part="block_1")
    expected = tensors["encoder.layer.1.output.dense.bias"]
    np.testing.assert_array_equal(array(model.blocks[0].output_dense.bias), expected)


def test_weights_that_are_chosen_in_a_model_that_has_more():
    model = bert({"image": {"type": "2d", "dim": 6}}, num_outputs=3)
    before = values(model)
    chosen = ["fusion/text", "fusion/norm", "block_*"]
    mm.load_published_weights(model, published(), "bert", only=chosen)
    changed = {
        path for path, value in values(model).items() if (value != before[path]).any()
    }
    kept = ("fusion/image/", "head/")
    assert changed == {path for path in before if not path.startswith(kept)}


def test_a_tower_inside_a_model():
    tower = bert()
    model = mm.MultiModalFusion(
        {"caption": {"type": "1d", "dim": WIDTH, "embedding": tower}}, WIDTH
    )
    mm.load_published_weights(model.branch("caption").embedding, published(), "bert")
    other = bert()
    other.name = "another"
    tensors = published()
    for layer in (tower, other):
        mm.load_published_weights(layer, tensors, "bert")
    for one, two in zip(tower.weights, other.weights, strict=True):
        np.testing.assert_array_equal(array(one), array(two))


def test_a_recipe_of_ones_own():
    layer = keras.Sequential(
        [
            keras.Input((6, 4)),
            keras.layers.Conv1D(5, 3, name="conv"),
            keras.layers.LayerNormalization(name="norm"),
            keras.layers.Dense(2, name="first"),
            keras.layers.Dense(2, name="second", use_bias=False),
            keras.layers.Dense(3, name="third"),
        ]
    )
    before = array(layer.layers[-1].bias)
    fused = RNG.normal(size=(5, 4)).astype("float32")
    arrays = {
        "m.conv.weight": RNG.normal(size=(5, 4, 3)),
        "m.fused": fused,
        "m.scale": np.ones((1, 1, 5), "float16"),
        "m.bias": np.arange(2.0),
        "m.last": np.zeros((3, 2)),
        "m.rest.1": np.zeros(1),
        "m.rest.2": np.zeros(1),
    }

    def first(tensor):
        return tensor[:, :2].T

    recipe = {
        "weights": {
            "conv/kernel": "conv.weight",
            "conv/bias": 0.5,
            "norm/gamma": ["gamma", "scale"],
            "*/beta": 0,
            "first/kernel": (first, "fused"),
            "first/bias": (np.add, "bias", "bias"),
            "second/kernel": (lambda tensor: tensor[:2, 2:], "fused"),
            "third/kernel": "last",
            "third/*": None,
        },
        "unused": ["rest.*"],
        "prefixes": ["m."],
    }
    mm.load_published_weights(layer, arrays, recipe)
    got = {
        f"{one.name}/{weight.name}": array(weight)
        for one in layer.layers
        for weight in one.weights
    }
    kernel = np.moveaxis(arrays["m.conv.weight"], (0, 1), (-1, -2))
    np.testing.assert_allclose(got["conv/kernel"], kernel, rtol=1e-6)
    assert (got["conv/bias"] == 0.5).all() and (got["norm/beta"] == 0).all()
    np.testing.assert_array_equal(got["first/kernel"], fused[:, :2])
    np.testing.assert_array_equal(got["first/bias"], [0, 2])
    np.testing.assert_array_equal(got["second/kernel"], fused[:2, 2:].T)
    np.testing.assert_array_equal(got["third/bias"], before)


@pytest.mark.parametrize(
    "change, options, rule",
    [
        (
            lambda x: x.pop("encoder.layer.1.output.dense.bias"),
            {},
            "have a tensor for every weight, and .*recipe='bert'. Weights without a "
            "tensor: 'block_1/output/bias <- encoder.layer.1.output.dense.bias'",
        ),
        (
            lambda x: x.update(published(blocks=3)),
            {},
            "Tensors without a weight: 'encoder.layer.2.attention.self.query.weight'",
        ),
        (
            lambda x: x.update({"gate.0": np.ones(1), "gate.1": np.ones(1)}),
            {"only": "block_1"},
            r"Tensors without a weight: 'gate\.{i}' \(2 of them\)\.$",
        ),
        (
            lambda x: x.update({"bert.embeddings.LayerNorm.bias": np.ones(WIDTH)}),
            {},
            "have 'embeddings.LayerNorm.bias' once",
        ),
        (
            lambda x: x.update(
                {"encoder.layer.1.intermediate.dense.weight": np.ones((WIDTH, HIDDEN))}
            ),
            {},
            r"fit the shape \(8, 12\) of the weight 'block_1/hidden/kernel'. "
            r"Received: source=\(8, 12\) of 'encoder.*outputs and inputs",
        ),
        (
            lambda x: x.update(
                {"embeddings.word_embeddings.weight": np.ones((WORDS, WIDTH), int)}
            ),
            {},
            "have floats in 'embeddings.word_embeddings.weight', for",
        ),
    ],
    ids=["missing", "left", "left by others", "twice", "shape", "dtype"],
)
def test_nothing_is_loaded_if_anything_does_not_fit(change, options, rule):
    model, tensors = bert(), published()
    before = values(model)
    change(tensors)
    with pytest.raises(ValueError, match=rule):
        mm.load_published_weights(model, tensors, "bert", **options)
    for path, value in values(model).items():
        np.testing.assert_array_equal(value, before[path])
