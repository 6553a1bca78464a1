"""Embeddings of published vision-language models, each as one configured fusion."""

import keras
import numpy as np
import pytest
from configured import assign, configured, dense, norm, numpy, patches, table
from published import (
    IMAGE,
    TEXT,
    array,
    close,
    models,
    randomize,
    torch,
    transformers,
)
from weights import reloaded

import keras_mmembed as mm


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def words_of(*shape):
    return np.random.default_rng(1).integers(2, 40, shape)


@pytest.mark.parametrize("is_aligned", [False, True])
def test_visual_bert_places_regions_at_their_words(is_aligned):
    config = transformers.VisualBertConfig(
        **TEXT, visual_embedding_dim=12, type_vocab_size=3
    )
    module = models.visual_bert.modeling_visual_bert.VisualBertEmbeddings(config)
    randomize(module)
    words, regions = words_of(2, 5), normal(2, 3, 12)
    types = np.array([[0, 1, 2, 1, 0], [2, 2, 0, 1, 1]])
    # the words that a region belongs to, -1 for none
    words_of_regions = np.array(
        [[[0, 2], [3, -1], [-1, -1]], [[4, 1], [-1, 2], [1, 1]]]
    )
    expected = module(
        torch.tensor(words),
        token_type_ids=torch.tensor(types),
        visual_embeds=torch.tensor(regions),
        image_text_alignment=torch.tensor(words_of_regions) if is_aligned else None,
    )
    position = mm.PositionEmbedding1D(20, kind="learned", name="position")
    fusion = configured(
        {
            "text": {
                "type": "1d",
                "vocabulary_size": 40,
                "position": position,
                "segments": 3,
                "modality": False,
            },
            "image": {
                "type": "none",
                "dim": 12,
                "terms": {"alignment": {"layer": position, "pooling": "mean"}},
            },
        },
        normalization="shared",
        epsilon=config.layer_norm_eps,
    )
    call = {
        "inputs": {"text": words, "image": regions},
        "segment_ids": {"text": types},
    }
    if is_aligned:
        call["terms"] = {"image": {"alignment": words_of_regions}}
    fusion(**call)
    regions_at = numpy(module.visual_position_embeddings.weight)[0]
    assign(
        fusion,
        text__embedding=table(module.word_embeddings),
        text__position=table(module.position_embeddings),
        text__segment=table(module.token_type_embeddings),
        image__projection=dense(module.visual_projection),
        modality__image=regions_at
        + numpy(module.visual_token_type_embeddings.weight)[1],
        norm=norm(module.LayerNorm),
    )
    close(array(fusion(**call)["embeddings"]), expected)


