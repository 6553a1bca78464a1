"""What the layers of raw inputs refuse, and how they say it."""

from functools import partial

import keras
import numpy as np
import pytest
from messages import assert_message, call, checks, ids, make, wrong, zeros

import keras_mmembed as mm

PATCH, TUBELET = partial(mm.PatchEmbedding, 4, 8), partial(mm.TubeletEmbedding, 4, 8)
AUDIO = partial(mm.AudioEmbedding, 8)
SIZED = partial(mm.PatchEmbedding, output_dim=8)
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
    wrong(AUDIO, "be at least 16", patch_size=16, remainder="crop", num_mel_bins=12),
    wrong(AUDIO, f"{INTEGER} ('frequency', 'frames')", patch_size=(16, 16, 1)),
    wrong(AUDIO, "be left out without patch_size", strides=10),
    wrong(AUDIO, "be one of 'pad', 'crop'", remainder="error"),
]

IMAGE, WAVE = zeros(2, 8, 8, 3), zeros(2, 800)

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
]


test_constructor = checks(CONSTRUCTORS)
test_eager_call = checks([*CALLS, *VALUES])
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
