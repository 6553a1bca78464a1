"""Whole published models by their recipes: a tiny one is written and read back."""

import numpy as np
import pytest
from published import SMALL, array, randomize, torch, transformers

import keras_mmembed as mm

RNG = np.random.default_rng(1)
TEXT = {**SMALL, "num_hidden_layers": 2, "vocab_size": 40}
TEXT["max_position_embeddings"] = 20
IMAGE = {**SMALL, "num_hidden_layers": 2, "image_size": 16, "patch_size": 4}
WORDS = RNG.integers(3, 40, (2, 6)).astype("int32")
PIXELS = RNG.normal(size=(2, 16, 16, 3)).astype("float32")


def written(module, folder):
    """Write a published model with random weights, in evaluation."""
    randomize(module)
    module.save_pretrained(folder)
    return module


def channels_first(pixels):
    return torch.tensor(np.moveaxis(pixels, -1, -3).copy())


def padded(padding):
    words = WORDS.copy()
    words[1, 4:] = padding
    return words, (words != padding).astype("int64")


def same(got, expected, valid=None):
    got, expected = array(got), array(expected)
    assert got.shape == expected.shape
    if valid is not None:
        got, expected = got[valid > 0], expected[valid > 0]
    np.testing.assert_allclose(got, expected, atol=1e-5 * max(1, abs(expected).max()))


@pytest.mark.parametrize("name", ["Bert", "Roberta"])
def test_texts(name, tmp_path):
    config = getattr(transformers, f"{name}Config")(**TEXT)
    module = written(getattr(transformers, f"{name}Model")(config), tmp_path)
    words, valid = padded(config.pad_token_id)
    types = RNG.integers(0, config.type_vocab_size, WORDS.shape)
    expected = module(
        torch.tensor(words), torch.tensor(valid), token_type_ids=torch.tensor(types)
    )
    call = {"segment_ids": {"text": types.astype("int32")}}
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(model({"text": words}, **call), expected.pooler_output)
    model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
    same(model({"text": words}, **call), expected.last_hidden_state, valid)


@pytest.mark.parametrize("name", ["Bert", "Roberta"])
def test_classifiers_of_texts(name, tmp_path):
    config = getattr(transformers, f"{name}Config")(**TEXT, num_labels=3)
    module = getattr(transformers, f"{name}ForSequenceClassification")(config)
    written(module, tmp_path)
    words, valid = padded(config.pad_token_id)
    expected = module(torch.tensor(words), torch.tensor(valid)).logits
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(model({"text": words}), expected)
    assert tuple(
        mm.MultiModalTransformer.from_preset(tmp_path, num_outputs=5)(
            {"text": words}
        ).shape
    ) == (2, 5)


def test_images(tmp_path):
    config = transformers.ViTConfig(**IMAGE)
    module = written(transformers.ViTModel(config), tmp_path)
    expected = module(channels_first(PIXELS))
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(model({"image": PIXELS}), expected.pooler_output)
    model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
    same(model({"image": PIXELS}), expected.last_hidden_state)
    wide = RNG.normal(size=(2, 12, 24, 3)).astype("float32")
    expected = module(channels_first(wide), interpolate_pos_encoding=True)
    same(model({"image": wide}), expected.last_hidden_state)
