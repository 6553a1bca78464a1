"""Positions as a grid of coordinates, as a list of tokens, or as times of frames."""

import keras
import numpy as np
import pytest
from tensors import array

import keras_mmembed as mm

TIMES = np.array([0.0, 0.5, 2.0, 2.25], "float32")
SIZES = (4, 2, 3)
GRID = np.stack(np.meshgrid(TIMES, range(2), range(3), indexing="ij"), axis=-1)
GRID = GRID.astype("float32")
LIST = GRID.reshape(24, 3)
FORMS = [GRID, LIST, TIMES]
ONE_SAMPLE = [form[None] for form in FORMS]


def clip(layer, **call):
    return array(layer(np.zeros((2, *SIZES, 12), "float32"), **call))


def flat(layer, **call):
    return array(layer(np.zeros((2, 24, 12), "float32"), **call))


@pytest.mark.parametrize("positions", [*FORMS, *ONE_SAMPLE], ids=lambda p: str(p.shape))
@pytest.mark.parametrize("learned", [False, True])
def test_a_clip_takes_every_form(positions, learned):
    options = {"kind": "learned", "interpolation": "bilinear"} if learned else {}
    layer = mm.PositionEmbedding3D(*SIZES, **options)
    layer.build((None, None, 12))
    expected = np.broadcast_to(array(layer.encode(GRID)), (2, *SIZES, 12))
    np.testing.assert_allclose(clip(layer, positions=positions), expected, atol=1e-6)
    got = flat(layer, positions=positions)
    np.testing.assert_allclose(got, expected.reshape(2, 24, 12), atol=1e-6)
    both = np.concatenate([positions, positions]) if positions.shape[0] == 1 else None
    if both is not None:
        np.testing.assert_allclose(clip(layer, positions=both), expected, atol=1e-6)
        got = flat(layer, positions=both)
        np.testing.assert_allclose(got, expected.reshape(2, 24, 12), atol=1e-6)


def test_times_of_each_sample():
    layer = mm.PositionEmbedding3D()
    times = np.stack([TIMES, TIMES[::-1]])
    each = [clip(layer, positions=one)[0] for one in times]
    np.testing.assert_allclose(clip(layer, positions=times), each, atol=1e-6)
    got = flat(layer, positions=times, grid=SIZES)
    np.testing.assert_allclose(got.reshape(2, *SIZES, 12), each, atol=1e-6)


def test_an_image_takes_a_list_and_a_grid():
    layer = mm.PositionEmbedding2D()
    grid = GRID[0, ..., 1:] * 1.5
    x = np.zeros((2, 2, 3, 8), "float32")
    expected = array(layer(x, positions=grid))
    for positions in (grid.reshape(6, 2), np.stack([grid.reshape(6, 2)] * 2)):
        np.testing.assert_array_equal(array(layer(x, positions=positions)), expected)
    got = array(layer(x.reshape(2, 6, 8), positions=grid))
    np.testing.assert_array_equal(got, expected.reshape(2, 6, 8))


def test_tables_of_space_are_resized_beside_times():
    layer = mm.PositionEmbedding3D(
        6, 4, 4, kind="learned", interpolation="bilinear", out_of_range="resize"
    )
    got = clip(layer, positions=TIMES)[0]
    space = mm.resize_positions(layer.height_width_embeddings, (2, 3), "bilinear")
    table = array(layer.frames_embeddings)
    time = [table[0], (table[0] + table[1]) / 2, table[2]]
    time.append(table[2] * 0.75 + table[3] * 0.25)
    expected = space + np.stack(time)[:, None, None]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_frames_in_seconds():
    layer = mm.PositionEmbedding3D(scale=(4, 1, 1))
    counted = clip(mm.PositionEmbedding3D())
    got = clip(layer, positions=np.arange(4) / 4)
    np.testing.assert_allclose(got, counted, atol=1e-6)


@pytest.mark.parametrize("sizes", [SIZES, (None, None, None), (3, None, None)])
def test_times_in_a_functional_model(sizes):
    layer = mm.PositionEmbedding3D()
    x = keras.Input((*sizes, 12))
    times = keras.Input((sizes[0],))
    model = keras.Model([x, times], layer(x, positions=times))
    frames = sizes[0] or 3
    values = np.zeros((2, frames, 2, 3, 12), "float32")
    both = np.stack([TIMES, TIMES[::-1]])[:, :frames]
    expected = array(layer(values, positions=both))
    got = model.predict([values, both], verbose=0)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_coordinates_of_times_are_kept():
    layer = mm.PositionEmbedding3D()
    x = np.zeros((2, *SIZES, 12), "float32")
    got = array(layer.token_positions(x, positions=TIMES))
    np.testing.assert_allclose(got.reshape(*SIZES, 3), GRID)


@pytest.mark.parametrize(
    "call, rule",
    [
        ({"positions": TIMES[:3]}, "have a time for each of the 4 frames"),
        ({"positions": TIMES, "start_index": 1}, "be 0 beside `positions`"),
        (
            {"positions": LIST[:20]},
            r"end with the axes of the tokens, \(4, 2, 3\) and 3",
        ),
    ],
)
def test_messages(call, rule):
    layer = mm.PositionEmbedding3D(*SIZES)
    with pytest.raises(ValueError, match=rule):
        clip(layer, **call)


def test_messages_of_times():
    with pytest.raises(ValueError, match="convention='videomae' counts with all axes"):
        clip(mm.PositionEmbedding3D(*SIZES, convention="videomae"), positions=TIMES)
    table = mm.PositionEmbedding3D(*SIZES, kind="learned")
    with pytest.raises(TypeError, match="read without interpolation"):
        clip(table, positions=TIMES)
    assert clip(table, positions=np.arange(4)).shape == (2, *SIZES, 12)
    with pytest.raises(ValueError, match=r"lie in \[0, 4\)"):
        clip(table, positions=np.arange(4) + 1)
