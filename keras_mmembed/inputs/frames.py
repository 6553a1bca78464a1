"""Frames of waveforms: their number, their padding mask and their features."""

from keras import ops

from keras_mmembed.common.types import Tensor
from keras_mmembed.inputs import spectrogram, windows
from keras_mmembed.inputs.spectrogram import AudioRemainder, SpectrogramConvention


class Frames:
    """Frames of one length and stride, as log-mel spectrograms.

    Args:
        rules: The convention.
        sampling_rate: Samples per second.
        length: Samples per frame.
        stride: Samples from one frame to the next.
        num_mel_bins: Number of mel bins.
        remainder: `"pad"` fills the last frame with zeros, `"crop"` leaves it out.
    """

    def __init__(
        self,
        rules: SpectrogramConvention,
        sampling_rate: int,
        length: int,
        stride: int,
        num_mel_bins: int,
        remainder: AudioRemainder,
    ) -> None:
        self.rules: SpectrogramConvention = rules
        self.length: int = length
        self.stride: int = stride
        self.remainder: AudioRemainder = remainder
        self.reach: int = spectrogram.frame_reach(rules, length, stride)
        fft_length = spectrogram.fft_length(rules, length)
        self._filters = spectrogram.mel_filters(
            rules, num_mel_bins, fft_length, sampling_rate
        )

    @property
    def num_empty_bins(self) -> int:
        """Number of mel bins that lie between two frequencies of the spectrum."""
        return int((~(self._filters > 0).any(axis=0)).sum())

    def count(self, samples: int | None) -> int | None:
        """Return the number of frames, `None` if that of samples is unknown."""
        return windows.count_windows(samples, self.reach, self.stride, self.remainder)

    def num_samples(self, frames: int) -> int:
        """Return the number of samples of a number of frames."""
        return (frames - 1) * self.stride + self.reach

    def valid(self, mask: Tensor) -> Tensor:
        """Return the padding mask of the frames from that of the samples."""
        return windows.valid_windows(
            mask, (self.reach,), (self.stride,), self.remainder
        )

    def log_mel(self, waveforms: Tensor, mask: Tensor = None) -> tuple[Tensor, Tensor]:
        """Return the log-mel spectrogram and the padding mask of its frames.

        Shapes:
            waveforms: `(batch, samples)`.
            mask: `(batch, samples)`, lengths `(batch,)`, or `None`.
            result: `(batch, frames, mel bins)`, and `(batch, frames)` or `None`.
        """
        valid = None
        if mask is not None:
            mask = windows.grid_mask(mask, waveforms)
            waveforms = ops.where(mask, waveforms, ops.zeros_like(waveforms))
            valid = self.valid(mask)
        frames = spectrogram.cut_frames(
            self.rules, waveforms, self.length, self.stride, self.remainder
        )
        return spectrogram.log_mel(self.rules, frames, self._filters, valid), valid
