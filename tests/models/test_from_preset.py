"""Models from folders of published checkpoints, written here without transformers."""

import numpy as np
import pytest
from small_bert import CONFIG, WIDTH, folder_of, published
from tensors import array
from weights import reloaded

import keras_mmembed as mm

MODEL = mm.MultiModalTransformer
WORDS = np.array([[5, 6, 7, 0], [8, 9, 0, 0]], "int32")


def test_a_preset_is_an_ordinary_model(tmp_path):
    model = MODEL.from_preset(folder_of(tmp_path), dropout=0.0)
    expected = array(model({"text": WORDS}))
    assert expected.shape == (2, WIDTH)
    loaded = reloaded(model, tmp_path)
    np.testing.assert_array_equal(array(loaded({"text": WORDS})), expected)
    model = MODEL.from_preset(tmp_path, num_outputs=3, dropout=0.0)
    model.compile("sgd", "mse")
    before = array(model.blocks[0].hidden.kernel)
    model.fit({"text": WORDS}, np.ones((2, 3)), verbose=0)
    assert (array(model.blocks[0].hidden.kernel) != before).any()


def test_what_is_given_replaces_what_is_published(tmp_path):
    folder = folder_of(tmp_path)
    text = MODEL.from_preset(folder, pooling="tokens", dropout=0.0)
    image = {"type": "2d", "dim": 6}
    both = MODEL.from_preset(
        folder, pooling="tokens", dropout=0.0, modality_configs={"image": image}
    )
    assert both.fusion.modalities == ("text", "image")
    expected = array(text({"text": WORDS}))
    np.testing.assert_allclose(array(both({"text": WORDS})), expected, atol=1e-6)
    halved = {"text": {"max_len": 5}}
    with pytest.raises(ValueError, match=r"fit the shape \(5, 8\) of the weight"):
        MODEL.from_preset(folder, modality_configs=halved)
    # the arguments of the model say what they do not take
    with pytest.raises(ValueError, match="`num_heads` must divide unified_dim=8"):
        MODEL.from_preset(folder, num_heads=3)


@pytest.mark.parametrize(
    "config, rule",
    [
        ({"model_type": "gpt9"}, r"\['model_type'\]` must be one of 'audio-.*'gpt9'"),
        ({"model_type": None}, r"\['model_type'\]` must be one of "),
        ({"model_type": "clip"}, "Give model_type='clip_text_model' or 'clip_vis"),
        ({"hidden_act": "mish"}, r"\['hidden_act'\]` must be one of 'gelu'"),
        ({"hidden_size": "8"}, r"\['hidden_size'\]` must be an integer"),
        ({"hidden_size": 10}, "fit the shape"),
        ({"is_decoder": True}, r"\['is_decoder'\]` must be False: there is no other"),
        ({"num_hidden_layers": 2}, "Weights without a tensor: 'block_1/"),
    ],
)
def test_a_configuration_that_is_not_known_is_refused(config, rule, tmp_path):
    folder = folder_of(tmp_path, {**CONFIG, **config})
    with pytest.raises((TypeError, ValueError), match=f"^MultiModalTransf.*{rule}"):
        MODEL.from_preset(folder)


def test_a_configuration_that_lacks_an_entry_is_refused(tmp_path):
    config = {key: value for key, value in CONFIG.items() if key != "hidden_act"}
    with pytest.raises(ValueError, match="have 'hidden_act' in its config"):
        MODEL.from_preset(folder_of(tmp_path, config))


def test_a_folder_lacks_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"`source` must be a folder with config"):
        MODEL.from_preset(tmp_path)
    folder = folder_of(tmp_path, tensors=published(blocks=1))
    with pytest.raises(ValueError, match="without a tensor: 'pooler/kernel <- pool"):
        MODEL.from_preset(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"be a folder with model\.safetensors"):
        MODEL.from_preset(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="have JSON of keys that come once"):
        MODEL.from_preset(folder)
    with pytest.raises(TypeError, match="be a path of a folder"):
        MODEL.from_preset(3)
    with pytest.raises(ValueError, match="`model_type` must be one of "):
        MODEL.from_preset(folder_of(tmp_path), model_type="nope")
