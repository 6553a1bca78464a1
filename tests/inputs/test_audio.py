"""Log-mel features against the formula, and what must not change them."""

import keras
import numpy as np
import pytest
import reference
from keras import ops
from tensors import array, normal

import keras_mmembed as mm

SMALL = {"frame_length": 40, "frame_stride": 16, "num_mel_bins": 9}


def sounds(*lengths, samples=200):
    """Tones under noise, in which bands differ by six orders of magnitude."""
    rng = np.random.default_rng(0)
    time = np.arange(samples)
    tones = [np.sin(2 * np.pi * time / (5 + 6 * i)) for i in range(len(lengths))]
    return np.array(
        [0.5 * tone + 3e-3 * rng.normal(size=samples) for tone in tones], "float32"
    )


def count(convention, samples, remainder):
    if remainder == "pad":
        return int(np.ceil(samples / 16))
    return samples // 16 if convention == "whisper" else (samples - 40) // 16 + 1


def expected_features(wave, convention, remainder):
    frames = count(convention, len(wave), remainder)
    return reference.log_mel(wave, convention, 40, 16, 9, 16000, frames)


both_conventions = pytest.mark.parametrize("convention", ["ast", "whisper"])
both_remainders = pytest.mark.parametrize("remainder", ["crop", "pad"])


@both_remainders
@both_conventions
def test_formula(convention, remainder):
    layer = mm.AudioEmbedding(8, convention=convention, remainder=remainder, **SMALL)
    wave = sounds(1)
    layer.build(wave.shape)
    expected = expected_features(wave[0], convention, remainder)
    np.testing.assert_allclose(array(layer.log_mel(wave))[0], expected, atol=2e-5)
    kernel, bias = (array(w) for w in layer.projection.weights)
    outputs = array(layer(wave))[0]
    np.testing.assert_allclose(outputs, expected @ kernel + bias, atol=5e-5)


@both_remainders
def test_formula_of_patches(remainder):
    layer = mm.AudioEmbedding(
        8, patch_size=(4, 3), strides=2, remainder=remainder, **SMALL
    )
    wave = sounds(1)
    outputs = array(layer(wave))
    bands = expected_features(wave[0], "ast", remainder).T[None, ..., None]
    values = reference.patches(bands, (4, 3), (2, 2), remainder)
    kernel, bias = (array(w) for w in layer.patches.projection.weights)
    np.testing.assert_allclose(outputs, values @ kernel + bias, atol=5e-5)


