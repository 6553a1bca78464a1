"""Samples of different sizes as one padded batch."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "vocabulary_size": 20},
    "image": {"type": "2d", "dim": 6},
    "sound": {"type": "1d", "dim": 5},
}


def samples():
    rng = np.random.default_rng(0)
    return [
        {"text": np.array([5, 7, 9]), "image": rng.normal(size=(2, 3, 6))},
        {"text": np.array([4]), "sound": rng.normal(size=(4, 5))},
        {"image": rng.normal(size=(3, 1, 6)), "sound": rng.normal(size=(2, 5))},
    ]


def test_a_batch_equals_its_samples():
    fusion = mm.MultiModalFusion(CONFIGS, 8, dropout=0.0, return_dict=True)
    fused = fusion(**mm.pad_batch(samples()))
    for index, sample in enumerate(samples()):
        alone = fusion(**mm.pad_batch([sample]))
        valid = ops.convert_to_numpy(fused["mask"])[index]
        got = ops.convert_to_numpy(fused["embeddings"])[index][valid]
        expected = ops.convert_to_numpy(alone["embeddings"])[0]
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_sizes_and_padding_values():
    batch = mm.pad_batch(
        samples(),
        sizes={"text": 5, "image": (4, 4), "sound": [6]},
        padding_values={"text": 1},
    )
    shapes = {name: x.shape for name, x in batch["inputs"].items()}
    assert shapes == {"text": (3, 5), "image": (3, 4, 4, 6), "sound": (3, 6, 5)}
    assert batch["inputs"]["text"].tolist()[1] == [4, 1, 1, 1, 1]
    assert batch["grids"]["image"].tolist() == [[2, 3], [0, 0], [3, 1]]
    assert batch["mask"]["sound"].tolist() == [0, 4, 2]
    assert batch["present"]["text"].tolist() == [True, True, False]


def test_lists_are_several_items():
    image, clip = np.ones((2, 3, 6)), np.ones((1, 2, 2, 6))
    batch = mm.pad_batch(
        [
            {"image": [image, 2 * image[:1]], "video": [clip]},
            {"image": 3 * image},
            {"image": [], "video": [clip, clip]},
        ],
        sizes={"video": (9, 3)},
        padding_values={"image": 5},
    )
    grids = [[[2, 3], [1, 3]], [[2, 3], [0, 0]], [[0, 0], [0, 0]]]
    assert batch["grids"]["image"].tolist() == grids
    values = [[1] * 6 + [2] * 3, [3] * 6 + [5] * 3, [5] * 9]
    assert batch["inputs"]["image"][..., 0].tolist() == values
    assert batch["present"]["image"].tolist() == [True, True, False]
    assert batch["inputs"]["video"].shape == (3, 9, 6)
    assert batch["grids"]["video"][:, :, 1].tolist() == [[2, 0, 0], [0] * 3, [2, 2, 0]]


def test_batches_of_the_loaders_of_the_backends():
    """A `collate_fn` of PyTorch, a generator of tf.data: each batch is that of it."""
    samples = [{"text": np.arange(1, n + 1)} for n in (1, 2, 3, 2)]
    expected = [mm.pad_batch(samples[:2]), mm.pad_batch(samples[2:])]
    if keras.backend.backend() == "torch":
        import torch

        loader = torch.utils.data.DataLoader(
            samples, batch_size=2, collate_fn=mm.pad_batch
        )
        found = list(loader)
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        spec = {
            "text": tf.TensorSpec((None, None), "int32"),
            "lengths": tf.TensorSpec((None,), "int32"),
        }
        flat = [
            {"text": one["inputs"]["text"], "lengths": one["mask"]["text"]}
            for one in expected
        ]
        dataset = tf.data.Dataset.from_generator(
            lambda: iter(flat), output_signature=spec
        )
        found = [
            {"inputs": {"text": one["text"]}, "mask": {"text": one["lengths"]}}
            for one in dataset.as_numpy_iterator()
        ]
    else:
        pytest.skip("JAX has no loader of its own")
    for got, batch in zip(found, expected, strict=True):
        for name in ("inputs", "mask"):
            np.testing.assert_array_equal(got[name]["text"], batch[name]["text"])


def test_a_batch_trains_a_model():
    inputs = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "lengths": keras.Input((), dtype="int32", name="lengths"),
        "image": keras.Input((None, None, 6), name="image"),
        "grids": keras.Input((2,), dtype="int32", name="grids"),
    }
    configs = {name: CONFIGS[name] for name in ("text", "image")}
    tokens = mm.MultiModalFusion(configs, 8)(
        {"text": inputs["text"], "image": inputs["image"]},
        mask={"text": inputs["lengths"]},
        grids={"image": inputs["grids"]},
    )
    pooled = keras.layers.GlobalAveragePooling1D()(tokens)
    model = keras.Model(inputs, keras.layers.Dense(1)(pooled))
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    batch = mm.pad_batch(
        [
            {"text": np.arange(1, n + 1), "image": rng.normal(size=(n, 2, 6))}
            for n in (1, 2, 3)
        ]
    )
    flat = {
        **batch["inputs"],
        "lengths": batch["mask"]["text"],
        "grids": batch["grids"]["image"],
    }
    history = model.fit(flat, np.ones((3, 1)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize(
    "call, argument, rule",
    [
        (lambda: mm.pad_batch({}), "samples", "be a list of dicts"),
        (lambda: mm.pad_batch([]), "samples", "hold at least one"),
        (lambda: mm.pad_batch([[1]]), "samples", "be a list of dicts"),
        (
            lambda: mm.pad_batch([{"a": "text"}]),
            "samples[...]['a']",
            "be an array of numbers",
        ),
        (
            lambda: mm.pad_batch([{"a": np.ones(3)}, {"a": np.ones((3, 2))}]),
            "samples[...]['a']",
            "have one rank, width and kind",
        ),
        (
            lambda: mm.pad_batch([{"a": np.ones(3)}], sizes={"a": 2}),
            "sizes['a']",
            "be at least the largest of the batch, (3,)",
        ),
        (
            lambda: mm.pad_batch([{"a": np.ones((3, 2, 4))}], sizes={"a": 5}),
            "sizes['a']",
            "have an integer for each of the 2 axes",
        ),
        (
            lambda: mm.pad_batch([{"a": [np.ones((3, 2, 4))]}], sizes={"a": 9}),
            "sizes['a']",
            "have two integers, the number of tokens and that of items",
        ),
        (
            lambda: mm.pad_batch([{"a": [np.ones((1, 2, 4)), np.ones((1, 2, 3))]}]),
            "samples[...]['a']",
            "have one rank, width and kind",
        ),
    ],
)
def test_messages(call, argument, rule):
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    assert str(error.value).startswith(f"pad_batch: `{argument}` must {rule}")
    assert f"Received: {argument}=" in str(error.value)
