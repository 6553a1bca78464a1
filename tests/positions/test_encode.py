"""`encode`: the vectors that a call adds, from values of one meaning."""

import keras
import numpy as np
import pytest
from tensors import array

import keras_mmembed as mm

RNG = np.random.default_rng(0)
LEARNED = {"kind": "learned", "interpolation": "bilinear"}
POSITIONS = {
    1: RNG.integers(0, 6, (2, 5)),
    2: RNG.integers(0, 4, (2, 5, 2)),
    3: RNG.integers(0, 3, (2, 5, 3)),
}
LAYERS = [
    (1, lambda: mm.PositionEmbedding1D()),
    (1, lambda: mm.PositionEmbedding1D(6, **LEARNED)),
    (1, lambda: mm.PositionEmbedding1D(4, out_of_range="zero", **LEARNED)),
    (1, lambda: mm.PositionEmbedding1D(convention="kosmos2")),
    (2, lambda: mm.PositionEmbedding2D(convention="mae")),
    (2, lambda: mm.PositionEmbedding2D(4, 4, convention="detr")),
    (2, lambda: mm.PositionEmbedding2D(4, 5, convention="mocov3")),
    (2, lambda: mm.PositionEmbedding2D(4, 4, combination="sum", **LEARNED)),
    (3, lambda: mm.PositionEmbedding3D()),
    (3, lambda: mm.PositionEmbedding3D(3, 3, 3, **LEARNED)),
]


def added(layer, *values, **call):
    """Return what a call adds, and build the layer."""
    x = np.zeros((2, 5, 16), "float32")
    return array(layer(x, *values, **call))


@pytest.mark.parametrize("scale", [1, 0.4])
@pytest.mark.parametrize("rank, make", LAYERS)
def test_positions(rank, make, scale):
    layer, positions = make(), POSITIONS[rank]
    positions = (positions * scale).astype("int32" if scale == 1 else "float32")
    layer.build((None, None, 16))
    got = layer.encode(positions)
    assert tuple(got.shape) == (2, 5, 16)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    np.testing.assert_allclose(array(got), added(layer, positions), atol=1e-6)
    one = layer.encode(positions[0])
    np.testing.assert_allclose(array(one), added(layer, positions[0])[0], atol=1e-6)


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
@pytest.mark.parametrize("combination", ["sum", "concat"])
def test_boxes(kind, combination):
    layer = mm.BoxEmbedding(
        kind=kind, combination=combination, num_positions=9, coordinate_width=3
    )
    layer.build((None, None, 16))
    boxes = np.sort(RNG.integers(0, 9, (2, 5, 2, 2)), axis=2).reshape(2, 5, 4)
    np.testing.assert_allclose(
        array(layer.encode(boxes)), added(layer, boxes), atol=1e-6
    )
    assert tuple(layer.encode(boxes[0]).shape) == (5, 16)


def test_modalities_and_segments():
    ids = RNG.integers(0, 2, (2, 5)).astype("int32")
    modality, segment = mm.ModalityEmbedding(["a", "b"]), mm.SegmentEmbedding(2)
    modality.build((None, None, 16))
    segment.build((None, None, 16))
    got = array(modality.encode(ids - 1))
    np.testing.assert_array_equal(got, added(modality, modality_ids=ids - 1))
    np.testing.assert_array_equal(
        np.broadcast_to(array(modality.encode("b")), (2, 5, 16)),
        added(modality, modality="b"),
    )
    np.testing.assert_array_equal(array(segment.encode(ids)), added(segment, ids))


@pytest.mark.parametrize(
    "layer, values",
    [
        (mm.PositionEmbedding2D(), np.zeros((3, 2))),
        (mm.BoxEmbedding(), np.zeros((3, 4), "int32")),
        (mm.ModalityEmbedding(["a"]), "a"),
        (mm.SegmentEmbedding(2), np.zeros(3, "int32")),
    ],
)
def test_a_layer_that_is_not_built_says_so(layer, values):
    with pytest.raises(ValueError, match=r"`built` must be True.*build"):
        layer.encode(values)


def test_positions_without_an_axis_of_coordinates():
    layer = mm.PositionEmbedding2D()
    layer.build((None, None, 16))
    with pytest.raises(ValueError, match="last axis of 2"):
        layer.encode(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="must be the positions to encode"):
        layer.encode(None)
    layer = mm.PositionEmbedding1D(4, kind="learned")
    layer.build((None, None, 16))
    with pytest.raises(ValueError, match=r"lie in \[0, 4\)"):
        layer.encode([0, 4])
