"""What the layers of raw inputs refuse, and how they say it."""

from functools import partial

import keras
import numpy as np
import pytest
from messages import assert_message, call, checks, flags, ids, make, wrong, zeros
from tensors import array

import keras_mmembed as mm

PATCH, TUBELET = partial(mm.PatchEmbedding, 4, 8), partial(mm.TubeletEmbedding, 4, 8)
AUDIO = partial(mm.AudioEmbedding, 8)
SIZED = partial(mm.PatchEmbedding, output_dim=8)
INITIALIZER = "be the name, the configuration or an instance of an initializer"
NO_ARGUMENT = "be left out: it is no argument"
FEW_EMPTY = "leave few bands without a frequency of the spectrum"
NUMBERS = "be numbers, as an array, a tensor or lists of one length"
INTEGER = "be an integer, or have one for each of"

CONSTRUCTORS = [
    wrong(SIZED, f"{INTEGER} ('height', 'width')", patch_size=(4, 4, 4)),
    wrong(SIZED, "be at least 1", "0", patch_size=(4, 0)),
    wrong(mm.PatchEmbedding, "be an integer", patch_size=4, output_dim=None),
    wrong(
        partial(mm.TubeletEmbedding, (2, 4, 4), 8),
        "be at most patch_size=(2, 4, 4), so that nothing is left out",
        "(4, 4, 4)",
        strides=4,
    ),
    wrong(PATCH, "be one of 'error', 'pad', 'crop'", remainder="same"),
    wrong(PATCH, "be one of 'channels_last', 'channels_first'", data_format="NCHW"),
    wrong(PATCH, "be True or False", use_bias="no"),
    wrong(TUBELET, "be True or False", use_bias=None),
    wrong(AUDIO, "be True or False", use_bias=1),
    wrong(PATCH, INITIALIZER, kernel_initializer="nope"),
    wrong(TUBELET, INITIALIZER, kernel_initializer=3),
    wrong(AUDIO, INITIALIZER, kernel_initializer="nope"),
    wrong(PATCH, NO_ARGUMENT, patch=1),
    wrong(TUBELET, NO_ARGUMENT, patch=1),
    wrong(AUDIO, NO_ARGUMENT, autocast=True),
    make(TUBELET().build, (None, 8, 8, 8, 0)).says(
        "inputs.shape", "have at least 1 channel", "(None, 8, 8, 8, 0)"
    ),
    make(PATCH().build, (None, 8, 8, None)).says(
        "inputs.shape", "have a known number of channels", "(None, 8, 8, None)"
    ),
    wrong(AUDIO, "be one of 'ast', 'whisper'", convention="kaldi"),
    wrong(AUDIO, "be an integer", sampling_rate=16e3),
    wrong(
        AUDIO,
        "be at most frame_length=400, so that nothing is left out",
        frame_stride=500,
    ),
    wrong(AUDIO, "be at least 1", num_mel_bins=0),
    wrong(AUDIO, FEW_EMPTY, num_mel_bins=256),
    wrong(partial(AUDIO, convention="whisper"), FEW_EMPTY, num_mel_bins=256),
    wrong(AUDIO, "be greater than 40, for bands from 20 hertz on", sampling_rate=30),
    wrong(AUDIO, "be at least 16", patch_size=16, remainder="crop", num_mel_bins=12),
    wrong(AUDIO, f"{INTEGER} ('frequency', 'frames')", patch_size=(16, 16, 1)),
    wrong(AUDIO, "be left out without patch_size", strides=10),
    wrong(AUDIO, "be one of 'pad', 'crop'", remainder="error"),
]

IMAGE, CLIP, WAVE = zeros(2, 8, 8, 3), zeros(2, 8, 8, 8, 3), zeros(2, 800)
# a layer, and an input of it
LAYERS = [(PATCH(), IMAGE), (TUBELET(), CLIP), (AUDIO(), WAVE)]

