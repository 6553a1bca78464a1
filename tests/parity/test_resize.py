"""Every resize kernel against torch.nn.functional.interpolate, and timm."""

import keras
import numpy as np
import pytest
from keras import ops
from timm_layers import timm_layer

import keras_mmembed as mm

torch = pytest.importorskip("torch")

KERNELS = [
    ("nearest", False, False),
    ("bilinear", False, False),
    ("bilinear", True, False),
    ("bilinear", False, True),
    ("bicubic", False, False),
    ("bicubic", True, False),
    ("bicubic", False, True),
]
SIZES = [
    ((14, 14), (16, 16)),
    ((14, 14), (7, 21)),
    ((2, 8), (4, 4)),
    ((5, 3), (1, 1)),
    ((1, 4), (3, 9)),
    ((24, 24), (5, 37)),
]


def interpolate(table, sizes, kernel):
    mode, antialias, align_corners = kernel
    options = {} if mode == "nearest" else {"align_corners": align_corners}
    if antialias:
        options["antialias"] = True
    native = torch.tensor(table).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(native, sizes, mode=mode, **options)
    return resized[0].permute(1, 2, 0).numpy()


def table_of(size, width=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(*size, width)).astype("float32")


@pytest.mark.parametrize("old, new", SIZES)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_resize_positions(kernel, old, new):
    mode, antialias, align_corners = kernel
    table = table_of(old)
    got = mm.resize_positions(
        table, new, mode, antialias=antialias, align_corners=align_corners
    )
    np.testing.assert_allclose(got, interpolate(table, new, kernel), atol=1e-5)


def resizing_layer(kernel):
    mode, antialias, align_corners = kernel
    return mm.PositionEmbedding2D(
        5,
        7,
        kind="learned",
        interpolation=mode,
        antialias=antialias,
        align_corners=align_corners,
        out_of_range="resize",
    )


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_layer_at_sizes_that_only_the_step_knows(kernel):
    inputs = keras.Input((None, None, 6))
    layer = resizing_layer(kernel)
    model = keras.Model(inputs, layer(inputs))
    table = table_of((5, 7))
    layer.embeddings.assign(table)
    for size in ((5, 7), (3, 4), (8, 5), (7, 5)):
        got = model.predict(np.zeros((1, *size, 6), "float32"), verbose=0)[0]
        np.testing.assert_allclose(got, interpolate(table, size, kernel), atol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.embeddings), table)


@pytest.mark.parametrize("kernel", KERNELS[:6], ids=str)
def test_a_grid_for_each_sample(kernel):
    layer = resizing_layer(kernel)
    layer.build((None, None, 6))
    table = table_of((5, 7))
    layer.embeddings.assign(table)
    grids = np.array([[5, 7], [3, 4], [8, 4], [1, 35]], "int32")
    got = ops.convert_to_numpy(layer(np.zeros((4, 35, 6), "float32"), grid=grids))
    for sample, grid in enumerate(grids):
        expected = interpolate(table, tuple(grid.tolist()), kernel).reshape(-1, 6)
        count = len(expected)
        np.testing.assert_allclose(got[sample, :count], expected, atol=1e-5)
        assert not got[sample, count:].any()


def test_timm_default():
    table = np.random.default_rng(0).normal(size=(1, 1 + 49, 6)).astype("float32")
    expected = timm_layer("pos_embed").resample_abs_pos_embed(
        torch.tensor(table), [5, 9], old_size=[7, 7], num_prefix_tokens=1
    )
    got = mm.resize_positions(
        table[0], (5, 9), "bicubic", antialias=True, grid=(7, 7), num_prefix_tokens=1
    )
    np.testing.assert_allclose(got, expected[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("length", [3, 9, 20])
def test_sequences(length):
    table = table_of((9,))
    native = torch.tensor(table).T[None]
    expected = torch.nn.functional.interpolate(native, length, mode="linear")
    got = mm.resize_positions(table, (length,), "bilinear")
    np.testing.assert_allclose(got, expected[0].T.numpy(), atol=1e-5)
