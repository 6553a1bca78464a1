"""Relative position biases against published modules."""

import numpy as np
import pytest
from published import array, close, models, randomize, torch, transformers

import keras_mmembed as mm


def log_softmax(scores):
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def grid_positions(height, width):
    return np.stack(np.divmod(np.arange(height * width), width), -1)


@pytest.mark.parametrize("is_decoder", [False, True])
def test_t5(is_decoder):
    config = transformers.T5Config(
        d_model=16, num_heads=4, d_kv=4, is_decoder=is_decoder
    )
    module = models.t5.modeling_t5.T5Attention(
        config, has_relative_attention_bias=True, layer_idx=0
    )
    randomize(module)
    layer = mm.RelativePositionBias(4, bidirectional=not is_decoder)
    layer.build((None,))
    layer.embeddings.assign(array(module.relative_attention_bias.weight))
    expected = array(module.compute_bias(400, 400))
    np.testing.assert_array_equal(array(layer(np.arange(400))), expected)


def test_layoutlmv3():
    config = transformers.LayoutLMv3Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    module = models.layoutlmv3.modeling_layoutlmv3.LayoutLMv3Encoder(config)
    randomize(module)
    rng = np.random.default_rng(0)
    boxes = rng.integers(0, 1000, (2, 7, 4))
    positions = rng.integers(0, 300, (2, 7))
    expected = module._cal_1d_pos_emb(torch.tensor(positions))
    expected = expected + module._cal_2d_pos_emb(torch.tensor(boxes))
    # the fault of the published module: its tables learn nothing
    assert not expected.requires_grad
    layer = mm.RelativePositionBias(2, convention="layoutlmv3", scale=8**-0.5)
    layer.build((None, None, 3))
    tables = (module.rel_pos_bias, module.rel_pos_x_bias, module.rel_pos_y_bias)
    layer.set_weights([array(table.weight).T for table in tables])
    axes = np.stack([positions, boxes[..., 0], boxes[..., 3]], -1).astype("int32")
    close(array(layer(axes)), array(expected) * 8**-0.5)
    assert all(weight.trainable for weight in layer.weights)


def beit(height, width):
    config = transformers.BeitConfig(
        image_size=(height, width), patch_size=1, num_attention_heads=3, hidden_size=24
    )
    module = models.beit.modeling_beit.BeitRelativePositionBias(config)
    layer = mm.RelativePositionBias(
        3, convention="beit", grid=(height, width), interpolation="bilinear"
    )
    layer.build((None, 2))
    table = array(randomize(module).relative_position_bias_table)
    shape = tuple(layer.embeddings.shape)
    layer.set_weights([table[:-3].reshape(shape), table[-3:]])
    positions = np.concatenate([[[-1, -1]], grid_positions(height, width)])
    return module, layer, table, positions


def test_beit():
    module, layer, _, positions = beit(4, 4)
    close(array(layer(positions)), module((4, 4)))
    positions = np.concatenate([[[-1, -1]], grid_positions(6, 3)])
    close(array(layer(positions, grid=(6, 3))), module((6, 3)))


def test_beit_of_an_oblong_grid_by_its_index():
    module, layer, table, positions = beit(2, 4)
    index = module.generate_relative_position_index((2, 4)).numpy()
    expected = table[index].transpose(2, 0, 1)[None]
    close(array(layer(positions)), expected)
    # the fault of the published module: it transposes the table
    assert np.abs(array(module((2, 4))) - expected).max() > 1.0


@pytest.mark.parametrize("size", [(3, 3), (2, 4)])
def test_swin(size):
    module = models.swin.modeling_swin.SwinRelativePositionBias(3, size)
    randomize(module)
    layer = mm.RelativePositionBias(3, convention="swin", grid=size)
    layer.build((None, 2))
    table = array(module.relative_position_bias_table)
    layer.set_weights([table.reshape(layer.embeddings.shape)])
    close(array(layer(grid_positions(*size))), module())


@pytest.mark.parametrize("heads", [8, 12])
@pytest.mark.parametrize("model", ["bloom", "mpt"])
def test_alibi(model, heads):
    length = 9
    mask = torch.ones(1, length, dtype=torch.int64)
    if model == "mpt":
        module = models.mpt.modeling_mpt
        expected = module.build_mpt_alibi_tensor(heads, length)
    else:
        module = models.bloom.modeling_bloom
        expected = module.build_alibi_tensor(mask, heads, torch.float32)
    expected = array(expected).reshape(heads, 1, length)
    layer = mm.RelativePositionBias(heads, convention="alibi")
    got = array(layer(np.arange(length)))[0]
    # theirs has no queries: it is ours after the softmax of a causal mask
    hidden = np.where(np.tril(np.ones((length, length))), 0.0, -1e9)
    rows, columns = np.tril_indices(length)
    ours, theirs = (
        log_softmax(bias + hidden)[:, rows, columns] for bias in (got, expected)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
