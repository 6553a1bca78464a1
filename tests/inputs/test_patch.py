"""Patches and tubelets against the formula, and what must not change them."""

import keras
import numpy as np
import pytest
import reference
from keras import ops
from messages import in_a_compiled_step
from tensors import array, normal

import keras_mmembed as mm

LAYERS = {
    "image": (mm.PatchEmbedding, (4, 3), (9, 8), [(8, 6), (5, 8), (0, 0)]),
    "video": (mm.TubeletEmbedding, (2, 4, 3), (5, 9, 8), [(2, 8, 3), (5, 4, 8)]),
}


@pytest.mark.parametrize("remainder", ["crop", "pad"])
@pytest.mark.parametrize("overlap", [0, 1])
@pytest.mark.parametrize("kind", LAYERS)
def test_formula(kind, overlap, remainder):
    layer_class, patch, grid, _ = LAYERS[kind]
    strides = tuple(size - overlap for size in patch)
    layer = layer_class(patch, 5, strides=strides, remainder=remainder)
    x = normal(2, *grid, 3)
    got = array(layer(x))
    kernel, bias = (array(w) for w in layer.projection.weights)
    values = reference.patches(x, patch, strides, remainder)
    np.testing.assert_allclose(got, values @ kernel + bias, atol=1e-5)


def padded(x, padding):
    return np.pad(x, [(0, 0), *[(size, size) for size in padding], (0, 0)])


