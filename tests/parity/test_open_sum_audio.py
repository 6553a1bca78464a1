"""Modules of published audio models, each as one configured fusion."""

import numpy as np
from configured import assign, configured, norm, table
from published import array, close, models, randomize, torch, transformers

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
