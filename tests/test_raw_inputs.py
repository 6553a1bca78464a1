"""From raw images, videos and waveforms to an answer."""

import keras
import numpy as np
from backend_exports import export
from tensors import array
from weights import reloaded

import keras_mmembed as mm

FUSION = {
    "image": {"type": "2d", "dim": 8},
    "video": {"type": "3d", "dim": 8},
    "sound": {"type": "1d", "dim": 8},
    "bands": {"type": "2d", "dim": 8},
}
SOUND = {"num_mel_bins": 8, "frame_length": 40, "frame_stride": 20}


def make_model(*modalities):
    """A classifier that knows no size of its inputs."""
    inputs = {
        "image": keras.Input((None, None, 3), dtype="uint8", name="image"),
        "video": keras.Input((None, None, None, 1), name="video"),
        "sound": keras.Input((None,), name="sound"),
    }
    sizes = {
        "image": keras.Input((2,), dtype="int32", name="image_sizes"),
        "video": keras.Input((3,), dtype="int32", name="video_sizes"),
        "sound": keras.Input((), dtype="int32", name="sound_sizes"),
    }
    pixels = keras.layers.Rescaling(1 / 255)(inputs["image"])
    features = {
        "image": mm.PatchEmbedding(4, 8, remainder="pad")(pixels, mask=sizes["image"]),
        "video": mm.TubeletEmbedding((2, 4, 4), 8, remainder="pad")(
            inputs["video"], mask=sizes["video"]
        ),
        "sound": mm.AudioEmbedding(8, **SOUND)(inputs["sound"], mask=sizes["sound"]),
        "bands": mm.AudioEmbedding(8, patch_size=4, strides=(4, 3), **SOUND)(
            inputs["sound"], mask=sizes["sound"]
        ),
    }
    fusion = mm.MultiModalFusion(
        {name: FUSION[name] for name in modalities},
        8,
        cls_token=True,
        dropout=0.0,
        return_dict=True,
    )
    fused = fusion({name: features[name] for name in modalities})
    allowed = mm.AttentionMask(fusion.modalities)(fused)
    tokens = fused["embeddings"]
    mixed = keras.layers.MultiHeadAttention(2, 4)(
        tokens, tokens, attention_mask=allowed
    )
    answer = keras.layers.Dense(3, dtype="float32")(mixed[:, 0])
    used = [name for name in inputs if name in modalities]
    fed = {name: inputs[name] for name in used}
    fed.update({f"{name}_sizes": sizes[name] for name in used})
    return keras.Model(fed, {"answer": answer, "mask": fused["mask"]})


def raw(batch=2, image=(6, 9), video=(3, 5, 8), samples=130, seed=0):
    """Inputs padded to one size, and how much of each sample counts."""
    rng = np.random.default_rng(seed)
    sizes = {"image": image, "video": video, "sound": (samples,)}
    x = {
        "image": rng.integers(0, 256, (batch, *image, 3)).astype("uint8"),
        "video": rng.normal(size=(batch, *video, 1)).astype("float32"),
        "sound": rng.normal(size=(batch, samples)).astype("float32"),
    }
    for name, grid in sizes.items():
        used = np.array(
            [[max(n - i * (n // 3), 1) for n in grid] for i in range(batch)]
        )
        used = used[:, 0] if name == "sound" else used
        x[f"{name}_sizes"] = used.astype("int32")
    return x


def cut(x, sample):
    """One sample without its padding."""
    alone = {name: value[sample : sample + 1] for name, value in x.items()}
    for name in ("image", "video", "sound"):
        sizes = np.atleast_1d(x[f"{name}_sizes"][sample])
        alone[name] = alone[name][(slice(None), *map(slice, sizes))]
    return alone


def test_a_sample_of_a_batch_is_answered_as_it_would_be_alone():
    model = make_model(*FUSION)
    x = raw()
    together = model.predict(x, verbose=0)
    # class token, 2x3 patches, 2x2x2 tubelets, 7 frames, 2x3 patches of them
    assert together["mask"].shape == (2, 1 + 6 + 8 + 7 + 6)
    assert together["mask"].sum(axis=1).tolist() == [28, 1 + 2 + 2 + 5 + 4]
    for sample in range(2):
        alone = model.predict(cut(x, sample), verbose=0)
        assert alone["mask"].all()
        np.testing.assert_allclose(
            alone["answer"][0], together["answer"][sample], atol=1e-5
        )


def test_training_and_files(tmp_path):
    model = make_model(*FUSION)
    answers = keras.Model(model.input, model.output["answer"])
    answers.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x, y = raw(batch=4), np.arange(4) % 3
    losses = answers.fit(x, y, epochs=8, batch_size=4, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]
    loaded = reloaded(model, tmp_path)
    expected = model.predict(x, verbose=0)
    got = loaded.predict(x, verbose=0)
    np.testing.assert_allclose(got["answer"], expected["answer"], atol=1e-6)
    np.testing.assert_array_equal(got["mask"], expected["mask"])


def test_a_fusion_that_makes_the_features_itself():
    """The mask of a waveform has the axes of the waveform, not those of its tokens."""
    waves = keras.Input((None,), name="waves")
    valid = keras.Input((None,), dtype="bool", name="valid")
    has_sound = keras.Input((), dtype="bool", name="has_sound")
    embedding = mm.AudioEmbedding(8, **SOUND)
    configs = {
        "sound": {"type": "1d", "dim": 8, "embedding": embedding},
        "image": FUSION["image"],
    }
    image = keras.Input((2, 2, 8), name="image")
    fusion = mm.MultiModalFusion(configs, 8, dropout=0.0, return_dict=True)
    # what a layer before the fusion would attach
    attach = keras.saving.get_registered_object("keras_mmembed>AttachMask")()
    inputs = {"sound": attach([waves, valid]), "image": image}
    fused = fusion(inputs, present={"sound": has_sound})
    symbols = {"waves": waves, "valid": valid, "has_sound": has_sound, "image": image}
    model = keras.Model(symbols, fused)
    sound, lengths = raw()["sound"], np.array([70, 70])
    fed = {
        "waves": sound,
        "valid": np.arange(sound.shape[1]) < lengths[:, None],
        "has_sound": np.array([True, False]),
        "image": np.ones((2, 2, 2, 8), "float32"),
    }
    got = model.predict(fed, verbose=0)["mask"][:, :7]
    alone = array(embedding(sound, mask=lengths)._keras_mask)
    assert alone.sum(axis=1).tolist() == [4, 4]
    np.testing.assert_array_equal(got, alone * [[1], [0]])


def test_export(tmp_path):
    model = make_model("image", "sound")
    answers = keras.Model(model.input, model.output["answer"])

    def inputs(**sizes):
        x = raw(**sizes)
        return {name: x[name] for name in model.input}

    call = export(answers, inputs(), tmp_path / "model.pt2")
    for sizes in ({"batch": 3}, {"image": (9, 13), "samples": 211}):
        x = inputs(**sizes)
        expected = array(answers(x))
        np.testing.assert_allclose(array(call(x)), expected, atol=1e-5)
