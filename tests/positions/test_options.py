"""Options of a convention, each against its formula in float64."""

import numpy as np
import pytest
from reference import halves, interleaved
from tensors import array

import keras_mmembed as mm


def added(layer, *shape, **call):
    return array(layer(np.zeros(shape, "float32"), **call))


def test_cosine_first():
    layer = mm.PositionEmbedding1D(cosine_first=True)
    sines = interleaved(np.arange(5), 8).reshape(5, 4, 2)
    np.testing.assert_allclose(
        added(layer, 1, 5, 8)[0], sines[..., ::-1].reshape(5, 8), atol=1e-6
    )


@pytest.mark.parametrize("cosine_first", [None, True])
def test_an_odd_width_ends_with_zeros(cosine_first):
    layer = mm.PositionEmbedding1D(convention="whisper", cosine_first=cosine_first)
    expected = halves(np.arange(6), 8, endpoint=True)
    if cosine_first:
        expected = np.roll(expected, 4, axis=1)
    expected = np.pad(expected, ((0, 0), (0, 1)))
    np.testing.assert_allclose(added(layer, 1, 6, 9)[0], expected, atol=1e-6)


def test_order_of_axes():
    rows, columns = np.meshgrid(np.arange(3), np.arange(4), indexing="ij")
    layer = mm.PositionEmbedding2D(convention="mae", axis_order=("height", "width"))
    expected = np.concatenate([halves(rows, 4), halves(columns, 4)], axis=-1)
    np.testing.assert_allclose(added(layer, 1, 3, 4, 8)[0], expected, atol=1e-6)
    layer = mm.PositionEmbedding3D(
        combination="concat", axis_order=("width", "frames", "height")
    )
    positions = np.array([[2, 5, 7], [1, 0, 4]])
    parts = [interleaved(positions[:, axis], 4) for axis in (2, 0, 1)]
    layer.build((None, None, 12))
    got = array(layer.encode(positions))
    np.testing.assert_allclose(got, np.concatenate(parts, axis=-1), atol=1e-6)
    layer = mm.PositionEmbedding3D(axis_order=("frames", "width", "height"))
    layer.build((None, None, 12))
    space = np.concatenate([interleaved(positions[:, a], 6) for a in (2, 1)], axis=-1)
    expected = interleaved(positions[:, 0], 12) + space
    np.testing.assert_allclose(array(layer.encode(positions)), expected, atol=1e-6)


@pytest.mark.parametrize("offset", [2, 0.5])
def test_offset_of_sinusoids(offset):
    layer = mm.PositionEmbedding1D(offset=offset)
    expected = interleaved(np.arange(5) + 3 + offset, 8)
    got = added(layer, 1, 5, 8, start_index=3)[0]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    # positions of a call are what they are
    got = added(layer, 1, 5, 8, positions=np.arange(5))[0]
    np.testing.assert_allclose(got, interleaved(np.arange(5), 8), atol=1e-6)


def test_offset_of_a_table():
    layer = mm.PositionEmbedding1D(7, kind="learned", offset=2)
    got = added(layer, 1, 5, 8)[0]
    np.testing.assert_array_equal(got, array(layer.embeddings)[2:])
    with pytest.raises(ValueError, match="be at most max_length=7"):
        layer(np.zeros((1, 6, 8), "float32"))


def test_half_a_pixel_of_normalized_positions():
    layer = mm.PositionEmbedding2D(convention="detr", offset=0.5)
    rows, columns = np.meshgrid(np.arange(3), np.arange(4), indexing="ij")
    turn = 2 * np.pi
    parts = [(rows + 0.5) / 3 * turn, (columns + 0.5) / 4 * turn]
    vectors = [interleaved(part.ravel(), 4).reshape(3, 4, 4) for part in parts]
    expected = np.concatenate(vectors, axis=-1)
    np.testing.assert_allclose(added(layer, 1, 3, 4, 8)[0], expected, atol=1e-5)


@pytest.mark.parametrize("scale", [50, 0.25])
def test_scale_of_sinusoids(scale):
    layer = mm.PositionEmbedding1D(scale=scale)
    seconds = (np.arange(9) * 0.02).astype("float32")
    expected = interleaved(seconds.astype("float64") * scale, 8)
    got = added(layer, 1, 9, 8, positions=seconds)[0]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    expected = interleaved((np.arange(9) + 2) * scale, 8)
    got = added(layer, 1, 9, 8, start_index=2)[0]
    np.testing.assert_allclose(got, expected, atol=4e-6)