@pytest.mark.parametrize("patch_size", [None, (9, 3)])
@both_remainders
@both_conventions
def test_a_sample_of_a_batch_comes_out_as_it_would_alone(
    convention, remainder, patch_size
):
    lengths = (200, 137, 24, 0)
    layer = mm.AudioEmbedding(
        8, convention=convention, remainder=remainder, patch_size=patch_size, **SMALL
    )
    waves = sounds(*lengths)
    for wave, length in zip(waves, lengths, strict=True):
        wave[length:] = np.nan
    mask = np.array(lengths, "int32")
    features = array(layer.log_mel(waves, mask))
    outputs = layer(waves, mask=mask)
    valid = ops.convert_to_numpy(outputs._keras_mask)
    part = layer.patches if patch_size else layer
    kernel, bias = (array(w) for w in part.projection.weights)
    assert np.isfinite(array(outputs)).all()
    for sample, length in enumerate(lengths):
        frames = max(count(convention, length, remainder), 0)
        if frames:
            alone = expected_features(waves[sample, :length], convention, remainder)
            got = features[sample, :frames]
            np.testing.assert_allclose(got, alone, atol=2e-5)
        tokens = frames
        if patch_size:
            tokens = -(-frames // 3) if remainder == "pad" else frames // 3
        rows = valid[sample][0] if patch_size else valid[sample]
        np.testing.assert_array_equal(rows, np.arange(len(rows)) < tokens)
        if tokens:
            if patch_size:
                bands = alone.T[None, ..., None]
                alone = reference.patches(bands, (9, 3), (9, 3), remainder)[0, 0]
            got = array(outputs)[sample][0] if patch_size else array(outputs)[sample]
            expected = alone @ kernel + bias
            np.testing.assert_allclose(got[:tokens], expected, atol=5e-5)


def test_a_click_after_the_last_whole_frame_is_not_heard():
    layer = mm.AudioEmbedding(8, convention="whisper", remainder="crop", **SMALL)
    wave = sounds(1)
    wave[:, 133:137] = 1e5  # seen by frame 8 alone, which 137 samples do not fill
    got = array(layer.log_mel(wave, np.array([137], "int32")))[0, :8]
    expected = expected_features(wave[0, :137], "whisper", "crop")
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_lengths_and_a_mask_of_samples_are_the_same():
    layer = mm.AudioEmbedding(8, **SMALL)
    waves = sounds(1, 1)
    samples = np.arange(200) < np.array([[200], [90]])
    by_lengths = layer(waves, mask=np.array([200, 90], "int32"))
    by_samples = layer(waves, mask=samples)
    np.testing.assert_array_equal(array(by_samples), array(by_lengths))
    in_a_list = layer(waves, mask=[200, 90])
    np.testing.assert_array_equal(array(in_a_list), array(by_lengths))
    mask = array(by_lengths._keras_mask)
    np.testing.assert_array_equal(array(by_samples._keras_mask), mask)
    np.testing.assert_array_equal(array(layer.compute_mask(waves, samples)), mask)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_features_do_not_know_of_half_precision(dtype):
    # six orders of magnitude, which half precision does not have
    wave = sounds(1)
    exact = mm.AudioEmbedding(8, **SMALL).log_mel(wave)
    half = mm.AudioEmbedding(8, dtype=dtype, **SMALL)
    features = half.log_mel(wave)
    assert keras.backend.standardize_dtype(features.dtype) == "float32"
    np.testing.assert_array_equal(array(features), array(exact))
    assert keras.backend.standardize_dtype(half(wave).dtype) == half.compute_dtype


def test_integers_are_cast_and_not_scaled():
    layer = mm.AudioEmbedding(8, **SMALL)
    samples = (sounds(1) * 2**15).astype("int16")
    floats = samples.astype("float32")
    np.testing.assert_array_equal(array(layer(samples)), array(layer(floats)))


@pytest.mark.parametrize("rate, bins", [(16000, 128), (8000, 20)])
def test_filters_of_ast_are_those_of_keras(rate, bins):
    filters = reference.mel_filters("ast", 512, bins, rate)
    of_keras = keras.layers.MelSpectrogram().linear_to_mel_weight_matrix(
        bins, 257, rate, 20.0, rate / 2
    )
    np.testing.assert_allclose(filters, array(of_keras).T, atol=2e-5)
    layer = mm.AudioEmbedding(
        8, num_mel_bins=bins, sampling_rate=rate, remainder="crop"
    )
    wave = normal(1, 600)
    expected = reference.log_mel(wave[0], "ast", 400, 160, bins, rate, 2)
    np.testing.assert_allclose(array(layer.log_mel(wave))[0], expected, atol=2e-5)


@both_remainders
@both_conventions
def test_static_shapes(convention, remainder):
    options = {"convention": convention, "remainder": remainder, **SMALL}
    layer = mm.AudioEmbedding(8, **options)
    for samples in range(40, 75):
        frames = count(convention, samples, remainder)
        assert layer.compute_output_shape((2, samples)) == (2, frames, 8)
    patches = mm.AudioEmbedding(8, patch_size=4, strides=(4, 2), **options)
    rows = 3 if remainder == "pad" else 2
    assert patches(keras.Input((None,))).shape == (None, rows, None, 8)


def test_a_waveform_shorter_than_a_frame_is_padded_to_one():
    layer = mm.AudioEmbedding(8, **SMALL)
    wave = sounds(1, samples=11)
    padded = np.pad(wave, ((0, 0), (0, 29)))
    np.testing.assert_allclose(
        array(layer.log_mel(wave)), array(layer.log_mel(padded))[:, :1], atol=1e-6
    )


def test_a_functional_model_at_any_length():
    waves, lengths = keras.Input((None,)), keras.Input((), dtype="int32")
    layer = mm.AudioEmbedding(8, patch_size=(9, 2), **SMALL)
    model = keras.Model([waves, lengths], layer(waves, mask=lengths))
    x = sounds(1, 1)
    expected = model.predict([x, np.array([200, 50], "int32")], verbose=0)
    np.testing.assert_allclose(
        expected, array(layer(x, mask=np.array([200, 50], "int32"))), atol=1e-5
    )
    short = model.predict([x[1:, :50], np.array([50], "int32")], verbose=0)
    assert short.shape == (1, 1, 2, 8)
    np.testing.assert_allclose(short[0], expected[1, :, :2], atol=1e-5)
