"""Whole published models by their recipes: a tiny one is written and read back."""

import numpy as np
import pytest
from compiled_call import outputs_of
from published import SMALL, torch, transformers
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
    same(outputs_of(model, {"text": words}, **call), expected.pooler_output)
    model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
    same(outputs_of(model, {"text": words}, **call), expected.last_hidden_state, valid)


@pytest.mark.parametrize("name", ["Bert", "Roberta"])
def test_classifiers_of_texts(name, tmp_path):
    config = getattr(transformers, f"{name}Config")(**TEXT, num_labels=3)
    module = getattr(transformers, f"{name}ForSequenceClassification")(config)
    written(module, tmp_path)
    words, valid = padded(config.pad_token_id)
    expected = module(torch.tensor(words), torch.tensor(valid)).logits
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(outputs_of(model, {"text": words}), expected)
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
    same(outputs_of(model, {"image": PIXELS}), expected.pooler_output)
    model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
    same(outputs_of(model, {"image": PIXELS}), expected.last_hidden_state)
    wide = RNG.normal(size=(2, 12, 24, 3)).astype("float32")
    expected = module(channels_first(wide), interpolate_pos_encoding=True)
    same(outputs_of(model, {"image": wide}), expected.last_hidden_state)
    # the same with a table of another size, resized once
    position = mm.PositionEmbedding2D(3, 6, kind="learned")
    model = mm.MultiModalTransformer.from_preset(
        tmp_path, pooling="tokens", modality_configs={"image": {"position": position}}
    )
    same(outputs_of(model, {"image": wide}), expected.last_hidden_state)


def test_images_of_vit_with_a_classifier(tmp_path):
    config = transformers.ViTConfig(**IMAGE, num_labels=3)
    module = written(transformers.ViTForImageClassification(config), tmp_path)
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(outputs_of(model, {"image": PIXELS}), module(channels_first(PIXELS)).logits)


@pytest.mark.parametrize("name", ["Dinov2", "Dinov2WithRegisters", "DINOv3ViT"])
@pytest.mark.parametrize("is_gated", [False, True])
def test_images_of_dino(name, is_gated, tmp_path):
    gated = {"use_swiglu_ffn": is_gated, "use_gated_mlp": is_gated}
    config = getattr(transformers, f"{name}Config")(**IMAGE, **gated)
    module = written(getattr(transformers, f"{name}Model")(config), tmp_path)
    expected = module(channels_first(PIXELS))
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(outputs_of(model, {"image": PIXELS}), expected.pooler_output)
    model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
    same(outputs_of(model, {"image": PIXELS}), expected.last_hidden_state)
    wide = RNG.normal(size=(2, 12, 24, 3)).astype("float32")
    same(
        outputs_of(model, {"image": wide}),
        module(channels_first(wide)).last_hidden_state,
    )


@pytest.mark.parametrize("name", ["CLIP", "Siglip"])
def test_image_towers(name, tmp_path):
    config = getattr(transformers, f"{name}VisionConfig")(**IMAGE)
    module = written(getattr(transformers, f"{name}VisionModel")(config), tmp_path)
    expected = module(channels_first(PIXELS))
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(outputs_of(model, {"image": PIXELS}), expected.pooler_output)
    model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
    same(outputs_of(model, {"image": PIXELS}), expected.last_hidden_state)


@pytest.mark.parametrize("name", ["CLIP", "Siglip"])
def test_text_towers(name, tmp_path):
    config = getattr(transformers, f"{name}TextConfig")(**TEXT, eos_token_id=39)
    module = written(getattr(transformers, f"{name}TextModel")(config), tmp_path)
    words = np.where(WORDS == 39, 38, WORDS)
    ends = np.array([5, 3])
    words[[0, 1], ends] = 39
    lengths = ends + 1 if name == "CLIP" else np.array([6, 6])
    expected = module(torch.tensor(words))
    call = {"mask": {"text": lengths}}
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(outputs_of(model, {"text": words}, **call), expected.pooler_output)
    model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
    same(
        outputs_of(model, {"text": words}, **call),
        expected.last_hidden_state,
        np.arange(6) < lengths[:, None],
    )


@pytest.mark.parametrize("name", ["CLIP", "Siglip"])
def test_towers_of_a_pair(name, tmp_path):
    text, image = {**TEXT, "eos_token_id": 39}, IMAGE
    config = {"text_config": text, "vision_config": image}
    if name == "CLIP":
        config["projection_dim"] = 12
    config = getattr(transformers, f"{name}Config")(**config)
    module = written(getattr(transformers, f"{name}Model")(config), tmp_path)
    words = WORDS.copy()
    words[:, -1] = 39
    with pytest.raises(ValueError, match=r"Give model_type='[a-z]+_text_model' or "):
        mm.MultiModalTransformer.from_preset(tmp_path)
    kind = f"{name.lower()}_text_model"
    model = mm.MultiModalTransformer.from_preset(tmp_path, model_type=kind)
    expected = module.get_text_features(torch.tensor(words))
    same(outputs_of(model, {"text": words}), expected.pooler_output)
    kind = f"{name.lower()}_vision_model"
    model = mm.MultiModalTransformer.from_preset(tmp_path, model_type=kind)
    expected = module.get_image_features(channels_first(PIXELS))
    same(outputs_of(model, {"image": PIXELS}), expected.pooler_output)


