"""Greedy tokens of published decoders, against what `transformers` generates."""

import keras
import numpy as np
import pytest
from configured import assign, dense, norm, table
from published import array, torch, transformers
from published_decoders import (
    BERT_BLOCK,
    DEPTH,
    HEADS,
    HIDDEN,
    IMAGE,
    LLAMA,
    PLACE,
    TEXT,
    VOCABULARY,
    WIDTH,
    blocks_of,
    clip_tower,
    clip_weights,
    decoder,
    head_of,
    llama_weights,
    random_module,
    under,
    words,
)

import keras_mmembed as mm

NEW = 48
WORDS = {"type": "1d", "position": None, "vocabulary_size": VOCABULARY}


def padded_left(lengths, size):
    return np.arange(size) >= size - np.array(lengths)[:, None]


def images_of(batch):
    return np.random.default_rng(2).normal(size=(batch, 16, 16, 3)).astype("float32")


def channels_first(images):
    return torch.tensor(images).permute(0, 3, 1, 2)


def llama():
    config = transformers.LlamaConfig(**TEXT, num_key_value_heads=2)
    module = random_module(transformers.LlamaForCausalLM, config)
    model = decoder(
        {"text": WORDS},
        **LLAMA,
        num_key_value_heads=2,
        use_bias=False,
        rotary="llama",
        num_outputs=VOCABULARY,
        epsilon=config.rms_norm_eps,
    )
    ids, mask = words(0, 2, 7), padded_left([7, 4], 7)
    weights = {**llama_weights(module.model), **head_of(module.lm_head)}
    return module, model, weights, {}, ({"text": ids}, {"mask": {"text": mask}})


def qwen2():
    config = transformers.Qwen2Config(
        **TEXT, num_key_value_heads=2, tie_word_embeddings=True
    )
    module = random_module(transformers.Qwen2ForCausalLM, config)
    model = decoder(
        {"text": WORDS},
        **LLAMA,
        num_key_value_heads=2,
        use_bias="qkv",
        rotary="llama",
        tie_embeddings=True,
        epsilon=config.rms_norm_eps,
    )
    ids, mask = words(1, 2, 7), padded_left([7, 5], 7)
    weights = llama_weights(module.model)
    return module, model, weights, {}, ({"text": ids}, {"mask": {"text": mask}})


def git():
    vision = transformers.models.git.configuration_git.GitVisionConfig(**IMAGE)
    config = transformers.GitConfig(vision_config=vision.to_dict(), **TEXT)
    module = random_module(transformers.GitForCausalLM, config)
    tower = clip_tower(DEPTH, vision.layer_norm_eps, final_norm=True, pooling="tokens")
    pixels = keras.Input((16, 16, 3))
    image = {
        "type": "none",
        "dim": WIDTH,
        "embedding": keras.Model(pixels, tower({"image": pixels}), name="embedding"),
        "projection": True,
        "normalization": {"place": "features", "epsilon": vision.layer_norm_eps},
    }
    text = {
        "type": "1d",
        "max_len": 128,
        "position": "learned",
        "vocabulary_size": VOCABULARY,
        "normalization": {"epsilon": config.layer_norm_eps},
    }
    model = decoder(
        {"image": image, "text": text},
        num_layers=DEPTH,
        num_heads=HEADS,
        hidden_dim=HIDDEN,
        norm_first=False,
        normalization=None,
        prefix=["image"],
        num_outputs=VOCABULARY,
        epsilon=config.layer_norm_eps,
    )
    ids, images, mask = words(2, 2, 5), images_of(2), padded_left([5, 3], 5)
    bare = module.git
    embeddings, project = bare.embeddings, bare.visual_projection.visual_projection
    vision = bare.image_encoder.vision_model
    weights = {
        **under("fusion/text/embedding", table(embeddings.word_embeddings)),
        **under("fusion/text/position", table(embeddings.position_embeddings)),
        **under("fusion/text/norm", norm(embeddings.LayerNorm)),
        **under("tower", clip_weights(vision, DEPTH)),
        **under("tower/norm", norm(vision.post_layernorm)),
        **under("fusion/image/projection", dense(project[0])),
        **under("fusion/image/norm", norm(project[1])),
        **blocks_of(bare.encoder.layer, BERT_BLOCK, norm),
        **head_of(module.output),
    }
    positions = mm.positions_from_mask(mask)
    call = {"mask": {"text": mask}, "positions": {"text": positions}}
    theirs = {"pixel_values": channels_first(images)}
    return module, model, weights, theirs, ({"image": images, "text": ids}, call)