CALLS = [
    call(PATCH(), zeros(2, 8, 8)).says(
        "inputs.shape", "be (batch, height, width, channels)", "(2, 8, 8)"
    ),
    call(TUBELET(data_format="channels_first"), zeros(2, 3, 8, 8)).says(
        "inputs.shape", "be (batch, channels, frames, height, width)", "(2, 3, 8, 8)"
    ),
    call(PATCH(), zeros(2, 8, 9, 3)).says("width", "be a multiple of 4", "9"),
    call(PATCH(strides=3), zeros(2, 7, 8, 3)).says(
        "width", "be 4 plus a multiple of 3", "8"
    ),
    call(TUBELET(remainder="crop"), zeros(2, 3, 8, 8, 3)).says(
        "frames", "be at least 4", "3"
    ),
    call(PATCH(), IMAGE, mask=ids(2, 8)).says(
        "mask.shape",
        "be (2, 8, 8), or (2, 2) for the sizes ('height', 'width') of each sample",
        "(2, 8)",
    ),
    call(AUDIO(), zeros(2, 800, 2)).says(
        "inputs.shape", "be (batch, samples), of one channel", "(2, 800, 2)"
    ),
    call(AUDIO(remainder="crop"), zeros(2, 399)).says(
        "samples", "be at least 400", "399"
    ),
    call(
        AUDIO(remainder="crop", convention="whisper", patch_size=4), zeros(2, 639)
    ).says("samples", "be at least 640", "639"),
    call(AUDIO(), WAVE, mask=ids(3)).says(
        "mask.shape",
        "be (2, 800), or (2,) for the sizes ('samples',) of each sample",
        "(3,)",
    ),
    *[
        call(layer, x.astype(dtype)).says("inputs.dtype", "be an integer or", dtype)
        for layer, x in LAYERS
        for dtype in ("bool", "complex64")
    ],
    call(PATCH(), zeros(2, 8, 8, 0)).says(
        "inputs.shape", "have at least 1 channel", "(2, 8, 8, 0)"
    ),
    call(PATCH(), IMAGE, mask=zeros(2, 2)).says("mask.dtype", "be integer", "float32"),
    call(TUBELET(), CLIP, mask=flags(2, 3)).says("mask.dtype", "be integer", "bool"),
    call(AUDIO(), WAVE, mask=flags(2)).says("mask.dtype", "be integer", "bool"),
    call(AUDIO(), WAVE, mask=zeros(2)).says("mask.dtype", "be integer", "float32"),
    call(PATCH(), IMAGE, mask=flags(2, 8, 8, 1)).says("mask.shape", "be", "(2, 8, 8,"),
    call(PATCH(), IMAGE, mask=ids(3, 2)).says("mask.shape", "be", "(3, 2)"),
    call(PATCH(), IMAGE, mask=np.zeros((2, 8, 8), "complex64")).says(
        "mask.dtype", "be bool or a number", "complex64"
    ),
]
NO_TENSORS = [
    *[
        call(layer, value).says("inputs", NUMBERS, repr(value))
        for layer, _ in LAYERS
        for value in (None, "a", [[1.0], [1.0, 2.0]])
    ],
    *[
        call(layer, np.array(["a"])).says("inputs", NUMBERS, "array(['a']")
        for layer, _ in LAYERS
    ],
    *[
        call(layer, [x[0], x[1]]).says("inputs", NUMBERS, "a list. pad_batch")
        for layer, x in LAYERS
    ],
    *[
        call(layer, x, mask="mask").says("mask", NUMBERS, "'mask'")
        for layer, x in LAYERS
    ],
    make(AUDIO().log_mel, None).says("inputs", NUMBERS, "None"),
    make(AUDIO().log_mel, WAVE, ["a"]).says("mask", NUMBERS, "['a']"),
]
VALUES = [
    # what only values tell; symbolic tensors do not have them
    call(PATCH(), IMAGE, mask=np.array([[8, 4], [6, 8]])).says(
        "height", "be a multiple of 4", "6"
    ),
    call(
        PATCH(remainder="pad"), zeros(2, 8, 12, 3), mask=np.array([[8, 4], [12, 8]])
    ).says("mask (height)", "lie in [0, 9)", "12"),
    call(AUDIO(), WAVE, mask=np.array([800, 801])).says(
        "mask (samples)", "lie in [0, 801)", "801"
    ),
    call(AUDIO(), WAVE, mask=[800, -1]).says("mask (samples)", "lie in [0, 801)", "-1"),
    call(TUBELET(), CLIP, mask=np.array([[8, 8, 8], [8, -4, 8]])).says(
        "mask (height)", "lie in [0, 9)", "-4"
    ),
    call(PATCH(), IMAGE, mask=zeros(2, 8, 8) + np.nan).says("mask", "hold no NaN", "n"),
]


test_constructor = checks(CONSTRUCTORS)
test_eager_call = checks([*CALLS, *VALUES, *NO_TENSORS])
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_another_number_of_channels(data_format):
    layer = PATCH(data_format=data_format)
    layer.build((None, 8, 8, 8))
    for inputs in (zeros(2, 4, 4, 4), keras.Input(batch_shape=(2, 4, 4, 4))):
        with pytest.raises(ValueError) as error:
            layer(inputs)
        rule = "have 8 channels, as in the first call"
        assert_message(error, "inputs.shape", rule, "(2, 4, 4, 4)")
        assert f"The data_format is '{data_format}'." in str(error.value)


@pytest.mark.parametrize("layer, x", LAYERS, ids=["image", "clip", "wave"])
def test_strings_in_a_functional_model(layer, x):
    with pytest.raises(TypeError) as error:
        layer(keras.Input(batch_shape=x.shape, dtype="string"))
    assert_message(error, "inputs.dtype", "be an integer or a float", "string")


def test_lists_of_numbers_are_arrays():
    layer, image = PATCH(), np.ones((1, 4, 4, 1), "float32")
    by_lists = layer(image.tolist(), mask=[[4, 4]])
    expected = layer(image, mask=np.array([[4, 4]]))
    np.testing.assert_array_equal(array(by_lists), array(expected))


def test_the_published_bands_have_their_frequencies():
    for options in ({}, {"convention": "whisper"}):
        for bins in (80, 128):
            mm.AudioEmbedding(8, num_mel_bins=bins, **options)
