"""Each convention against a published implementation with small random weights."""

import numpy as np
import pytest
from configured import assign, boxes, configured, norm, table
from published import (
    IMAGE,
    TEXT,
    array,
    boxes_of,
    close,
    copy_boxes,
    models,
    randomize,
    torch,
    transformers,
)
from timm_layers import timm_layer

import keras_mmembed as mm


def encoding(layer, *shape, **call):
    return array(layer(np.zeros(shape, "float32"), **call))


def tensor(x):
    return torch.tensor(np.asarray(x)).long()


def text_of(config, module, weights=None, **text):
    """Return the configured fusion of the embeddings of BERT and its like."""
    text = {
        "type": "1d",
        "vocabulary_size": config.vocab_size,
        "segments": config.type_vocab_size,
        "modality": False,
        **text,
    }
    fusion = configured(
        {"text": text},
        normalization="shared",
        epsilon=config.layer_norm_eps,
        return_dict=False,
    )
    fusion.build({"text": (None, None)})
    assign(
        fusion,
        text__embedding=table(module.word_embeddings),
        text__position=table(module.position_embeddings),
        text__segment=table(module.token_type_embeddings),
        norm=norm(module.LayerNorm),
        **(weights or {}),
    )
    return fusion


def test_whisper():
    expected = models.whisper.modeling_whisper.sinusoids(30, 16)
    got = encoding(mm.PositionEmbedding1D(convention="whisper"), 1, 30, 16)[0]
    close(got, expected)


def test_mae():
    config = transformers.ViTMAEConfig(**IMAGE)
    module = models.vit_mae.modeling_vit_mae.ViTMAEEmbeddings(config)
    module.initialize_weights()
    layer = mm.PositionEmbedding2D(4, 4, convention="mae", num_prefix_tokens=1)
    close(encoding(layer, 1, 17, 16)[0], module.position_embeddings[0])


def test_videomae():
    table = models.videomae.modeling_videomae.get_sinusoid_encoding_table(24, 16)
    layer = mm.PositionEmbedding3D(convention="videomae")
    close(encoding(layer, 1, 2, 3, 4, 16)[0].reshape(24, 16), table[0])


@pytest.mark.parametrize("normalize", [True])
def test_detr_with_padding(normalize):
    module = models.detr.modeling_detr.DetrSinePositionEmbedding(8, normalize=normalize)
    mask = np.zeros((2, 5, 7), bool)
    mask[0, :4, :6] = True
    mask[1, :, :3] = True
    pixels = torch.zeros(2, 16, 5, 7)
    try:
        expected = module(pixels.shape, pixels.device, pixels.dtype, torch.tensor(mask))
    except TypeError:
        expected = module(pixels, torch.tensor(mask))
    expected = array(expected)
    if expected.shape[1] == 16:
        expected = expected.transpose(0, 2, 3, 1)
    expected = expected.reshape(2, 5, 7, 16)
    layer = mm.PositionEmbedding2D(convention="detr")
    got = encoding(layer, 2, 5, 7, 16, mask=mask)
    np.testing.assert_allclose(got[mask], expected[mask], atol=1e-5)


def test_kosmos2():
    module = models.kosmos2.modeling_kosmos2
    module = module.Kosmos2TextSinusoidalPositionalEmbedding(20, 16, padding_idx=1)
    ids = np.array([[5, 6, 7, 8, 1, 1], [9, 2, 3, 4, 5, 6]])
    expected = module(input_ids=torch.tensor(ids))
    layer = mm.PositionEmbedding1D(convention="kosmos2")
    close(encoding(layer, 2, 6, 16, mask=ids != 1), expected)


def test_roberta():
    config = transformers.RobertaConfig(**TEXT, pad_token_id=1, type_vocab_size=2)
    module = randomize(models.roberta.modeling_roberta.RobertaEmbeddings(config))
    ids = np.array([[5, 6, 7, 1, 1, 1], [9, 2, 3, 4, 5, 6]], "int32")
    position = mm.PositionEmbedding1D(20, kind="learned", convention="roberta")
    fusion = text_of(config, module, position=position, padding_id=1)
    valid = ids != 1
    close(array(fusion({"text": ids}))[valid], array(module(tensor(ids)))[valid])


def test_bert():
    config = transformers.BertConfig(**TEXT, type_vocab_size=3)
    module = randomize(models.bert.modeling_bert.BertEmbeddings(config))
    rng = np.random.default_rng(0)
    ids, types = rng.integers(0, 40, (2, 7)), rng.integers(0, 3, (2, 7))
    fusion = text_of(config, module, max_len=20, position="learned")
    got = fusion(
        {"text": ids.astype("int32")}, segment_ids={"text": types.astype("int32")}
    )
    close(array(got), module(tensor(ids), token_type_ids=tensor(types)))


def test_perceiver():
    module = models.perceiver.modeling_perceiver.PerceiverFourierPositionEncoding(
        num_bands=5, max_resolution=(6, 8), concat_pos=True, sine_only=False
    )
    expected = module(
        index_dims=(6, 8), batch_size=1, device=torch.device("cpu"), dtype=torch.float32
    )
    layer = mm.PositionEmbedding2D(convention="perceiver")
    close(encoding(layer, 1, 6, 8, 22)[0].reshape(48, 22), expected[0])


