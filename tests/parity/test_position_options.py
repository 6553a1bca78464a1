"""Options of position layers against published modules with small random weights."""

import numpy as np
import pytest
from published import array, close, learned, models, randomize, torch

import keras_mmembed as mm


def added(layer, *shape, **call):
    return array(layer(np.zeros(shape, "float32"), **call))


@pytest.mark.parametrize("width", [16, 17])
def test_musicgen(width):
    module = models.musicgen.modeling_musicgen
    module = module.MusicgenSinusoidalPositionalEmbedding(20, width)
    expected = module(torch.zeros(1, 4, 6, dtype=torch.long), 3)
    layer = mm.PositionEmbedding1D(convention="whisper", cosine_first=True)
    close(added(layer, 1, 6, width, start_index=3)[0], expected)


@pytest.mark.parametrize("width", [16, 17])
def test_speech2text(width):
    module = models.speech_to_text.modeling_speech_to_text
    module = module.Speech2TextSinusoidalPositionalEmbedding(20, width, padding_idx=1)
    ids = np.array([[5, 6, 7, 8, 1, 1], [9, 2, 3, 4, 5, 6]])
    expected = module(torch.tensor(ids))
    layer = mm.PositionEmbedding1D(convention="kosmos2")
    close(added(layer, 2, 6, width, mask=ids != 1), expected)


def test_bart():
    module = models.bart.modeling_bart.BartLearnedPositionalEmbedding(20, 16)
    module = randomize(module)
    layer = mm.PositionEmbedding1D(22, kind="learned", offset=2)
    layer = learned(layer, module.weight, 16)
    expected = module(torch.zeros(1, 6, dtype=torch.long), 3)
    close(added(layer, 1, 6, 16, start_index=3), expected)


@pytest.mark.parametrize("sizes", [(5, 6), (4, 4)])
def test_rt_detr(sizes):
    module = models.rt_detr.modeling_rt_detr.RTDetrSinePositionEmbedding(16)
    height, width = sizes
    expected = module(
        width=width, height=height, device=torch.device("cpu"), dtype=torch.float32
    )
    layer = mm.PositionEmbedding2D(convention="mae", axis_order=("height", "width"))
    close(added(layer, 1, *sizes, 16).reshape(1, -1, 16), expected)


@pytest.mark.parametrize("is_padded", [False, True])
def test_deformable_detr(is_padded):
    module = models.deformable_detr.modeling_deformable_detr
    module = module.DeformableDetrSinePositionEmbedding(8, normalize=True)
    mask = np.ones((2, 5, 7), bool)
    if is_padded:
        mask[0, 4:], mask[0, :, 6:], mask[1, :, 3:] = False, False, False
    pixels = torch.zeros(2, 16, 5, 7)
    given = torch.tensor(mask) if is_padded else None
    expected = module(pixels.shape, pixels.device, pixels.dtype, given)
    expected = array(expected).transpose(0, 2, 3, 1)
    layer = mm.PositionEmbedding2D(convention="detr", offset=0.5)
    got = added(layer, 2, 5, 7, 16, mask=mask if is_padded else None)
    np.testing.assert_allclose(got[mask], expected[mask], atol=1e-5)


@pytest.mark.parametrize("width", [16, 18])
def test_florence2_projector(width):
    from transformers import Florence2Config

    config = Florence2Config()
    config.vision_config.embed_dim = [4, 4, 4, width]
    config.vision_config.projection_dim = 8
    config.vision_config.max_position_embeddings = 5
    config.vision_config.max_temporal_embeddings = 6
    module = models.florence2.modeling_florence2.Florence2MultiModalProjector(config)
    module = randomize(module)
    layer = mm.PositionEmbedding3D(
        6,
        5,
        5,
        kind=("sinusoidal", "learned", "learned"),
        convention="florence2",
        out_of_range="clip",
    )
    layer.build((None, None, width))
    embed = module.image_position_embed
    layer.width_embeddings.assign(array(embed.column_embeddings.weight))
    layer.height_embeddings.assign(array(embed.row_embeddings.weight))
    features = torch.zeros(1, width, 3, 4)
    space = array(embed(features)).transpose(0, 2, 3, 1)
    time = array(module.visual_temporal_embed(torch.zeros(1, 2, width)))
    expected = space[:, None] + time[None, :, None, None]
    close(added(layer, 1, 2, 3, 4, width), expected)


@pytest.mark.parametrize("is_per_sample", [False, True])
def test_qwen3_vl_table_in_blocks(is_per_sample):
    vision = pytest.importorskip("transformers.vision_utils")
    table = torch.randn(36, 16, generator=torch.Generator().manual_seed(0))
    grids = [(4, 10), (8, 2)] if is_per_sample else [(4, 6)]
    layer = mm.PositionEmbedding2D(
        6,
        6,
        kind="learned",
        interpolation="bilinear",
        align_corners=True,
        out_of_range="resize",
        block_size=2,
    )
    layer = learned(layer, table, 16)
    sizes = np.array(grids, "int32") if is_per_sample else grids[0]
    length = max(height * width for height, width in grids)
    got = added(layer, len(grids), length, 16, grid=sizes)
    for sample, grid in zip(got, grids, strict=True):
        indices, weights = vision.get_vision_interpolation_indices_and_weights(
            torch.tensor([[1, *grid]]), 6, "bilinear", True, 2
        )
        expected = (table[indices] * weights[..., None]).sum(1)
        close(sample[: len(expected)], expected)