def test_scale_is_exact_for_large_positions():
    layer = mm.PositionEmbedding1D(scale=0.1)
    layer.build((None, None, 8))
    positions = np.array([3, 99_999, 1_000_003])
    got = array(layer.encode(positions))
    np.testing.assert_allclose(got, interleaved(positions * 0.1, 8), atol=4e-6)


def test_scale_of_a_table():
    layer = mm.PositionEmbedding1D(6, kind="learned", interpolation="bilinear", scale=2)
    layer.build((None, None, 8))
    table = array(layer.embeddings)
    got = array(layer.encode(np.array([0.25, 1.0, 2.5])))
    expected = [(table[0] + table[1]) / 2, table[2], table[5]]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    np.testing.assert_allclose(added(layer, 1, 3, 8)[0], table[[0, 2, 4]], atol=1e-6)
    with pytest.raises(ValueError, match=r"lie in \[0, 3.0\)"):
        layer.encode(np.array([3.5]))
    with pytest.raises(ValueError, match=r"at scale=2\.0, or 3, from"):
        layer(np.zeros((1, 4, 8), "float32"))
    clip = mm.PositionEmbedding1D(6, scale=2, out_of_range="clip")
    got = added(clip, 1, 4, 8)[0]
    np.testing.assert_allclose(got, interleaved([0, 2, 4, 5], 8), atol=1e-6)


def test_scale_of_each_axis():
    layer = mm.PositionEmbedding3D(scale=(25, 1, 1))
    layer.build((None, None, 16))
    positions = np.array([[0.04, 2, 3], [1.5, 0, 1]], "float32")
    expected = interleaved(positions[:, 0] * 25.0, 16)
    parts = [interleaved(positions[:, axis], 8) for axis in (1, 2)]
    expected = expected + np.concatenate(parts, axis=-1)
    np.testing.assert_allclose(array(layer.encode(positions)), expected, atol=2e-6)


KINDS = {"frames": "sinusoidal", "height": "learned", "width": "learned"}


@pytest.mark.parametrize("convention", ["transformer", "florence2"])
def test_sinusoids_of_time_and_tables_of_space(convention):
    layer = mm.PositionEmbedding3D(
        None, 3, 4, kind=KINDS, convention=convention, interpolation="bilinear"
    )
    got = added(layer, 1, 2, 3, 4, 8)[0]
    tables = {w.name: array(w) for w in layer.weights}
    if convention == "transformer":
        assert set(tables) == {"height_width_embeddings"}
        space = tables["height_width_embeddings"]
    else:
        assert list(tables) == ["width_embeddings", "height_embeddings"]
        columns, rows = tables.values()
        space = np.concatenate(
            [
                np.broadcast_to(columns, (3, 4, 4)),
                np.broadcast_to(rows[:, None], (3, 4, 4)),
            ],
            axis=-1,
        )
    time = interleaved(np.arange(2), 8)
    expected = space + time[:, None, None]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    again = type(layer).from_config(layer.get_config())
    assert again.kind == ("sinusoidal", "learned", "learned")


def test_kinds_side_by_side():
    layer = mm.PositionEmbedding2D(3, kind=("learned", "sinusoidal"))
    layer.build((None, None, 8))
    positions = np.array([[2, 9], [0, 3]])
    got = array(layer.encode(positions))
    table = array(layer.height_embeddings)
    expected = np.concatenate([table[[2, 0]], interleaved([9, 3], 4)], axis=-1)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert got.shape == (2, 8)


