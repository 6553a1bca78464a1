"""All keys of the open sum at once: in a model, its file, and its weights by path."""

import keras
import numpy as np
import pytest
from one_modality import WIDTH
from tensors import array, normal
from weights import randomize, reloaded

import keras_mmembed as mm

EVERYTHING = {
    "type": "2d",
    "dim": 5,
    "position": {"layer": mm.PositionEmbedding2D(2, 3, kind="learned"), "gate": "tanh"},
    "projection": {"activation": "tanh"},
    "normalization": {"type": "rms", "place": "modality", "special": False},
    "terms": {
        "part": mm.SegmentEmbedding(3),
        "box": {"layer": mm.BoxEmbedding(kind="sinusoidal"), "gate": "linear"},
    },
    "start_token": True,
    "mask_token": True,
    "row_token": True,
}


@pytest.mark.parametrize("missing", ["mask", "token"])
def test_all_keys_in_a_model_and_its_file(missing, tmp_path):
    configs = {
        "image": EVERYTHING,
        "text": {"type": "1d", "dim": 4, "modality": False},
    }
    fusion = mm.MultiModalFusion(configs, 12, missing=missing, dropout=0.0, name="f")
    inputs = {
        "image": keras.Input((None, None, 5), name="image"),
        "text": keras.Input((None, 4), name="text"),
        "part": keras.Input((None, None), dtype="int32", name="part"),
        "box": keras.Input((None, None, 4), name="box"),
        "masked": keras.Input((None, None), dtype="bool", name="masked"),
        "present": keras.Input((), dtype="bool", name="present"),
    }
    fused = fusion(
        {name: inputs[name] for name in configs},
        terms={"image": {name: inputs[name] for name in ("part", "box")}},
        masked={"image": inputs["masked"]},
        present={"image": inputs["present"]},
    )
    model = keras.Model(inputs, fused)
    randomize(model)
    values = {
        "image": normal(3, 2, 3, 5),
        "text": normal(3, 2, 4),
        "part": np.array([[[0, 1, 2], [2, 1, 0]]] * 3, "int32"),
        "box": np.abs(normal(3, 2, 3, 4)).cumsum(axis=-1).astype("float32"),
        "masked": np.arange(18).reshape(3, 2, 3) % 4 == 0,
        "present": np.array([True, False, True]),
    }
    expected = model.predict(values, verbose=0)
    assert expected.shape == (3, 1 + 2 * 4 + 2, 12)
    x = {name: values[name] for name in configs}
    call = {
        "terms": {"image": {name: values[name] for name in ("part", "box")}},
        "masked": {"image": values["masked"]},
        "present": {"image": values["present"]},
    }
    np.testing.assert_allclose(array(fusion(x, **call)), expected, atol=1e-5)
    # what an absent image would have is nowhere, not even as NaN
    spoilt = {name: values[name].copy() for name in values}
    spoilt["image"][1], spoilt["box"][1] = np.nan, np.nan
    spoilt["part"][1] = 2
    np.testing.assert_array_equal(model.predict(spoilt, verbose=0), expected)
    loaded = reloaded(model, tmp_path)
    np.testing.assert_allclose(loaded.predict(values, verbose=0), expected, atol=1e-6)
    again = mm.MultiModalFusion.from_config(fusion.get_config())
    assert again.get_config() == fusion.get_config()
    config = {**fusion.get_config(), "dtype": "mixed_bfloat16"}
    half = mm.MultiModalFusion.from_config(config)
    half.build({name: value.shape for name, value in x.items()})
    half.set_weights(fusion.get_weights())
    # matrix products of bfloat16, whose numbers have 8 bits
    bound = 8 * 2**-8 * np.abs(expected).max()
    np.testing.assert_allclose(array(half(x, **call)), expected, atol=bound)
    paths = {weight.path for weight in mm.weights_without_decay(model)}
    vectors = ("mask_token", "row_token", "start", "part/embeddings", "gate_box")
    assert {f"f/image/{name}" for name in vectors} <= paths


def test_a_new_modality_trains_alone():
    configs = {name: {"type": "1d", "dim": WIDTH} for name in ("text", "sound")}
    fusion = mm.MultiModalFusion(configs, WIDTH, normalization=None, dropout=0.0)
    x = {name: normal(2, 3, WIDTH) for name in configs}
    fusion(x)
    names = [weight.path.split("/")[-1] for weight in fusion.modality.weights]
    assert names == ["text", "sound"]
    first, second = fusion.modality.weights
    first.trainable = False
    assert [w is second for w in fusion.trainable_weights] == [True]
