"""Patches, tubelets and frames against published implementations."""

import numpy as np
import pytest
from published import IMAGE, SMALL, array, close, randomize
from timm_layers import timm_layer

import keras_mmembed as mm

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
models = transformers.models


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def copy(convolution, layer, channels):
    """Give a layer the weights of a convolution, `(output_dim, channels, ...)`."""
    if not layer.built:
        layer.build((None, *[None] * len(layer.patch_size), channels))
    kernel = np.moveaxis(array(convolution.weight), (0, 1), (-1, -2))
    weights = [kernel.reshape(-1, kernel.shape[-1])]
    if convolution.bias is not None:
        weights.append(array(convolution.bias))
    layer.set_weights(weights)
    return layer


def channels_last(x):
    return np.moveaxis(x.numpy(), 1, -1)


@pytest.mark.parametrize("patch_size", [4, (8, 4)])
def test_vit(patch_size):
    config = transformers.ViTConfig(**{**IMAGE, "patch_size": patch_size})
    module = randomize(models.vit.modeling_vit.ViTPatchEmbeddings(config))
    pixels = normal(2, 3, 16, 16)
    layer = copy(module.projection, mm.PatchEmbedding(patch_size, 16), 3)
    close(array(layer(channels_last(pixels))).reshape(2, -1, 16), module(pixels))


def test_clip():
    config = transformers.CLIPVisionConfig(**IMAGE)
    module = randomize(models.clip.modeling_clip.CLIPVisionEmbeddings(config))
    pixels = normal(2, 3, 16, 16)
    places = array(module.position_embedding.weight)
    expected = array(module(pixels))[:, 1:] - places[1:]
    layer = mm.PatchEmbedding(4, 16, use_bias=False)
    copy(module.patch_embedding, layer, 3)
    got = array(layer(channels_last(pixels))).reshape(2, -1, 16)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_masks_of_idefics2():
    config = models.idefics2.configuration_idefics2.Idefics2VisionConfig(**IMAGE)
    module = models.idefics2.modeling_idefics2.Idefics2VisionEmbeddings(config)
    randomize(module)
    pixels, sizes = normal(2, 3, 16, 16), np.array([[16, 10], [7, 16]])
    valid = np.zeros((2, 16, 16), bool)
    for sample, (height, width) in enumerate(sizes):
        valid[sample, :height, :width] = True
    # what Idefics2 does with a mask of pixels, before its encoder
    folded = torch.tensor(valid).unfold(1, 4, 4).unfold(2, 4, 4)
    expected = folded.sum(dim=(-1, -2)) > 0
    layer = copy(module.patch_embedding, mm.PatchEmbedding(4, 16, remainder="pad"), 3)
    outputs = layer(channels_last(pixels), mask=sizes)
    np.testing.assert_array_equal(array(outputs._keras_mask), array(expected))
    zeroed = pixels * torch.tensor(valid)[:, None]
    close(array(outputs), module.patch_embedding(zeroed).permute(0, 2, 3, 1))


@pytest.mark.parametrize("size", [(16, 16), (18, 21)])
def test_timm(size):
    module = timm_layer("patch_embed").PatchEmbed(
        img_size=None, patch_size=4, embed_dim=16, dynamic_img_pad=True, flatten=False
    )
    randomize(module)
    pixels = normal(2, 3, *size)
    layer = copy(module.proj, mm.PatchEmbedding(4, 16, remainder="pad"), 3)
    expected = module(pixels).permute(0, 2, 3, 1)
    close(array(layer(channels_last(pixels))), expected)


def test_videomae():
    config = transformers.VideoMAEConfig(
        **{**IMAGE, "image_size": 8}, num_frames=4, tubelet_size=2
    )
    module = models.videomae.modeling_videomae.VideoMAEPatchEmbeddings(config)
    randomize(module)
    frames = normal(2, 4, 3, 8, 8)
    layer = copy(module.projection, mm.TubeletEmbedding((2, 4, 4), 16), 3)
    got = layer(np.moveaxis(frames.numpy(), 2, -1))
    close(array(got).reshape(2, -1, 16), module(frames))


AST = {**SMALL, "patch_size": 4, "frequency_stride": 3, "time_stride": 2}


def test_ast():
    """From a waveform to the patches, without class token and positions."""
    name = "audio_spectrogram_transformer"
    module = getattr(models, name)
    config = transformers.ASTConfig(**AST, max_length=20, num_mel_bins=13)
    patches = getattr(module, f"modeling_{name}").ASTPatchEmbeddings(config)
    randomize(patches)
    wave = normal(1, 400 + 19 * 160)
    features = ast_features(wave[0], bins=13, frames=20)
    layer = mm.AudioEmbedding(
        16, num_mel_bins=13, patch_size=4, strides=(3, 2), remainder="crop"
    )
    layer.build((None, None))
    copy(patches.projection, layer.patches, 1)
    assert tuple(layer(wave.numpy()).shape) == (1, 4, 9, 16)
    got = array(layer(wave.numpy())).reshape(1, -1, 16)
    close(got, patches(torch.tensor(features)[None]), atol=1e-4)


def ast_features(wave, bins, frames):
    """Those of ASTFeatureExtractor, by its own code for want of torchaudio."""
    module = models.audio_spectrogram_transformer
    name = "feature_extraction_audio_spectrogram_transformer"
    extractor_module = getattr(module, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor_module, "is_speech_available", lambda: False)
        extractor = extractor_module.ASTFeatureExtractor(
            num_mel_bins=bins, max_length=frames
        )
        inputs = extractor(wave.numpy(), sampling_rate=16000, return_tensors="np")
    return inputs["input_values"][0]


def test_features_of_ast():
    wave = normal(1, 6000)
    expected = ast_features(wave[0], bins=40, frames=36)
    layer = mm.AudioEmbedding(16, num_mel_bins=40, remainder="crop")
    close(array(layer.log_mel(wave.numpy()))[0, :35], expected[:35], atol=1e-4)


@pytest.mark.parametrize("samples", [16000, 9999])
def test_features_of_whisper(samples):
    extractor = transformers.WhisperFeatureExtractor(chunk_length=1)
    # loud, then quiet: the range that Whisper keeps is cut
    wave = normal(samples).numpy() * np.linspace(0.5, 0, samples) ** 8
    inputs = extractor(
        wave, sampling_rate=16000, return_tensors="np", return_attention_mask=True
    )
    layer = mm.AudioEmbedding(16, convention="whisper", num_mel_bins=80)
    padded = np.pad(wave, (0, 16000 - samples))[None].astype("float32")
    mask = np.array([samples])
    got = array(layer.log_mel(padded, mask))[0]
    valid = array(layer(padded, mask=mask)._keras_mask)[0].astype(bool)
    np.testing.assert_array_equal(valid, inputs["attention_mask"][0] == 1)
    expected = inputs["input_features"][0].T
    np.testing.assert_allclose(got[valid], expected[valid], atol=1e-4)