def test_tables_of_space_are_resized_and_those_of_time_go_on():
    layer = mm.PositionEmbedding3D(
        None, 3, 4, kind=KINDS, interpolation="bilinear", out_of_range="resize"
    )
    got = added(layer, 1, 3, 6, 4, 8)[0]
    table = mm.resize_positions(layer.height_width_embeddings, (6, 4), "bilinear")
    expected = table + interleaved(np.arange(3), 8)[:, None, None]
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes_without_an_encoding(axis, kind, flat):
    sizes = (3, 2, 4)
    kinds = tuple(kind if one == axis else None for one in range(3))
    layer = mm.PositionEmbedding3D(*sizes, kind=kinds)
    layer.build((None, None, 8))
    if kind == "learned":
        (table,) = layer.weights
        assert table.name == f"{layer.size_names[axis]}_embeddings"
        assert tuple(table.shape) == (sizes[axis], 8)
        rows = array(table)
    else:
        rows = interleaved(np.arange(sizes[axis]), 8)
    shape = [sizes[axis] if one == axis else 1 for one in range(3)]
    expected = np.broadcast_to(rows.reshape(*shape, 8), (1, *sizes, 8))
    lead = (1, 24) if flat else (1, *sizes)
    got = added(layer, *lead, 8).reshape(1, *sizes, 8)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    positions = np.stack(np.indices(sizes), axis=-1).reshape(24, 3)
    got = array(layer.encode(positions)).reshape(1, *sizes, 8)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_axes_without_an_encoding_beside_others():
    layer = mm.PositionEmbedding3D(
        None,
        2,
        3,
        kind=(None, "learned", "learned"),
        combination="sum",
        interpolation="bilinear",
        out_of_range="resize_longer",
    )
    got = added(layer, 2, 4, 2, 3, 8, start_index=np.array([0, 1]))
    rows, columns = array(layer.height_embeddings), array(layer.width_embeddings)
    expected = np.broadcast_to(rows[:, None] + columns, got.shape)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert added(layer, 1, 1, 5, 2, 8).shape == (1, 1, 5, 2, 8)
    layer = mm.PositionEmbedding2D(kind={"height": None, "width": "sinusoidal"})
    expected = np.broadcast_to(interleaved(np.arange(3), 8), (2, 4, 3, 8))
    got = added(layer, 2, 4, 3, 8, start_index=1)
    np.testing.assert_allclose(got, expected, atol=1e-6)


BLOCKS = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
BLOCKS = np.array(BLOCKS + [(row + 2, column) for row, column in BLOCKS])


@pytest.mark.parametrize("grid", [None, (4, 4), np.array([[4, 4], [2, 4]], "int32")])
def test_tokens_that_come_block_by_block(grid):
    layer = mm.PositionEmbedding2D(4, 4, block_size=2, out_of_range="clip")
    layer.build((None, None, 8))
    expected = np.stack([array(layer.encode(BLOCKS))] * 2)
    if hasattr(grid, "shape"):
        expected[1, 8:] = 0.0
    got = added(layer, 2, 16, 8, grid=grid)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    x = np.zeros((2, 16, 8), "float32")
    positions = array(layer.token_positions(x, grid=(4, 4)))
    np.testing.assert_array_equal(positions, BLOCKS)


def test_frames_of_blocks():
    layer = mm.PositionEmbedding3D(2, 4, 4, block_size=2, num_prefix_tokens=1)
    layer.build((None, None, 8))
    frames = np.repeat([0, 1], 16)[:, None]
    positions = np.concatenate([frames, np.tile(BLOCKS, (2, 1))], axis=1)
    got = added(layer, 1, 33, 8)[0]
    np.testing.assert_array_equal(got[0], 0)
    np.testing.assert_allclose(got[1:], array(layer.encode(positions)), atol=1e-6)
    times = np.array([0.5, 7.0], "float32")
    got = added(layer, 1, 33, 8, positions=times * 0.1)[0, 1:]
    positions = np.concatenate(
        [(times * 0.1)[[0] * 16 + [1] * 16, None], np.tile(BLOCKS, (2, 1))], 1
    )
    np.testing.assert_allclose(got, array(layer.encode(positions)), atol=1e-6)


def test_messages_of_blocks():
    layer = mm.PositionEmbedding2D(block_size=2)
    with pytest.raises(ValueError, match="divisible by block_size=2"):
        added(layer, 1, 12, 8, grid=(3, 4))
    with pytest.raises(ValueError, match="divisible by block_size=2"):
        added(layer, 1, 12, 8, grid=np.array([[3, 4]]))
    with pytest.raises(ValueError, match="be 1 for inputs that have a grid of axes"):
        added(layer, 1, 2, 4, 8)
    with pytest.raises(ValueError, match="be 1 with convention='detr'"):
        mm.PositionEmbedding2D(block_size=2, convention="detr")
    with pytest.raises(ValueError, match="be at least 1"):
        mm.PositionEmbedding2D(block_size=0)
    with pytest.raises(ValueError, match="be 1 for a single axis"):
        mm.PositionEmbedding1D(block_size=2)