def test_vilt_normalizes_its_text_before_the_modality():
    config = transformers.ViltConfig(
        **{**TEXT, **IMAGE},
        modality_type_vocab_size=3,
        max_image_length=-1,
        type_vocab_size=2,
        layer_norm_eps=1e-5,
    )
    module = randomize(models.vilt.modeling_vilt.ViltEmbeddings(config))
    pixels, words = normal(2, 3, 16, 16), words_of(2, 5)
    pixel_mask = np.ones((2, 16, 16), "int64")
    pixel_mask[1, 12:], pixel_mask[1, :, 8:] = 0, 0
    text_mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    types = np.array([[0, 0, 1, 1, 1], [0, 1, 0, 0, 0]])
    expected, expected_mask = module(
        *map(torch.tensor, (words, text_mask, types, pixels, pixel_mask)), None, None
    )
    position = mm.PositionEmbedding2D(
        4,
        4,
        kind="learned",
        interpolation="bilinear",
        align_corners=True,
        out_of_range="resize",
    )
    fusion = configured(
        {
            "text": {
                "type": "1d",
                "max_len": 20,
                "position": "learned",
                "vocabulary_size": 40,
                "segments": 2,
                "normalization": {"place": "modality", "epsilon": 1e-5},
            },
            "image": {
                "type": "2d",
                "embedding": mm.PatchEmbedding(4, 16, data_format="channels_last"),
                "position": position,
                "start_token": True,
                "count_special": True,
            },
        }
    )
    call = {
        "inputs": {"text": words, "image": pixels.transpose(0, 2, 3, 1)},
        "segment_ids": {"text": types},
        "mask": {"text": text_mask},
        "grids": {"image": np.array([[4, 4], [3, 2]])},
    }
    fusion(**call)
    text, rows = module.text_embeddings, numpy(module.position_embeddings)[0]
    kinds = numpy(module.token_type_embeddings.weight)
    assign(
        fusion,
        text__embedding=table(text.word_embeddings),
        text__position=table(text.position_embeddings),
        text__segment=table(text.token_type_embeddings),
        text__norm=norm(text.LayerNorm),
        image__embedding__projection=patches(module.patch_embeddings.projection),
        image__position={"embeddings": rows[1:]},
        image__start=numpy(module.cls_token),
        image__start_position=rows[:1],
        modality__text=kinds[0],
        modality__image=kinds[1],
    )
    fused = fusion(**call)
    got, mask = array(fused["embeddings"]), array(fused["mask"]).astype(bool)
    for sample in range(2):
        ours = got[sample][mask[sample]]
        theirs = array(expected[sample])[expected_mask[sample].numpy() == 1]
        assert ours.shape == theirs.shape
        if sample == 0:  # ViLT shuffles the patches of the largest image
            ours, theirs = (x[np.argsort(x[:, 0])] for x in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_llava_next_ends_rows_with_a_newline():
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**IMAGE),
        text_config=transformers.LlamaConfig(
            hidden_size=16,
            num_hidden_layers=0,
            num_attention_heads=2,
            intermediate_size=8,
            vocab_size=40,
        ),
        image_grid_pinpoints=[[16, 32], [32, 16]],
    )
    module = models.llava_next.modeling_llava_next.LlavaNextModel(config)
    randomize(module)
    # of a wide and of a high image: the whole image, and two tiles of 4 x 4 patches
    features = normal(2, 3, 16, 16) / 4
    packed, lengths = module.pack_image_features(
        [module.multi_modal_projector(torch.tensor(one)) for one in features],
        torch.tensor([[16, 32], [32, 16]]),
        "full",
        module.image_newline,
    )
    assert lengths.tolist() == [16 + 4 * 9, 16 + 8 * 5]
    words = words_of(2, 60)
    whole, rows = np.zeros((2, 2, 60), bool)
    whole[:, 1:17], rows[0, 17:53], rows[1, 17:57] = True, True, True
    embedding = module.get_input_embeddings()(torch.tensor(words))
    marks = torch.tensor(whole | rows)[..., None].expand(2, 60, 16)
    expected = embedding.masked_scatter(marks, torch.cat(packed))

    inputs = keras.Input((None, None, 16))
    layers = [
        keras.layers.Dense(16, "gelu", name="first"),
        keras.layers.Dense(16, name="second"),
    ]
    placed = {
        "type": "2d",
        "dim": 16,
        "embedding": keras.Sequential([inputs, *layers], name="projector"),
        "position": None,
        "into": "text",
    }
    fusion = configured(
        {
            "text": {"type": "none", "vocabulary_size": 40},
            "image": placed,
            "tiles": {**placed, "row_token": True},
        },
        modality_embedding=False,
    )
    tiles = features[:, 1:].reshape(2, 2, 4, 4, 16)
    wide = tiles[0].transpose(1, 0, 2, 3).reshape(4, 8, 16)
    batch = mm.pad_batch(
        [
            {"text": text, "image": one, "tiles": grid}
            for text, one, grid in zip(
                words,
                features[:, 0].reshape(2, 4, 4, 16),
                [wide, tiles[1].reshape(8, 4, 16)],
                strict=True,
            )
        ]
    )
    call = {**batch, "placeholders": {"image": whole, "tiles": rows}}
    fusion(**call)
    projector = module.multi_modal_projector
    assign(
        fusion,
        text__embedding=table(module.get_input_embeddings()),
        tiles__row_token=numpy(module.image_newline),
        projector__first=dense(projector.linear_1),
        projector__second=dense(projector.linear_2),
    )
    close(array(fusion(**call)["embeddings"]), expected)


def test_florence2_projects_an_image_and_its_mean(tmp_path):
    config = transformers.Florence2Config()
    config.vision_config.embed_dim = [4, 4, 4, 18]
    config.vision_config.projection_dim = 16
    config.vision_config.max_position_embeddings = 5
    config.vision_config.max_temporal_embeddings = 6
    module = models.florence2.modeling_florence2.Florence2MultiModalProjector(config)
    module, features = randomize(module), normal(2, 18, 3, 4)
    expected = module(torch.tensor(features))

    position = mm.PositionEmbedding3D(
        6,
        5,
        5,
        kind=("sinusoidal", "learned", "learned"),
        convention="florence2",
        out_of_range="clip",
        name="position",
    )
    frames = keras.Input((None, None, None, 18))
    tokens = keras.layers.Reshape((-1, 18))(position(frames))
    mean = keras.ops.mean(tokens, axis=1, keepdims=True)
    tokens = keras.ops.concatenate([mean, tokens], axis=1)
    fusion = configured(
        {
            "image": {
                "type": "none",
                "dim": 18,
                "embedding": keras.Model(frames, tokens, name="embedding"),
                "projection": {"use_bias": False},
                "modality": False,
            }
        },
        normalization="shared",
        epsilon=1e-5,
    )
    inputs = {"image": features.transpose(0, 2, 3, 1)[:, None]}
    fusion(inputs)
    embed = module.image_position_embed
    assign(
        fusion,
        position={
            "height_embeddings": numpy(embed.row_embeddings.weight),
            "width_embeddings": numpy(embed.column_embeddings.weight),
        },
        image__projection=dense(module.image_projection),
        norm=norm(module.image_proj_norm),
    )
    close(array(fusion(inputs)["embeddings"]), expected)
    symbols = {name: keras.Input((None, None, None, 18), name=name) for name in inputs}
    model = keras.Model(symbols, fusion(symbols)["embeddings"])
    loaded = reloaded(model, tmp_path)
    assert len(loaded.weights) == len(model.weights) == 5
    close(array(loaded.predict(inputs, verbose=0)), expected)
