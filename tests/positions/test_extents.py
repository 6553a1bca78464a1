"""A padded batch has the encodings of its samples alone, whatever resizes a table."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from tensors import array

import keras_mmembed as mm

ONE, TWO, THREE = (
    mm.PositionEmbedding1D,
    mm.PositionEmbedding2D,
    mm.PositionEmbedding3D,
)
RESIZING = ("resize", "resize_longer")
KERNELS = [
    {"interpolation": "nearest"},
    *[
        {"interpolation": kernel, **option}
        for kernel in ("bilinear", "bicubic")
        for option in ({}, {"antialias": True}, {"align_corners": True})
    ],
]
EXTENTS = {
    1: [(3,), (9,), (5,), (1,)],
    2: [(3, 4), (8, 2), (5, 7), (1, 1)],
    3: [(2, 3, 4), (5, 1, 2), (3, 4, 4)],
}
SIZES = {1: (5,), 2: (5, 4), 3: (3, 4, 4)}
LAYERS = {1: ONE, 2: TWO, 3: THREE}


def layer_of(rank, **options):
    layer = LAYERS[rank](*SIZES[rank], **options)
    layer.build((None, None, 12))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    return layer


def padded(rank, prefix=0):
    """Return inputs, mask and valid extents of samples padded to the largest."""
    extents = EXTENTS[rank]
    largest = np.max(extents, axis=0)
    mask = np.zeros((len(extents), *largest), bool)
    for sample, extent in enumerate(extents):
        mask[(sample, *map(slice, extent))] = True
    if prefix:
        mask = np.concatenate([np.ones((len(mask), prefix), bool), mask], axis=1)
    return np.zeros((*mask.shape, 12), "float32"), mask


def assert_as_alone(layer, outputs, prefix=0):
    rank = len(layer.size_names)
    for sample, extent in enumerate(EXTENTS[rank]):
        shape = (prefix + extent[0], *extent[1:])
        alone = array(layer(np.zeros((1, *shape, 12), "float32")))[0]
        got = outputs[(sample, *map(slice, shape))]
        np.testing.assert_allclose(got, alone, atol=1e-5)


@pytest.mark.parametrize("policy", RESIZING)
@pytest.mark.parametrize("rank", LAYERS)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_learned(rank, kernel, policy):
    layer = layer_of(rank, kind="learned", out_of_range=policy, **kernel)
    x, mask = padded(rank)
    assert_as_alone(layer, array(layer(x, mask=mask)))


@pytest.mark.parametrize("rank, combination", [(2, "concat"), (2, "sum"), (3, "joint")])
def test_tables_of_an_axis_each(rank, combination):
    layer = layer_of(
        rank,
        kind="learned",
        combination=combination,
        interpolation="bilinear",
        out_of_range="resize",
    )
    x, mask = padded(rank)
    assert_as_alone(layer, array(layer(x, mask=mask)))


@pytest.mark.parametrize("policy", RESIZING)
@pytest.mark.parametrize("rank", LAYERS)
@pytest.mark.parametrize("convention", ["transformer", "videomae", "kosmos2"])
def test_sinusoidal(rank, convention, policy):
    layer = layer_of(rank, convention=convention, out_of_range=policy)
    x, mask = padded(rank)
    assert_as_alone(layer, array(layer(x, mask=mask)))


@pytest.mark.parametrize("rank", LAYERS)
@pytest.mark.parametrize("convention", ["videomae", "mocov3"])
def test_conventions_that_count_with_the_size_of_the_grid(rank, convention):
    layer = LAYERS[rank](convention=convention)
    x, mask = padded(rank)
    assert_as_alone(layer, array(layer(x, mask=mask)))


ITEMS = {
    "bicubic": {"kind": "learned", "interpolation": "bicubic"},
    "antialias": {"kind": "learned", "interpolation": "bilinear", "antialias": True},
    "sinusoids": {},
    "detr": {"convention": "detr"},
    "videomae": {"convention": "videomae"},
}


@pytest.mark.parametrize("options", ITEMS.values(), ids=ITEMS)
@pytest.mark.parametrize("rank", [2, 3])
def test_items_one_behind_the_other(rank, options):
    layer = layer_of(rank, out_of_range="resize", **options)
    # the second sample has fewer
    items = EXTENTS[rank]
    grids = np.array([items[:3], [items[0], (0,) * rank, items[1]]])
    cells = grids.prod(axis=-1)
    x = np.zeros((2, cells.sum(axis=1).max() + 1, 12), "float32")
    mask = np.arange(x.shape[1]) < cells.sum(axis=1)[:, None]
    got = array(layer(x, grid=grids, mask=mask))
    assert (got[~mask] == 0).all()
    alone = [
        array(layer(np.zeros((1, *one, 12), "float32"))).reshape(-1, 12)
        for one in items[:3]
    ]
    np.testing.assert_allclose(got[0][mask[0]], np.concatenate(alone), atol=2e-6)
    np.testing.assert_allclose(got[1][mask[1]], np.concatenate(alone[:2]), atol=2e-6)


def test_a_smaller_grid_of_a_convention_that_counts_with_its_rows():
    layer = layer_of(2, convention="mocov3", out_of_range="clip")
    x = np.zeros((1, 3, 4, 12), "float32")
    flat = layer(x.reshape(1, 12, 12), grid=np.array([[3, 4]]))
    got = array(layer(x))[0].reshape(12, 12)
    np.testing.assert_allclose(got, array(flat)[0], atol=2e-6)


def test_prefix_tokens():
    options = {"interpolation": "bilinear", "out_of_range": "resize"}
    layer = layer_of(1, kind="learned", num_prefix_tokens=2, **options)
    x, mask = padded(1, prefix=2)
    assert_as_alone(layer, array(layer(x, mask=mask)), prefix=2)


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
@pytest.mark.parametrize("rank", LAYERS)
def test_a_compiled_model_of_unknown_sizes(rank, kind):
    options = {"interpolation": "bicubic", "antialias": True}
    options = options if kind == "learned" else {}
    layer = layer_of(rank, kind=kind, out_of_range="resize", **options)
    inputs = keras.Input((*[None] * rank, 12))
    mask = keras.Input([None] * rank, dtype="bool")
    model = keras.Model([inputs, mask], layer(inputs, mask=mask))
    assert_as_alone(layer, model.predict(list(padded(rank)), verbose=0))


def test_the_mask_that_keras_passes():
    table = {"kind": "learned", "interpolation": "bilinear", "out_of_range": "resize"}
    layer = layer_of(1, **table)
    embedding = keras.layers.Embedding(9, 12, mask_zero=True)
    ids = np.array([[4, 5, 6, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7]], "int32")
    batch = array(layer(embedding(ids)))
    alone = array(layer(embedding(ids[:1, :3])))
    np.testing.assert_allclose(batch[0, :3], alone[0], atol=1e-6)


def test_gradients_of_padding_are_finite():
    options = {"interpolation": "bilinear", "antialias": True}
    layer = layer_of(2, kind="learned", out_of_range="resize", **options)
    inputs, mask = keras.Input((None, None, 12)), keras.Input((None, None), dtype=bool)
    model = keras.Model([inputs, mask], layer(inputs, mask=mask))
    model.compile("sgd", "mse")
    x, mask = padded(2)
    assert np.isfinite(model.train_on_batch([x, mask], x))
    assert np.isfinite(array(layer.embeddings)).all()


@pytest.mark.parametrize("grid_of", ["each sample", "all"])
def test_a_grid_comes_before_the_mask(grid_of):
    options = {"interpolation": "bilinear", "out_of_range": "resize"}
    layer = layer_of(2, kind="learned", **options)
    grids = [(3, 4), (2, 2)] if grid_of == "each sample" else [(3, 4)] * 2
    grid = np.array(grids) if grid_of == "each sample" else grids[0]
    got = array(layer(np.zeros((2, 12, 12)), grid=grid, mask=np.ones((2, 12), bool)))
    for sample, (height, width) in enumerate(grids):
        alone = array(layer(np.zeros((1, height, width, 12))))
        alone = alone.reshape(-1, 12)
        np.testing.assert_allclose(got[sample, : len(alone)], alone, atol=1e-6)


@pytest.mark.parametrize("length", [3, 5, 8])
@pytest.mark.parametrize("policy", RESIZING)
@pytest.mark.parametrize("rank", LAYERS)
def test_what_resizing_means(rank, policy, length):
    layer = layer_of(
        rank, kind="learned", combination=None, out_of_range=policy,
        interpolation="bilinear",
    )  # fmt: skip
    shape = (length, *SIZES[rank][1:])
    got = array(layer(np.zeros((1, *shape, 12))))[0]
    whole = array(layer(np.zeros((1, *SIZES[rank], 12))))[0]
    if policy == "resize_longer" and length <= SIZES[rank][0]:
        expected = whole[:length]
    else:
        expected = mm.resize_positions(
            whole.reshape(SIZES[rank][0], -1), [length], "bilinear"
        )
    np.testing.assert_allclose(got, expected.reshape(got.shape), atol=1e-5)


@pytest.mark.parametrize("as_array", [int, np.array])
def test_tokens_before_the_start_belong_to_the_extent(as_array):
    options = {"interpolation": "bilinear", "out_of_range": "resize_longer"}
    layer = layer_of(1, kind="learned", **options)
    whole = array(layer(np.zeros((1, 8, 12))))
    last = array(layer(np.zeros((1, 2, 12)), start_index=as_array(6)))
    np.testing.assert_allclose(last, whole[:, 6:], atol=1e-5)


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
@pytest.mark.parametrize("compiled", [False, True])
def test_grids_without_tokens(kind, compiled):
    options = {"interpolation": "bilinear"} if kind == "learned" else {}
    layer = layer_of(2, kind=kind, out_of_range="resize", **options)
    grid = np.array(list(itertools.product((0, 2), (0, 2))), "int32")
    x = np.zeros((4, 4, 12), "float32")
    if compiled:
        inputs = keras.Input((None, 12)), keras.Input((2,), dtype="int32")
        model = keras.Model(inputs, layer(inputs[0], grid=inputs[1]))
        got = model.predict([x, grid], verbose=0)
    else:
        got = array(layer(x, grid=grid))
    assert not got[:3].any()
    alone = array(layer(x[3:].reshape(1, 2, 2, 12)))
    np.testing.assert_allclose(got[3:], alone.reshape(1, 4, 12), atol=1e-6)


@pytest.mark.parametrize("convention", ["detr", "kosmos2", "transformer"])
@pytest.mark.parametrize("policy", ["error", "resize"])
def test_no_tokens_with_a_mask(convention, policy):
    layer = ONE(5, convention=convention, out_of_range=policy)
    for shape in ((2, 0, 12), (0, 3, 12), (0, 0, 12)):
        x, mask = np.zeros(shape, "float32"), np.ones(shape[:2], bool)
        assert ops.shape(layer(x, mask=mask)) == shape
