"""The frames of waveforms: how many there are, which are valid, and their features."""

from keras import ops

from keras_mmembed.inputs import spectrogram, windows


class Frames:
    """Frames of one length and stride, and their values in bands of frequency.

    Args:
        rules: The convention, as in `_spectrogram.CONVENTIONS`.
        sampling_rate: Samples in a second.
        length: Samples in a frame.
        stride: Samples from one frame to the next.
        num_mel_bins: Number of bands.
        remainder: What becomes of samples that fill no whole frame, `"pad"` or
            `"crop"`.
    """

    def __init__(self, rules, sampling_rate, length, stride, num_mel_bins, remainder):
        self.rules, self.length, self.stride = rules, length, stride
        self.remainder = remainder
        self.reach = spectrogram.frame_reach(rules, length, stride)
        fft_length = spectrogram.fft_length(rules, length)
        self._filters = spectrogram.mel_filters(
            rules, num_mel_bins, fft_length, sampling_rate
        )

    def count(self, samples):
        """Return how many frames there are, `None` if `samples` is."""
        return windows.count_windows(samples, self.reach, self.stride, self.remainder)

    def samples_of(self, frames):
        """Return how many samples that many frames reach over."""
        return (frames - 1) * self.stride + self.reach

    def valid(self, mask):
        """Return which frames are valid, from which samples are."""
        return windows.valid_windows(
            mask, (self.reach,), (self.stride,), self.remainder
        )

    def log_mel(self, waveforms, mask=None):
        """Return the log-mel values of frames, and which frames are valid or `None`.

        Shapes:
            waveforms: `(batch, samples)`.
            mask: `(batch, samples)` or lengths `(batch,)`, or `None`.
            result: `(batch, frames, bands)` and `(batch, frames)`.
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