@pytest.mark.parametrize("kind", LAYERS)
def test_padding_on_both_sides(kind):
    layer_class, patch, grid, sizes = LAYERS[kind]
    padding = tuple(size // 2 for size in patch)
    layer = layer_class(patch, 5, strides=2, padding=padding, remainder="crop")
    x = normal(len(sizes), *grid, 3)
    valid = np.zeros(x.shape[:-1], bool)
    for sample, size in enumerate(sizes):
        valid[(sample, *(slice(n) for n in size))] = True
    outputs = layer(x)
    kernel, bias = (array(w) for w in layer.projection.weights)
    strides = (2,) * len(patch)
    values = reference.patches(padded(x, padding), patch, strides, "crop")
    np.testing.assert_allclose(array(outputs), values @ kernel + bias, atol=1e-5)
    assert layer.compute_output_shape(x.shape) == tuple(outputs.shape)
    x[~valid] = np.nan
    for given in (valid, np.array(sizes, "int32")):
        outputs = layer(x, mask=given)
        mask = ops.convert_to_numpy(outputs._keras_mask)
        for sample, size in enumerate(sizes):
            alone = padded(x[(sample, *map(slice, size))][None], padding)
            values = reference.patches(alone, patch, strides, "crop")[0]
            here = tuple(slice(n) for n in values.shape[:-1])
            got = array(outputs)[sample][here]
            np.testing.assert_allclose(got, values @ kernel + bias, atol=1e-5)
            expected = np.zeros(mask.shape[1:], bool)
            expected[here] = True
            np.testing.assert_array_equal(mask[sample], expected)


def test_padding_at_any_size():
    layer = mm.PatchEmbedding(3, 5, strides=2, padding=1)
    x = keras.Input((None, None, 3))
    assert layer(x).shape == (None, None, None, 5)
    model = keras.Model(x, layer(x))
    for size in (1, 3, 7):
        shape = model.predict(np.zeros((1, size, size, 3)), verbose=0).shape
        assert shape == layer.compute_output_shape((1, size, size, 3))
        assert shape[1] == (size + 1) // 2


@pytest.mark.parametrize(
    "options, rule",
    [
        ({"padding": 4}, "be smaller than patch_size"),
        ({"padding": -1}, "be at least 0"),
        ({"padding": (1,)}, "be an integer, or have one for each"),
        ({"padding": 1, "remainder": "pad"}, "be 0 with remainder='pad'"),
    ],
)
def test_messages_of_padding(options, rule):
    with pytest.raises(ValueError, match=rule):
        mm.PatchEmbedding(4, 5, **options)
    with pytest.raises(ValueError, match="be 2 plus a multiple of 4"):
        mm.PatchEmbedding(4, 5, padding=1)(normal(1, 8, 8, 3))


@pytest.mark.parametrize("kind", LAYERS)
def test_order_of_the_axes(kind):
    layer_class, patch, grid, _ = LAYERS[kind]
    last = layer_class(patch, 5, remainder="pad", data_format="channels_last")
    first = layer_class(patch, 5, remainder="pad", data_format="channels_first")
    x = normal(2, *grid, 3)
    expected = array(last(x))
    first.build((None, 3, *grid))
    first.set_weights(last.get_weights())
    np.testing.assert_array_equal(array(first(np.moveaxis(x, -1, 1))), expected)


def test_a_kernel_of_a_convolution_has_the_same_order():
    layer = mm.PatchEmbedding((4, 3), 5)
    x, kernel = normal(2, 8, 9, 2), normal(4, 3, 2, 5)
    layer.build(x.shape)
    layer.projection.kernel.assign(kernel.reshape(-1, 5))
    expected = ops.conv(x, kernel, strides=(4, 3), data_format="channels_last")
    np.testing.assert_allclose(array(layer(x)), array(expected), atol=1e-5)


@pytest.mark.parametrize("remainder", ["crop", "pad"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_sample_of_a_batch_comes_out_as_it_would_alone(kind, remainder):
    layer_class, patch, grid, sizes = LAYERS[kind]
    layer = layer_class(patch, 5, strides=2, remainder=remainder)
    x = normal(len(sizes), *grid, 3)
    valid = np.zeros(x.shape[:-1], bool)
    for sample, size in enumerate(sizes):
        valid[(sample, *(slice(n) for n in size))] = True
    x[~valid] = np.nan
    outputs = layer(x, mask=np.array(sizes, "int32"))
    mask = ops.convert_to_numpy(outputs._keras_mask)
    assert np.isfinite(array(outputs)).all()
    for sample, size in enumerate(sizes):
        crop = tuple(slice(n) for n in size)
        values = x[(sample, *crop)][None]
        values = reference.patches(values, patch, (2,) * len(patch), remainder)[0]
        counts = values.shape[:-1]
        expected = np.zeros(mask.shape[1:], bool)
        expected[tuple(slice(n) for n in counts)] = True
        np.testing.assert_array_equal(mask[sample], expected)
        kernel, bias = (array(w) for w in layer.projection.weights)
        got = array(outputs)[sample][expected].reshape(*counts, 5)
        np.testing.assert_allclose(got, values @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_a_mask_of_pixels_and_one_that_is_attached(dtype):
    layer = mm.PatchEmbedding(4, 5)
    x = normal(2, 8, 8, 3)
    sizes = np.array([[8, 4], [4, 8]], "int32")
    expected = layer(x, mask=sizes)
    pixels = np.zeros((2, 8, 8), dtype)
    pixels[0, :, :4] = pixels[1, :4] = 1
    for outputs in (
        layer(x, mask=pixels),
        layer(keras.layers.Masking(0.0)(x * (pixels != 0)[..., None])),
    ):
        np.testing.assert_array_equal(array(outputs), array(expected))
        np.testing.assert_array_equal(
            array(outputs._keras_mask), array(expected._keras_mask)
        )
    np.testing.assert_array_equal(
        array(layer.compute_mask(x, pixels)), array(expected._keras_mask)
    )


@pytest.mark.parametrize("remainder, count", [("crop", 0), ("pad", 4)])
def test_patches_that_are_partly_valid(remainder, count):
    layer = mm.PatchEmbedding(4, 5, remainder=remainder)
    pixels = np.ones((1, 8, 8), bool)
    pixels[:, 2::4, 2::4] = False
    mask = layer(normal(1, 8, 8, 3), mask=pixels)._keras_mask
    assert array(mask).sum() == count


def test_without_a_mask_there_is_none():
    outputs = mm.PatchEmbedding(4, 5, remainder="pad")(normal(1, 5, 5, 3))
    assert getattr(outputs, "_keras_mask", None) is None


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_integers_are_cast_and_not_scaled(dtype):
    layer = mm.PatchEmbedding(4, 5)
    x = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(dtype)
    np.testing.assert_array_equal(array(layer(x)), array(layer(x.astype("float32"))))


@pytest.mark.parametrize("remainder", ["error", "crop", "pad"])
def test_static_shapes(remainder):
    layer = mm.PatchEmbedding((4, 3), 5, strides=2, remainder=remainder)
    shape = layer(keras.Input((8, None, 3))).shape
    assert shape == (None, 3 if remainder != "pad" else 4, None, 5)
    for size in range(4, 12, 2 if remainder == "error" else 1):
        shape = layer.compute_output_shape((1, size, 3, 3))
        expected = reference.patches(
            np.zeros((1, size, 3, 1)), (4, 3), (2, 2), remainder
        )
        assert shape[:-1] == expected.shape[:-1]


def test_a_functional_model_at_any_size():
    images = keras.Input((None, None, 3), dtype="uint8")
    layer = mm.PatchEmbedding(4, 5, remainder="pad")
    model = keras.Model(images, layer(images))
    for size in (5, 8):
        x = np.full((2, size, 7, 3), 7, "uint8")
        expected = array(layer(x))
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)


def test_a_size_that_only_a_compiled_step_knows_warns_and_crops():
    images = keras.Input((None, None, 3))
    model = keras.Model(images, mm.PatchEmbedding(4, 5)(images))
    x = normal(1, 9, 8, 3)
    rule = "`height` must be a multiple of 4"
    outputs = in_a_compiled_step(model, x, rule, "only what is whole")
    if outputs is not None:
        expected = model.predict(x[:, :8], verbose=0)
        np.testing.assert_allclose(outputs, expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`:UserWarning")
def test_quantised_to_int8():
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, mm.PatchEmbedding(4, 16)(images))
    x = normal(4, 8, 8, 3)
    expected = model.predict(x, verbose=0)
    model.quantize("int8")
    got = model.predict(x, verbose=0)
    assert (got != expected).any()
    # steps of 1/127 of the largest input and of the largest weight
    assert np.abs(got - expected).max() < 0.05 * np.abs(expected).max()
