"""Published models that write about images, read back and compared."""

import keras
import numpy as np
import pytest
from compiled_call import outputs_of
from published import torch, transformers
from published_files import (
    BLOCKS,
    IMAGE,
    PIXELS,
    RNG,
    TEXT,
    WORDS,
    channels_first,
    padded,
    same,
    written,
)

import keras_mmembed as mm


def test_logits_of_git(tmp_path):
    config = transformers.GitConfig(**TEXT, vision_config=IMAGE, pad_token_id=0)
    module = written(transformers.GitForCausalLM(config), tmp_path)
    words, valid = padded(0)
    expected = module(
        torch.tensor(words).long(),
        torch.tensor(valid),
        pixel_values=channels_first(PIXELS),
    ).logits
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    everywhere = np.concatenate([np.ones((2, 17)), valid], axis=1)
    same(outputs_of(model, {"image": PIXELS, "text": words}), expected, everywhere)


def test_logits_of_llava(tmp_path):
    text = transformers.LlamaConfig(**TEXT, num_key_value_heads=1)
    vision = {**IMAGE, "hidden_size": 8, "num_hidden_layers": 3}
    config = transformers.LlavaConfig(
        text_config=text,
        vision_config=transformers.CLIPVisionConfig(**vision),
        image_token_index=39,
    )
    module = written(transformers.LlavaForConditionalGeneration(config), tmp_path)
    words = np.where(WORDS == 39, 38, WORDS)
    places = np.full((2, 16), 39)
    words = np.concatenate([words[:, :2], places, words[:, 2:]], axis=1)
    expected = module(
        torch.tensor(words).long(), pixel_values=channels_first(PIXELS)
    ).logits
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    inputs = {"image": PIXELS, "text": words.astype("int32")}
    got = outputs_of(model, inputs, placeholders={"image": words == 39})
    same(got, expected)


def test_logits_of_qwen2_vl(tmp_path):
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 100.0}
    text = {**TEXT, "num_key_value_heads": 1, "rope_parameters": rope}
    vision = {"depth": BLOCKS, "embed_dim": 8, "num_heads": 1, "mlp_ratio": 2}
    vision |= {"patch_size": 4, "hidden_size": 16}
    ids = {"image_token_id": 39, "vision_start_token_id": 38, "video_token_id": 37}
    config = transformers.Qwen2VLConfig(text_config=text, vision_config=vision, **ids)
    module = written(transformers.Qwen2VLForConditionalGeneration(config), tmp_path)
    pixels = RNG.normal(size=(2, 16, 24, 3)).astype("float32")
    # patches come block by block, each of two frames that are alike
    patches = pixels.reshape(2, 2, 2, 4, 3, 2, 4, 3).transpose(0, 1, 4, 2, 5, 7, 3, 6)
    patches = patches.reshape(48, 3, 1, 4, 4).repeat(2, axis=2).reshape(48, -1)
    words = np.minimum(WORDS, 36)
    places = np.array([[38] + [39] * 6] * 2)
    words = np.concatenate([words[:, :2], places, words[:, 2:]], axis=1)
    expected = module(
        torch.tensor(words).long(),
        pixel_values=torch.tensor(patches),
        image_grid_thw=torch.tensor([[1, 4, 6]] * 2),
        mm_token_type_ids=torch.tensor(words == 39).int(),
    ).logits
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    inputs = {"image": pixels, "text": words.astype("int32")}
    got = outputs_of(model, inputs, placeholders={"image": words == 39})
    same(got, expected)


@pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="compiles for a minute; test_generation.py compares the backends",
)
def test_a_preset_of_llava_goes_on_as_the_published_model(tmp_path):
    text = transformers.LlamaConfig(**TEXT, num_key_value_heads=1)
    config = transformers.LlavaConfig(
        text_config=text,
        vision_config=transformers.CLIPVisionConfig(**IMAGE, hidden_act="gelu"),
        image_token_index=39,
        vision_feature_layer=-1,
    )
    module = written(transformers.LlavaForConditionalGeneration(config), tmp_path)
    module.generation_config.eos_token_id = None
    words = np.concatenate([np.full((2, 16), 39), WORDS % 38], axis=1)
    expected = module.generate(
        input_ids=torch.tensor(words).long(),
        pixel_values=channels_first(PIXELS),
        attention_mask=torch.ones(words.shape, dtype=torch.long),
        max_new_tokens=4,
        do_sample=False,
    )[:, -4:]
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    inputs = {"image": PIXELS, "text": words.astype("int32")}
    got = model.generate(inputs, 4, placeholders={"image": words == 39})
    np.testing.assert_array_equal(got, expected.numpy())
