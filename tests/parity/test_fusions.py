"""The fusion against published models that fuse, with small random weights."""

import numpy as np
from configured import assign, boxes, configured, norm, patches, table
from published import (
    TEXT,
    array,
    boxes_of,
    close,
    models,
    randomize,
    torch,
    transformers,
)

import keras_mmembed as mm


def tensor(x):
    return torch.tensor(np.asarray(x))


def test_layoutlmv3_has_a_norm_for_each_and_one_for_all():
    config = transformers.LayoutLMv3Config(
        **{**TEXT, "num_hidden_layers": 0},
        max_2d_position_embeddings=64,
        coordinate_size=3,
        shape_size=2,
        pad_token_id=1,
        input_size=16,
        patch_size=4,
        has_relative_attention_bias=False,
        has_spatial_attention_bias=False,
    )
    model = randomize(transformers.LayoutLMv3Model(config))
    rng = np.random.default_rng(0)
    words, places = rng.integers(2, 40, (2, 6)), boxes_of()
    pixels = rng.normal(size=(2, 3, 16, 16)).astype("float32")
    words[1, 4:] = 1
    expected = model(
        input_ids=tensor(words),
        bbox=tensor(places).long(),
        attention_mask=tensor(words != 1).long(),
        pixel_values=tensor(pixels),
    ).last_hidden_state

    layer = configured(
        {
            "text": {
                "type": "1d",
                "vocabulary_size": 40,
                "padding_id": 1,
                "position": mm.PositionEmbedding1D(
                    20, kind="learned", convention="roberta"
                ),
                "terms": {
                    "box": mm.BoxEmbedding(
                        combination="concat", num_positions=64, coordinate_width=3
                    )
                },
            },
            "image": {
                "type": "2d",
                "embedding": mm.PatchEmbedding(4, 16),
                "position": mm.PositionEmbedding2D(4, 4, kind="learned"),
                "start_token": True,
                "count_special": True,
                "modality": False,
                "normalization": {"epsilon": model.norm.eps},
            },
        },
        normalization="both",
        epsilon=config.layer_norm_eps,
    )
    inputs = {"text": words.astype("int32"), "image": np.moveaxis(pixels, 1, -1)}
    terms = {"text": {"box": places}}
    layer(inputs, terms=terms)
    text, rows = model.embeddings, array(model.pos_embed)[0]
    assign(
        layer,
        modality__text=array(text.token_type_embeddings.weight)[0],
        text__embedding=table(text.word_embeddings),
        text__position=table(text.position_embeddings),
        text__box=boxes(text),
        text__norm=norm(text.LayerNorm),
        image__embedding__projection=patches(model.patch_embed.proj),
        image__start=array(model.cls_token),
        image__start_position=rows[:1],
        image__position__embeddings=rows[1:],
        image__norm=norm(model.norm),
        norm=norm(model.LayerNorm),
    )
    fused = layer(inputs, terms=terms)
    valid = array(fused["mask"]).astype(bool)
    np.testing.assert_array_equal(valid[:, :6], words != 1)
    close(array(fused["embeddings"])[valid], array(expected)[valid])


def test_perceiver_knows_modalities_by_name():
    """Concatenated channels are added ones, on channels that the others leave at 0."""
    config = transformers.PerceiverConfig(num_labels=7, samples_per_patch=4)
    perceiver = models.perceiver.modeling_perceiver
    preprocessor = perceiver.PerceiverMultimodalPreprocessor(
        {
            "label": perceiver.PerceiverOneHotPreprocessor(config),
            "audio": perceiver.PerceiverAudioPreprocessor(
                config,
                samples_per_patch=4,
                fourier_position_encoding_kwargs={
                    "num_bands": 3,
                    "max_resolution": (6,),
                    "sine_only": False,
                    "concat_pos": True,
                },
            ),
        }
    )
    randomize(preprocessor)
    rng = np.random.default_rng(0)
    label = np.eye(7, dtype="float32")[[2, 5]]
    audio = rng.normal(size=(2, 24, 1)).astype("float32")
    expected, sizes, _ = preprocessor({"label": tensor(label), "audio": tensor(audio)})
    width = preprocessor.num_channels

    wave = mm.PositionEmbedding1D(convention="perceiver")
    pe = np.broadcast_to(array(wave(np.zeros((1, 6, 7), "float32"))), (2, 6, 7))
    features = {
        "audio": np.concatenate([audio.reshape(2, 6, 4), pe], axis=-1),
        "label": label[:, None],
    }
    layer = configured(
        {n: {"type": "none", "dim": x.shape[-1]} for n, x in features.items()}, width
    )
    layer(features)
    weights = {}
    for name, x in features.items():
        # the channels of the features, and then those of the vector
        channels, padding = x.shape[-1], array(preprocessor.padding[name])[0]
        kernel = {"kernel": np.eye(channels, width), "bias": np.zeros(width)}
        weights[f"{name}__projection"] = kernel
        weights[f"modality__{name}"] = np.pad(padding, (channels, 0))
    assign(layer, **weights)
    fused = layer(dict(reversed(features.items())))
    close(array(fused["embeddings"]), expected)
    parts = layer.split(fused["embeddings"], like=features)
    assert {name: part.shape[1] for name, part in parts.items()} == dict(sizes)
