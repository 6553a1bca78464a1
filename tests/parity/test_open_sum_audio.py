"""Modules of published models of audio and video, each as one configured fusion."""

import keras
import numpy as np
import pytest
from configured import assign, configured, dense, norm, numpy, table
from published import SMALL, array, close, models, randomize, torch, transformers

import keras_mmembed as mm


def test_speecht5_positions_have_a_learned_scale():
    config = transformers.SpeechT5Config(
        hidden_size=16, vocab_size=40, positional_dropout=0.0, max_text_positions=20
    )
    module = models.speecht5.modeling_speecht5.SpeechT5TextEncoderPrenet(config)
    randomize(module)
    words = np.random.default_rng(0).integers(2, 40, (2, 6))
    fusion = configured(
        {
            "text": {
                "type": "1d",
                "vocabulary_size": 40,
                "position": {"layer": "sinusoidal", "gate": "linear"},
                "modality": False,
            }
        }
    )
    fused = fusion({"text": words})
    assign(
        fusion,
        text__embedding=table(module.embed_tokens),
        text__gate_position=array(module.encode_positions.alpha),
    )
    fused = fusion({"text": words})
    close(array(fused["embeddings"]), module(torch.tensor(words)))


def test_musicgen_adds_up_codebooks():
    config = models.musicgen.MusicgenDecoderConfig(
        hidden_size=16, vocab_size=30, num_hidden_layers=0, num_codebooks=3
    )
    module = randomize(models.musicgen.modeling_musicgen.MusicgenDecoder(config))
    codes = np.random.default_rng(0).integers(0, 31, (2, 3, 6))
    codebooks = {f"codebook_{n}": mm.SegmentEmbedding(31) for n in (1, 2)}
    position = mm.PositionEmbedding1D(convention="whisper", cosine_first=True)
    fusion = configured(
        {
            "audio": {
                "type": "1d",
                "vocabulary_size": 31,
                "position": position,
                "terms": codebooks,
                "modality": False,
            }
        },
        normalization="shared",
        epsilon=1e-5,
    )
    streams = {name: codes[:, n + 1] for n, name in enumerate(codebooks)}
    call = {"inputs": {"audio": codes[:, 0]}, "terms": {"audio": streams}}
    fusion(**call)
    assign(
        fusion,
        audio__embedding=table(module.embed_tokens[0]),
        audio__codebook_1=table(module.embed_tokens[1]),
        audio__codebook_2=table(module.embed_tokens[2]),
        norm=norm(module.layer_norm),
    )
    expected = module(torch.tensor(codes.reshape(6, 6)), use_cache=False)
    close(array(fusion(**call)["embeddings"]), expected.last_hidden_state)


@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize("is_marked", [False, True])
def test_wav2vec2_positions_are_a_convolution(is_padded, is_marked):
    config = transformers.Wav2Vec2Config(
        **{**SMALL, "num_hidden_layers": 0},
        conv_dim=[12],
        conv_kernel=[3],
        conv_stride=[2],
        num_feat_extract_layers=1,
        num_conv_pos_embeddings=6,
        num_conv_pos_embedding_groups=4,
        mask_time_prob=0.1,
    )
    module = models.wav2vec2.modeling_wav2vec2.Wav2Vec2Model(config)
    module = randomize(module)
    features = np.random.default_rng(0).normal(size=(2, 9, 12)).astype("float32")
    mask = np.arange(9) < np.array([[9], [6 if is_padded else 9]])
    marked = np.zeros((2, 9), bool)
    marked[0, 2:5], marked[1, 1] = is_marked, is_marked
    hidden, _ = module.feature_projection(torch.tensor(features))
    hidden = module._mask_hidden_states(hidden, torch.tensor(marked))
    expected = module.encoder(hidden, torch.tensor(mask)).last_hidden_state

    embedding = keras.layers.LayerNormalization(epsilon=config.layer_norm_eps)
    position = mm.ConvPositionEmbedding(6, groups=4, weight_norm=True)
    fusion = configured(
        {
            "audio": {
                "type": "1d",
                "dim": 12,
                "embedding": embedding,
                "position": position,
                "mask_token": True,
                "modality": False,
            }
        },
        normalization="shared",
        epsilon=config.layer_norm_eps,
    )
    call = {"inputs": {"audio": features}, "masked": {"audio": marked}}
    call["mask"] = {"audio": mask} if is_padded else None
    fusion(**call)
    convolution = module.encoder.pos_conv_embed.conv
    direction = convolution.parametrizations.weight
    assign(
        fusion,
        audio__embedding=norm(module.feature_projection.layer_norm),
        audio__projection=dense(module.feature_projection.projection),
        audio__position={
            "kernel": numpy(direction.original1).transpose(2, 1, 0),
            "gain": numpy(direction.original0).ravel(),
            "bias": numpy(convolution.bias),
        },
        audio__mask_token=numpy(module.masked_spec_embed),
        norm=norm(module.encoder.layer_norm),
    )
    got = array(fusion(**call)["embeddings"])
    np.testing.assert_allclose(got[mask], array(expected)[mask], atol=2e-5)


@pytest.mark.parametrize("frames", [6, 9, 4])
def test_videoprism_stretches_its_temporal_table(frames):
    published = models.videoprism.modeling_videoprism
    config = models.videoprism.VideoPrismVisionConfig(hidden_size=16, num_frames=6)
    module = randomize(published.VideoPrismTemporalEmbeddings(config))
    x = np.random.default_rng(0).normal(size=(2, frames, 16)).astype("float32")
    # one patch of each frame
    expected = module(torch.tensor(x.reshape(-1, 1, 16)), (2, frames, 3, 8, 8), True)
    position = mm.PositionEmbedding1D(
        6,
        kind="learned",
        interpolation="bilinear",
        antialias=True,
        out_of_range="resize",
    )
    fusion = configured(
        {"frames": {"type": "1d", "dim": 16, "position": position, "modality": False}}
    )
    fusion({"frames": x})
    assign(fusion, frames__position=table(module.position_embeddings))
    close(array(fusion({"frames": x})["embeddings"]), expected)