@pytest.mark.parametrize("name", ["Model", "ForAudioClassification"])
def test_spectrograms_of_ast(name, tmp_path):
    sizes = {"num_mel_bins": 16, "max_length": 24, "patch_size": 4}
    strides = {"frequency_stride": 3, "time_stride": 2}
    config = {**SMALL, **sizes, **strides, "num_labels": 3, "num_hidden_layers": BLOCKS}
    config = transformers.ASTConfig(**config)
    module = written(getattr(transformers, f"AST{name}")(config), tmp_path)
    frames = RNG.normal(size=(2, 24, 16)).astype("float32")
    expected = module(torch.tensor(frames))
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    if name == "Model":
        same(outputs_of(model, {"audio": frames}), expected.pooler_output)
        model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
        same(outputs_of(model, {"audio": frames}), expected.last_hidden_state)
    else:
        same(outputs_of(model, {"audio": frames}), expected.logits)


@pytest.mark.parametrize("is_mean", [True, False])
def test_clips_of_videomae(is_mean, tmp_path):
    config = transformers.VideoMAEConfig(
        **IMAGE, num_frames=4, num_labels=3, use_mean_pooling=is_mean
    )
    module = transformers.VideoMAEForVideoClassification(config)
    written(module, tmp_path)
    clips = RNG.normal(size=(2, 4, 16, 16, 3)).astype("float32")
    expected = module(channels_first(clips)).logits
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(outputs_of(model, {"video": clips}), expected)
    written(module.videomae, tmp_path)
    expected = module.videomae(channels_first(clips)).last_hidden_state
    model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
    same(outputs_of(model, {"video": clips}), expected)


def test_spectrograms_of_whisper(tmp_path):
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    ids = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
    config = transformers.WhisperConfig(
        d_model=16,
        encoder_layers=BLOCKS,
        decoder_layers=1,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        vocab_size=40,
        num_mel_bins=8,
        max_source_positions=10,
        decoder_start_token_id=3,
        **heads,
        **ids,
    )
    module = transformers.WhisperForConditionalGeneration(config)
    written(module, tmp_path)
    frames = RNG.normal(size=(2, 20, 8)).astype("float32")
    expected = module.model.encoder(torch.tensor(frames).transpose(1, 2))
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(outputs_of(model, {"audio": frames}), expected.last_hidden_state)


def test_texts_and_regions_of_visualbert(tmp_path):
    config = transformers.VisualBertConfig(**TEXT, visual_embedding_dim=12)
    module = written(transformers.VisualBertModel(config), tmp_path)
    words, valid = padded(config.pad_token_id)
    regions = RNG.normal(size=(2, 3, 12)).astype("float32")
    everywhere = np.concatenate([valid, np.ones((2, 3))], axis=1)
    expected = module(
        torch.tensor(words),
        torch.tensor(valid),
        visual_embeds=torch.tensor(regions),
        visual_attention_mask=torch.ones(2, 3),
    )
    inputs = {"text": words, "image": regions}
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    same(outputs_of(model, inputs), expected.pooler_output)
    model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
    same(outputs_of(model, inputs), expected.last_hidden_state, everywhere)


def test_questions_on_images_of_two_sizes_of_vilt(tmp_path):
    config = transformers.ViltConfig(**TEXT, image_size=16, patch_size=4, num_labels=5)
    module = written(transformers.ViltForQuestionAnswering(config), tmp_path)
    words, valid = padded(0)
    pixels = RNG.normal(size=(2, 16, 24, 3)).astype("float32")
    mask = np.ones((2, 16, 24), "int64")
    mask[1, 12:], mask[1, :, 8:] = 0, 0
    expected = module(
        torch.tensor(words),
        torch.tensor(valid),
        pixel_values=channels_first(pixels),
        pixel_mask=torch.tensor(mask),
    ).logits
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    got = outputs_of(
        model,
        {"text": words, "image": pixels},
        grids={"image": np.array([[4, 6], [3, 2]])},
    )
    same(got, expected)


@pytest.mark.parametrize("kind", ["relu", "gated-gelu"])
def test_texts_of_t5(kind, tmp_path):
    config = transformers.T5Config(
        d_model=16,
        d_kv=6,
        d_ff=32,
        num_layers=BLOCKS,
        num_heads=2,
        vocab_size=40,
        feed_forward_proj=kind,
    )
    module = written(transformers.T5ForConditionalGeneration(config), tmp_path)
    words, valid = padded(0)
    expected = module.encoder(torch.tensor(words), torch.tensor(valid))
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    got = outputs_of(model, {"text": words})
    same(got, expected.last_hidden_state, valid)


LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}


@pytest.mark.parametrize("is_tied", [True, False])
def test_logits_of_llama(is_tied, tmp_path):
    more = {"rope_parameters": LLAMA3, "head_dim": 12} if is_tied else {}
    config = transformers.LlamaConfig(
        **TEXT, num_key_value_heads=1, tie_word_embeddings=is_tied, **more
    )
    module = written(transformers.LlamaForCausalLM(config), tmp_path)
    model = mm.MultiModalTransformer.from_preset(tmp_path)
    expected = module(torch.tensor(WORDS).long()).logits
    same(outputs_of(model, {"text": WORDS}), expected)
    expected = module.model(torch.tensor(WORDS).long()).last_hidden_state
    model = mm.MultiModalTransformer.from_preset(tmp_path, pooling="tokens")
    same(outputs_of(model, {"text": WORDS}), expected)
