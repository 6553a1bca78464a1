"""Published models that write about images, read back and compared."""

import numpy as np
from compiled_call import outputs_of
from published import torch, transformers
from published_files import (
    IMAGE,
    PIXELS,
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
