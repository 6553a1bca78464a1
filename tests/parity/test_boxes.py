"""Boxes of published models with small random weights."""

import numpy as np
import pytest
from published import SMALL, TEXT, array, boxes_of, close, models, randomize, torch

import keras_mmembed as mm

LAYOUT = {**TEXT, "max_2d_position_embeddings": 61, "coordinate_size": 3}


def fractions_of(batch=2, length=6):
    corners = np.sort(np.random.default_rng(3).random((batch, length, 2, 2)), axis=2)
    boxes = corners.reshape(batch, length, 4).astype("float32")
    boxes[0, 0] = (0.0, 0.0, 1.0, 1.0)
    return boxes


def added(layer, boxes, width=16):
    return array(layer(np.zeros((*boxes.shape[:2], width), "float32"), boxes))


def tables_of(module):
    return [array(getattr(module, f"{a}_position_embeddings").weight) for a in "xyhw"]


def test_lxmert():
    from transformers import LxmertConfig

    config = LxmertConfig(hidden_size=16, visual_feat_dim=8)
    module = models.lxmert.modeling_lxmert.LxmertVisualFeatureEncoder(config)
    module = randomize(module)
    boxes = fractions_of()
    layer = mm.BoxEmbedding(kind="linear", numbers=4)
    layer.build((None, None, 16))
    layer.set_weights([array(module.box_fc.weight).T, array(module.box_fc.bias)])
    close(added(layer, boxes), module.box_fc(torch.tensor(boxes)))


def test_udop_cells():
    module = randomize(models.udop.modeling_udop.UdopCellEmbeddings(51, 16))
    layer = mm.BoxEmbedding(numbers=4, num_positions=51, scale=50)
    layer.build((None, None, 16))
    tables = (module.x_position_embeddings, module.y_position_embeddings)
    layer.set_weights([array(table.weight) for table in tables])
    boxes = fractions_of()
    close(added(layer, boxes), module(torch.tensor(boxes)))


def test_lilt_layout():
    from transformers import LiltConfig

    config = LiltConfig(
        **{**LAYOUT, "hidden_size": 24},
        channel_shrink_ratio=3,
        hidden_dropout_prob=0.0,
    )
    module = randomize(models.lilt.modeling_lilt.LiltLayoutEmbeddings(config))
    boxes, positions = boxes_of(), np.tile(np.arange(6) + 2, (2, 1))
    layer = mm.BoxEmbedding(
        combination="concat",
        num_positions=61,
        coordinate_width=4,
        size_width=4,
        projection=True,
    )
    layer.build((None, None, 8))
    linear = module.box_linear_embeddings
    layer.set_weights([*tables_of(module), array(linear.weight).T, array(linear.bias)])
    table = module.box_position_embeddings.weight
    total = added(layer, boxes, 8) + array(table)[positions]
    norm = torch.nn.functional.layer_norm(
        torch.tensor(total),
        (8,),
        module.LayerNorm.weight.double(),
        module.LayerNorm.bias.double(),
        config.layer_norm_eps,
    )
    expected = module(torch.tensor(boxes), torch.tensor(positions))
    close(array(norm), expected)


def test_layoutlmv2_tables():
    from transformers import LayoutLMv2Config

    config = LayoutLMv2Config(**LAYOUT, shape_size=2)
    module = models.layoutlmv2.modeling_layoutlmv2.LayoutLMv2Embeddings(config)
    module, boxes = randomize(module), boxes_of()
    layer = mm.BoxEmbedding(
        combination="concat", num_positions=61, coordinate_width=3, size_width=2
    )
    layer.build((None, None, 16))
    layer.set_weights(tables_of(module))
    expected = module._calc_spatial_position_embeddings(torch.tensor(boxes))
    close(added(layer, boxes), expected)


def test_boxes_of_a_grid():
    from types import SimpleNamespace

    config = SimpleNamespace(image_feature_pool_shape=[7, 3, 256])
    owner = SimpleNamespace(config=config)
    calculate = models.layoutlmv2.modeling_layoutlmv2.LayoutLMv2Model._calc_visual_bbox
    ids = torch.zeros(1, 1, 4, dtype=torch.long)
    expected = calculate(owner, config.image_feature_pool_shape, ids, "cpu", (1, 4))
    got = mm.BoxEmbedding.boxes_of_grid(7, 3, page_size=1000)
    np.testing.assert_array_equal(got, array(expected[0]))
    expected = models.udop.modeling_udop.get_visual_bbox(96, 16)
    close(mm.BoxEmbedding.boxes_of_grid(6, 6), expected, atol=1e-7)


@pytest.mark.parametrize("corners", [4, 8])
def test_bros_boxes_of_pairs(corners):
    from transformers import BrosConfig

    config = BrosConfig(**{**SMALL, "hidden_size": 128}, dim_bbox=8)
    module = models.bros.modeling_bros.BrosBboxEmbeddings(config)
    module, boxes = randomize(module), fractions_of()
    all_corners = boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]]
    expected = module(torch.tensor(all_corners * config.bbox_scale))
    width = config.dim_bbox_projection
    layer = mm.BoxEmbedding(
        kind="sinusoidal",
        combination="concat",
        numbers=8,
        convention="mae",
        coordinate_width=config.dim_bbox_sinusoid_emb_1d,
        scale=config.bbox_scale,
        projection={"use_bias": False},
    )
    layer.build((None, None, width))
    layer.set_weights([array(module.bbox_projection.weight).T])
    boxes = boxes if corners == 4 else all_corners
    pairs = boxes[:, None] - boxes[:, :, None]
    close(array(layer.encode(pairs)), expected.permute(2, 0, 1, 3), atol=1e-4)