@pytest.mark.parametrize("sizes", [(5, 7), (4, 4)])
def test_sincos_of_timm(sizes):
    build = timm_layer("pos_embed_sincos").build_sincos2d_pos_embed
    # timm has all sines before all cosines, and rows before columns
    table = array(build(list(sizes), dim=16)).reshape(*sizes, 2, 2, 4)
    expected = table.swapaxes(2, 3)[:, :, ::-1].reshape(*sizes, 16)
    got = encoding(mm.PositionEmbedding2D(convention="scenic"), 1, *sizes, 16)[0]
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("sizes", [(4, 4), (3, 7), (9, 2)])
def test_detr_learned(sizes):
    module = models.detr.modeling_detr.DetrLearnedPositionEmbedding(embedding_dim=8)
    randomize(module)
    layer = mm.PositionEmbedding2D(
        50, 50, kind="learned", convention="florence2", out_of_range="clip"
    )
    layer.build((None, None, None, 16))
    layer.height_embeddings.assign(array(module.row_embeddings.weight))
    layer.width_embeddings.assign(array(module.column_embeddings.weight))
    pixels = torch.zeros(1, 16, *sizes)
    try:
        expected = module(pixels.shape, pixels.device, pixels.dtype)
    except TypeError:
        expected = module(pixels)
    expected = array(expected)
    if expected.ndim == 4:
        expected = expected.transpose(0, 2, 3, 1)
    got = encoding(layer, 1, *sizes, 16)[0]
    np.testing.assert_allclose(got, expected.reshape(*sizes, 16), atol=1e-6)


def test_timesformer():
    config = transformers.TimesformerConfig(**IMAGE, num_frames=3)
    module = models.timesformer.modeling_timesformer.TimesformerEmbeddings(config)
    randomize(module)
    frames = torch.randn(1, 3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    expected = array(module(frames))[0, 1:].reshape(16, 3, 16).transpose(1, 0, 2)
    patches = array(module.patch_embeddings(frames)[0]).reshape(1, 3, 4, 4, 16)
    layer = mm.PositionEmbedding3D(3, 4, 4, kind="learned")
    layer.build((None, None, None, None, 16))
    space = array(module.position_embeddings)[0, 1:]
    layer.height_width_embeddings.assign(space.reshape(4, 4, 16))
    layer.frames_embeddings.assign(array(module.time_embeddings)[0])
    got = array(layer(patches.astype("float32")))[0].reshape(3, 16, 16)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_factorised_sum_of_gemma4():
    """X[x] + Y[y] of Gemma 4, with the padding id -1."""
    config_class = models.gemma4.Gemma4VisionConfig
    config = config_class(
        hidden_size=16,
        patch_size=4,
        position_embedding_size=12,
        num_attention_heads=2,
        num_hidden_layers=1,
    )
    module = randomize(models.gemma4.modeling_gemma4.Gemma4VisionPatchEmbedder(config))
    table = array(module.position_embedding_table)
    layer = mm.PositionEmbedding2D(
        12, 12, kind="learned", combination="sum", out_of_range="zero"
    )
    layer.build((None, None, 16))
    layer.width_embeddings.assign(table[0])
    layer.height_embeddings.assign(table[1])
    xy = np.array([[[0, 0], [3, 1], [11, 7], [-1, -1]]])
    got = encoding(layer, 1, 4, 16, positions=xy[..., ::-1].astype("int32"))
    expected = np.array([table[0][x] + table[1][y] for x, y in xy[0, :3]])
    np.testing.assert_allclose(got[0, :3], expected, atol=1e-6)
    np.testing.assert_array_equal(got[0, 3], np.zeros(16))
    pixels = torch.rand(1, 4, 48, generator=torch.Generator().manual_seed(1))
    padding = torch.tensor((xy == -1).all(axis=-1))
    outputs = array(module(pixels, torch.tensor(xy), padding))[0]
    bare = array(module.input_proj(2 * (pixels - 0.5)))[0]
    np.testing.assert_allclose(outputs[:3] - bare[:3], expected, atol=1e-5)


def test_layoutlm_box_sum():
    config = models.layoutlm.LayoutLMConfig(**TEXT, max_2d_position_embeddings=64)
    module = models.layoutlm.modeling_layoutlm.LayoutLMEmbeddings(config)
    randomize(module)
    places, ids = boxes_of(), np.arange(12).reshape(2, 6).astype("int32")
    fusion = text_of(
        config,
        module,
        {"text__box": boxes(module)},
        max_len=20,
        position="learned",
        terms={"box": mm.BoxEmbedding(num_positions=64)},
    )
    got = fusion({"text": ids}, terms={"text": {"box": places}})
    close(array(got), module(tensor(ids), bbox=tensor(places).long()))


def test_layoutlmv3_box_concat():
    module = models.layoutlmv3.modeling_layoutlmv3.LayoutLMv3TextEmbeddings(
        models.layoutlmv3.LayoutLMv3Config(
            **TEXT, max_2d_position_embeddings=64, coordinate_size=3, shape_size=2
        )
    )
    randomize(module)
    boxes = boxes_of()
    layer = mm.BoxEmbedding(combination="concat", num_positions=64, coordinate_width=3)
    copy_boxes(module, layer)
    got = layer(np.zeros((2, 6, 16), "float32"), boxes)
    expected = module.calculate_spatial_position_embeddings(torch.tensor(boxes))
    np.testing.assert_allclose(array(got), array(expected), atol=1e-6)
