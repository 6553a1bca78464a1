"""Log-mel spectrograms of waveforms: published conventions, and pure functions."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.types import Tensor
from keras_mmembed.inputs import windows

AudioConvention: TypeAlias = Literal["ast", "whisper"]
AudioRemainder: TypeAlias = Literal["pad", "crop"]
AUDIO_REMAINDERS: tuple[AudioRemainder, ...] = get_args(AudioRemainder)
MelScale: TypeAlias = Literal["htk", "slaney"]


@dataclass(frozen=True)
class SpectrogramConvention:
    """The rules of one published log-mel spectrogram.

    Attributes:
        mel_scale: `"htk"`, with filters that are triangles on the mel scale; or
            `"slaney"`, with filters of one area that are triangles in hertz.
        min_frequency: Begin of the first filter, in hertz; the last one ends at half
            the sampling rate.
        is_centered: Whether frame `t` is centered at sample `t frame_stride`, with the
            begin of the waveform mirrored; else it begins there.
        is_periodic: Whether the Hann window is periodic, else symmetric.
        preemphasis: Coefficient of the pre-emphasis filter, which follows the removal
            of the mean of a frame; `None` for neither.
        is_padded: Whether frames are padded to a power of two.
        log: Base of the logarithm.
        floor: Smallest value of which the logarithm is taken.
        dynamic_range: Largest distance of a value from the maximum of its sample, or
            `None`.
        shift: Added to the logarithm.
        scale: Divides the sum.
    """

    mel_scale: MelScale
    min_frequency: float
    is_centered: bool
    is_periodic: bool
    preemphasis: float | None
    is_padded: bool
    log: Literal["e", "10"]
    floor: float
    dynamic_range: float | None
    shift: float
    scale: float


CONVENTIONS: dict[AudioConvention, SpectrogramConvention] = {
    "ast": SpectrogramConvention(
        mel_scale="htk",
        min_frequency=20.0,
        is_centered=False,
        is_periodic=False,
        preemphasis=0.97,
        is_padded=True,
        log="e",
        floor=2.0**-23,
        dynamic_range=None,
        shift=4.2677393,
        scale=2 * 4.5689974,
    ),
    "whisper": SpectrogramConvention(
        mel_scale="slaney",
        min_frequency=0.0,
        is_centered=True,
        is_periodic=True,
        preemphasis=None,
        is_padded=False,
        log="10",
        floor=1e-10,
        dynamic_range=8.0,
        shift=4.0,
        scale=4.0,
    ),
}


def fft_length(rules: SpectrogramConvention, frame_length: int) -> int:
    """Return the length of the Fourier transform of a frame."""
    return 1 << (frame_length - 1).bit_length() if rules.is_padded else frame_length


def mel_filters(
    rules: SpectrogramConvention, num_mel_bins: int, length: int, sampling_rate: int
) -> np.ndarray:
    """Return the weight of each frequency in each mel bin, `(frequencies, mel bins)`.

    Args:
        rules: The convention.
        num_mel_bins: Number of mel bins.
        length: Length of the Fourier transform.
        sampling_rate: Samples per second.
    """
    frequencies = np.linspace(0, sampling_rate / 2, length // 2 + 1)
    first, last = _mel(
        np.array([rules.min_frequency, sampling_rate / 2]), rules.mel_scale
    )
    edges = np.linspace(first, last, num_mel_bins + 2)
    if rules.mel_scale == "htk":
        frequencies = _mel(frequencies, "htk")
    else:
        edges = _hertz_of_slaney(edges)
    below, peak, above = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequencies[:, None] - below) / (peak - below)
    falling = (above - frequencies[:, None]) / (above - peak)
    filters = np.maximum(np.minimum(rising, falling), 0)
    return filters if rules.mel_scale == "htk" else filters * 2 / (above - below)


def frame_reach(
    rules: SpectrogramConvention, frame_length: int, frame_stride: int
) -> int:
    """Return the number of samples that a frame must have to be counted."""
    return frame_stride if rules.is_centered else frame_length


def cut_frames(
    rules: SpectrogramConvention,
    waveforms: Tensor,
    frame_length: int,
    frame_stride: int,
    remainder: AudioRemainder,
) -> Tensor:
    """Return the frames of waveforms, `(batch, frames, frame_length)`."""
    reach = frame_reach(rules, frame_length, frame_stride)
    number = windows.count_along(waveforms, 1, reach, frame_stride, remainder)
    if rules.is_centered:
        half = frame_length // 2
        enough = ops.pad(waveforms, ((0, 0), (0, half)))
        mirrored = ops.flip(enough[:, 1 : half + 1], axis=1)
        waveforms = ops.concatenate([mirrored, waveforms], axis=1)
    return windows.cut_windows(waveforms, 1, frame_length, frame_stride, number)


def log_mel(
    rules: SpectrogramConvention,
    frames: Tensor,
    filters: np.ndarray,
    valid: Tensor = None,
) -> Tensor:
    """Return the log-mel spectrogram of frames.

    Shapes:
        frames: `(batch, frames, frame_length)`.
        filters: `(frequencies, mel bins)`.
        valid: `(batch, frames)`, bool; `None` if all frames are.
        result: `(batch, frames, mel bins)`.
    """
    length = frames.shape[-1]
    if rules.preemphasis is not None:
        frames = frames - ops.mean(frames, axis=-1, keepdims=True)
        before = ops.concatenate([frames[..., :1], frames[..., :-1]], axis=-1)
        frames = frames - rules.preemphasis * before
    steps = np.arange(length) / (length if rules.is_periodic else length - 1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * steps)
    frames = frames * ops.convert_to_tensor(window, dtype=frames.dtype)
    power = _power(frames, fft_length(rules, length))
    mel = ops.matmul(power, ops.convert_to_tensor(filters, dtype=frames.dtype))
    values = ops.log(ops.maximum(mel, rules.floor))
    unit = np.log(10.0) if rules.log == "10" else 1.0
    values = values / float(unit)
    if rules.dynamic_range is not None:
        lowest = float(np.log(rules.floor) / unit)
        considered = values
        if valid is not None:
            considered = ops.where(ops.expand_dims(valid, -1), values, lowest)
        top = ops.max(considered, axis=(1, 2), keepdims=True, initial=lowest)
        values = ops.maximum(values, top - rules.dynamic_range)
    return (values + rules.shift) / rules.scale


def _power(frames: Tensor, length: int) -> Tensor:
    """Return the power of each frequency, `(batch, frames, frequencies)`."""
    if 0 in checks.known_shape(frames.shape):
        # not every backend transforms nothing
        shape = (frames.shape[-1], length // 2 + 1)
        return ops.matmul(frames, ops.zeros(shape, dtype=frames.dtype))
    # not as a matrix product, which accelerators round to 11 bits: a mel bin may be
    # a millionth of its neighbour
    real, imaginary = ops.rfft(frames, length)
    return ops.square(real) + ops.square(imaginary)


def _mel(hertz: np.ndarray, scale: MelScale) -> np.ndarray:
    if scale == "htk":
        return 2595 * np.log10(1 + hertz / 700)
    # linear up to 1000 hertz, which are 15 mel; then 27 mel for a factor of 6.4
    beyond = 15 + np.log(np.maximum(hertz, 1000) / 1000) * 27 / np.log(6.4)
    return np.where(hertz < 1000, hertz * 3 / 200, beyond)


def _hertz_of_slaney(mel: np.ndarray) -> np.ndarray:
    beyond = 1000 * np.exp((mel - 15) * np.log(6.4) / 27)
    return np.where(mel < 15, mel * 200 / 3, beyond)