def llava():
    vision = transformers.CLIPVisionConfig(**IMAGE)
    text = transformers.LlamaConfig(**TEXT, num_key_value_heads=2)
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_id=PLACE
    )
    module = random_module(transformers.LlavaForConditionalGeneration, config)
    bare = module.model
    # the last layer but one, without the class token
    tower = clip_tower(
        DEPTH - 1, vision.layer_norm_eps, final_norm=False, pooling="modalities"
    )
    pixels = keras.Input((16, 16, 3))
    hidden = keras.layers.Dense(WIDTH, "gelu", name="first")
    features = hidden(tower({"image": pixels})["image"])
    features = keras.layers.Dense(WIDTH, name="second")(features)
    image = {
        "type": "none",
        "dim": WIDTH,
        "embedding": keras.Model(pixels, features, name="embedding"),
        "into": "text",
    }
    model = decoder(
        {"text": WORDS, "image": image},
        **LLAMA,
        num_key_value_heads=2,
        use_bias=False,
        rotary="llama",
        num_outputs=VOCABULARY,
        epsilon=text.rms_norm_eps,
    )
    ids, images, mask = words(3, 2, 23), images_of(2), padded_left([23, 21], 23)
    ids[:, 4:20] = PLACE
    projector = bare.multi_modal_projector
    weights = {
        **llama_weights(bare.language_model),
        **head_of(module.lm_head),
        **under("tower", clip_weights(bare.vision_tower, DEPTH - 1)),
        **under("first", dense(projector.linear_1)),
        **under("second", dense(projector.linear_2)),
    }
    call = {"mask": {"text": mask}, "placeholders": {"image": ids == PLACE}}
    theirs = {"pixel_values": channels_first(images)}
    return module, model, weights, theirs, ({"image": images, "text": ids}, call)


def qwen2_vl():
    sections = [1, 1, 2]
    rope = {"rope_type": "default", "mrope_section": sections, "rope_theta": 1e4}
    text = {**TEXT, "num_key_value_heads": 2, "rope_parameters": rope}
    vision = {"depth": 1, "embed_dim": 16, "hidden_size": WIDTH, "num_heads": 2}
    vision = {**vision, "mlp_ratio": 2, "patch_size": 4}
    config = transformers.Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=PLACE,
        tie_word_embeddings=False,
    )
    module = random_module(transformers.Qwen2VLForConditionalGeneration, config)
    rotary = {"convention": "qwen2_vl", "sections": sections, "max_wavelength": 1e4}
    placed = {"type": "2d", "dim": WIDTH, "position": None, "into": "text"}
    model = decoder(
        {"text": WORDS, "image": placed},
        **LLAMA,
        num_key_value_heads=2,
        use_bias="qkv",
        rotary=rotary,
        rotary_rule="qwen2_vl",
        num_outputs=VOCABULARY,
        epsilon=config.text_config.rms_norm_eps,
    )
    ids, mask = words(4, 2, 13), padded_left([13, 10], 13)
    ids[0, 3:9], ids[1, 5:9] = PLACE, PLACE
    # in patches, of which four are a token
    patches = np.array([[1, 4, 6], [1, 4, 4]])
    pixels = np.random.default_rng(5).normal(size=(40, 3 * 2 * 4 * 4))
    pixels = torch.tensor(pixels.astype("float32"))
    bare = module.model
    with torch.no_grad():
        tokens = bare.visual(pixels, torch.tensor(patches)).pooler_output.numpy()
    features = np.zeros((2, 6, WIDTH), "float32")
    features[0], features[1, :4] = tokens[:6], tokens[6:]
    weights = {**llama_weights(bare.language_model), **head_of(module.lm_head)}
    theirs = {"pixel_values": pixels, "image_grid_thw": torch.tensor(patches)}
    theirs["mm_token_type_ids"] = torch.tensor(ids == PLACE).int()
    call = {"mask": {"text": mask}, "placeholders": {"image": ids == PLACE}}
    call["grids"] = {"image": patches[:, 1:] // 2}
    return module, model, weights, theirs, ({"image": features, "text": ids}, call)


def counted(module, mask):
    """Return positions that do not count padding, as `generate` counts them."""
    if not isinstance(module, transformers.GitForCausalLM):
        return {}
    return {"position_ids": torch.tensor((mask.cumsum(axis=1) - 1).clip(0))}


@pytest.mark.parametrize("make", [llama, qwen2, git, llava, qwen2_vl])
def test_greedy_tokens_equal_those_of(make):
    module, model, weights, theirs, (inputs, call) = make()
    ids = torch.tensor(inputs["text"])
    mask = call.get("mask", {"text": np.ones(ids.shape, bool)})["text"]
    theirs = {**theirs, "attention_mask": torch.tensor(mask).int()}
    model(inputs, **call)
    assign(model, **weights)
    logits = array(model(inputs, **call))[:, -ids.shape[1] :][mask]
    with torch.no_grad():
        places = counted(module, mask)
        expected = module(ids, **theirs, **places).logits
        expected = array(expected)[:, -ids.shape[1] :][mask]
        tokens = module.generate(ids, **theirs, max_new_tokens=NEW, do_sample=False)
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(logits, expected, atol=bound, rtol=0)
    got = model.generate(inputs, NEW, **call)
    np.testing.assert_array_equal(got, array(tokens)[:, ids.shape[1] :])
