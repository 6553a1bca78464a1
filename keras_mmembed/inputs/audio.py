"""The layer that embeds frames or patches of the spectrogram of a waveform."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import keras
from keras import initializers, ops

from keras_mmembed.common import call_arguments, checks, tensors
from keras_mmembed.common.calls import clear_calls
from keras_mmembed.common.describe import describe
from keras_mmembed.common.mask_layers import AttachMask
from keras_mmembed.common.tensors import float32_or_better
from keras_mmembed.common.types import (
    Config,
    Initializer,
    LayerArguments,
    Shape,
    Tensor,
)
from keras_mmembed.inputs import checks as window_checks
from keras_mmembed.inputs import windows
from keras_mmembed.inputs.frames import Frames
from keras_mmembed.inputs.patch import PatchEmbedding
from keras_mmembed.inputs.spectrogram import (
    AUDIO_REMAINDERS,
    CONVENTIONS,
    AudioConvention,
    AudioRemainder,
)

WHO = "AudioEmbedding"
AXES = ("frequency", "frames")


@keras.saving.register_keras_serializable(package="keras_mmembed")
@clear_calls
class AudioEmbedding(keras.layers.Layer):
    """Turns waveforms into the features of their frames, or of patches of them.

    A waveform becomes a log-mel spectrogram, the power of each frame in bands of
    frequency on a logarithmic scale, and a linear projection of its frames, or of
    patches of several bands and frames:

        mel[t] = |FFT(window * waveform[t frame_stride : ... + frame_length])|^2 filters
        features[t] = (log(max(mel[t], floor)) + shift) / scale
        outputs[t] = features[t] kernel + bias

    Shapes:
        inputs: `(batch, samples)`, float or integer.
        mask: `(batch,)` lengths in samples, or `(batch, samples)`.
        features: `(batch, frames, num_mel_bins)`, which `log_mel` returns.
        outputs: `(batch, frames, output_dim)`; with `patch_size`
            `(batch, rows, columns, output_dim)`, frequency by time; compute dtype.
        kernel: `(num_mel_bins, output_dim)`, trainable; with `patch_size` that of a
            `PatchEmbedding` of one channel.
        bias: `(output_dim,)`, trainable.

    Args:
        output_dim: Width of the outputs.
        convention: Whose spectrogram: `"ast"` (default), that of Kaldi with a
            logarithm of base e, scaled for AudioSet; or `"whisper"`, with frames
            centered at multiples of `frame_stride`, a logarithm of base 10, and
            values at most 8 below the maximum.
        sampling_rate: Samples per second. Defaults to 16000.
        frame_length: Samples per frame (`sequence_length` of
            `keras.layers.MelSpectrogram`). Defaults to 400, or 25 ms.
        frame_stride: Samples from one frame to the next. Defaults to 160, or 10 ms.
        num_mel_bins: Number of mel bins, of which at most one in a hundred may lie
            between two frequencies of the spectrum. Defaults to 128.
        patch_size: Mel bins and frames of a patch; an integer, or two. Defaults to
            `None`, outputs of single frames.
        strides: Distance between neighbouring patches, an integer, or two. Defaults to
            `None`, the patch size.
        remainder: Treatment of samples that fill no whole frame, and of frames that
            fill no whole patch: `"pad"` (default), they are padded with zeros, so that
            a frame begins at every multiple of `frame_stride`; `"crop"`, they are left
            out.
        use_bias: Whether to add a bias. Defaults to `True`.
        kernel_initializer: Initializer of the kernel. Defaults to `"glorot_uniform"`.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Waveforms of one channel. Both conventions are made for values from -1
            to 1; integers are cast but not scaled.
        mask: Lengths, or valid samples, for waveforms that are padded to one length.
            Defaults to `None`, all samples.

    Masking: with a mask, the outputs carry the mask of their frames or patches. The
    features of a waveform do not depend on its padding: samples beyond its end are
    zero, and a frame is valid if with `"pad"` it begins before the end, else if it
    ends before.

    Precision: the features are computed in float32 and rounded once, the projection in
    the compute dtype.

    Raises:
        ValueError: if an argument is not as said above, or if with `"crop"` the
            waveforms are shorter than a frame or patch.

    Example:
    Overlapping patches of a second and of less, and 100 tokens of single frames:

    >>> import numpy as np
    >>> from keras_mmembed import AudioEmbedding
    >>> waveforms = np.random.default_rng(0).normal(size=(2, 16000))
    >>> layer = AudioEmbedding(64, patch_size=16, strides=10, remainder="crop")
    >>> tuple(layer(waveforms, mask=np.array([16000, 9000])).shape)
    (2, 12, 9, 64)
    >>> layer = AudioEmbedding(64, convention="whisper", num_mel_bins=80)
    >>> layer.compute_output_shape(waveforms.shape)
    (2, 100, 64)

    References:
        Y. Gong et al., "AST: Audio Spectrogram Transformer", 2021, section 2.1,
        https://arxiv.org/abs/2104.01778.
        A. Radford et al., "Robust Speech Recognition via Large-Scale Weak
        Supervision", 2022, section 2.2, https://arxiv.org/abs/2212.04356. Without its
        convolutions; samples beyond the end are zero, as in its padding to 30 s.
    """

    def __init__(
        self,
        output_dim: int,
        *,
        convention: AudioConvention = "ast",
        sampling_rate: int = 16000,
        frame_length: int = 400,
        frame_stride: int = 160,
        num_mel_bins: int = 128,
        patch_size: int | Sequence[int] | None = None,
        strides: int | Sequence[int] | None = None,
        remainder: AudioRemainder = "pad",
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        # the spectrogram is computed in float32
        options = checks.layer_options(WHO, kwargs)
        super().__init__(autocast=False, **options)
        self.supports_masking = True
        self.output_dim: int = checks.check_integer(WHO, "output_dim", output_dim)
        self.convention: AudioConvention = checks.check_choice(
            WHO, "convention", convention, tuple(CONVENTIONS)
        )
        self.sampling_rate: int = checks.check_integer(
            WHO, "sampling_rate", sampling_rate
        )
        self.frame_length: int = checks.check_integer(
            WHO, "frame_length", frame_length, 2
        )
        self.frame_stride: int = checks.check_integer(WHO, "frame_stride", frame_stride)
        rule = f"be at most frame_length={frame_length}, so that nothing is left out"
        fits = frame_stride <= frame_length
        checks.check(fits, WHO, "frame_stride", rule, frame_stride)
        self.num_mel_bins: int = checks.check_integer(WHO, "num_mel_bins", num_mel_bins)
        self.remainder: AudioRemainder = checks.check_choice(
            WHO, "remainder", remainder, AUDIO_REMAINDERS
        )
        self.use_bias: bool = checks.check_flag(WHO, "use_bias", use_bias)
        self.kernel_initializer: Initializer = checks.check_initializer(
            WHO, "kernel_initializer", kernel_initializer
        )
        self.patch_size: tuple[int, ...] | None = None
        self.strides: tuple[int, ...] | None = None
        self._check_patches(patch_size, strides)
        self._make_sublayers()
        rules = CONVENTIONS[self.convention]
        lowest = 2 * rules.min_frequency
        rule = f"be greater than {lowest:g}, for bands from {lowest / 2:g} hertz on"
        fits = self.sampling_rate > lowest
        checks.check(fits, WHO, "sampling_rate", rule, sampling_rate)
        self._frames: Frames = Frames(
            rules,
            self.sampling_rate,
            self.frame_length,
            self.frame_stride,
            self.num_mel_bins,
            self.remainder,
        )
        rule = "leave few bands without a frequency of the spectrum"
        empty = self._frames.num_empty_bins
        remedy = (
            f"{empty} bands would be the same for every sound. Lower it, or raise "
            f"`frame_length`, which is {frame_length}."
        )
        fits = empty * 100 <= self.num_mel_bins  # "ast" itself has one
        checks.check(fits, WHO, "num_mel_bins", rule, num_mel_bins, remedy)

    def _check_patches(
        self,
        patch_size: int | Sequence[int] | None,
        strides: int | Sequence[int] | None,
    ) -> None:
        if patch_size is None:
            rule = "be left out without patch_size"
            checks.check(strides is None, WHO, "strides", rule, strides)
            return
        sizes = window_checks.check_axes(WHO, "patch_size", patch_size, AXES)
        distances = window_checks.check_strides(WHO, strides, sizes, AXES)
        bins, size, stride = self.num_mel_bins, sizes[0], distances[0]
        window_checks.check_size(
            WHO, "num_mel_bins", bins, size, stride, self.remainder
        )
        self.patch_size, self.strides = sizes, distances

    def _make_sublayers(self) -> None:
        if self.patch_size is None:
            self.projection: keras.layers.Dense = keras.layers.Dense(
                self.output_dim,
                use_bias=self.use_bias,
                kernel_initializer=self.kernel_initializer,
                dtype=self.dtype_policy,
                name="projection",
            )
            self.attach_mask: AttachMask = AttachMask(dtype=self.dtype_policy)
        else:
            self.patches: PatchEmbedding = PatchEmbedding(
                self.patch_size,
                self.output_dim,
                strides=self.strides,
                remainder=self.remainder,
                data_format="channels_last",
                use_bias=self.use_bias,
                kernel_initializer=self.kernel_initializer,
                dtype=self.dtype_policy,
                name="patches",
            )

    def build(self, inputs_shape: Shape) -> None:
        if self.patch_size is None:
            self.projection.build((None, None, self.num_mel_bins))
        else:
            self.patches.build((None, self.num_mel_bins, None, 1))
        self.built = True

    if TYPE_CHECKING:

        def __call__(self, inputs: Tensor, mask: Tensor = None) -> Tensor: ...

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            args, kwargs = call_arguments.standardize(
                WHO, args, kwargs, optional=("mask",)
            )
            return super().__call__(*args, **kwargs)

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        features, valid = self._log_mel(inputs, mask)
        if self.patch_size is None:
            outputs = self.projection(ops.cast(features, self.compute_dtype))
            return outputs if valid is None else self.attach_mask([outputs, valid])
        spectrogram = ops.transpose(features, (0, 2, 1))
        mask = _spectrogram_mask(valid, spectrogram)
        return self.patches(ops.expand_dims(spectrogram, -1), mask=mask)

    def log_mel(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return the log-mel spectrogram before the projection, in float32.

        Args:
            inputs: Waveforms, `(batch, samples)`.
            mask: Lengths `(batch,)`, or valid samples `(batch, samples)`. Defaults to
                `None`, all samples.

        Returns:
            `(batch, frames, num_mel_bins)`.
        """
        inputs = call_arguments.as_array(WHO, "inputs", inputs)
        if mask is not None:
            mask = call_arguments.as_array(WHO, "mask", mask)
        return self._log_mel(ops.convert_to_tensor(inputs), mask)[0]

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Tensor:
        if previous_mask is None or isinstance(inputs, keras.KerasTensor):
            return None  # a model finds the mask that the call attaches
        mask = windows.grid_mask(previous_mask, ops.convert_to_tensor(inputs))
        valid = self._frames.valid(mask)
        if self.patch_size is None:
            return valid
        valid = ops.repeat(ops.expand_dims(valid, 1), self.num_mel_bins, axis=1)
        return self.patches.compute_mask(ops.expand_dims(valid, -1), valid)

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        batch, samples = self._check_rank(inputs_shape)
        self._check_length(samples)
        frames = self._frames.count(samples)
        if self.patch_size is None:
            return (batch, frames, self.output_dim)
        return self.patches.compute_output_shape((batch, self.num_mel_bins, frames, 1))

    def compute_output_spec(
        self, inputs: Tensor, mask: Tensor = None
    ) -> keras.KerasTensor:
        self._check_structure(inputs, mask)
        shape = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        names = (
            "output_dim",
            "convention",
            "sampling_rate",
            "frame_length",
            "frame_stride",
            "num_mel_bins",
            "remainder",
            "use_bias",
        )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "patch_size": list(self.patch_size) if self.patch_size else None,
            "strides": list(self.strides) if self.strides else None,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
        }

    def __repr__(self) -> str:
        return describe(self)

    def _log_mel(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-mel spectrogram, and the mask of its frames or `None`."""
        mask = None if mask is None else ops.convert_to_tensor(mask)
        self._check_call(inputs, mask)
        dtype = float32_or_better(self.compute_dtype)
        return self._frames.log_mel(ops.cast(inputs, dtype), mask)

    def _check_rank(self, shape: Shape) -> Shape:
        shape = checks.known_shape(shape)
        axes = "(batch, samples), of one channel"
        checks.check_rank(WHO, "inputs.shape", shape, (2,), axes)
        return shape

    def _check_structure(self, inputs: Tensor, mask: Tensor) -> Shape:
        """Return the shape of the inputs; raise for wrong axes."""
        tensors.check_kind(WHO, "inputs", inputs, "number", "Cast them to floats.")
        shape = self._check_rank(inputs.shape)
        window_checks.check_mask(WHO, mask, shape, ("samples",))
        return shape

    def _check_call(self, inputs: Tensor, mask: Tensor) -> None:
        shape = self._check_structure(inputs, mask)
        window_checks.check_values(
            WHO,
            inputs,
            mask,
            shape,
            ("samples",),
            lambda sizes: self._check_length(*sizes),
            lambda sizes: None,
        )

    def _check_length(self, samples: int | None) -> None:
        frames = self.patch_size[1] if self.patch_size else 1
        least = self._frames.num_samples(frames)
        window_checks.check_size(
            WHO, "samples", samples, least, self.frame_stride, self.remainder
        )


def _spectrogram_mask(valid: Tensor, spectrogram: Tensor) -> Tensor:
    """Return the mask of frames with the axes of a spectrogram.

    Shapes:
        valid: `(batch, frames)`, bool, or `None`.
        spectrogram: `(batch, mel bins, frames)`.
        result: as `spectrogram`, bool, or `None`.
    """
    if valid is None:
        return None
    everywhere = ops.ones_like(spectrogram, dtype="bool")
    return ops.logical_and(ops.expand_dims(valid, 1), everywhere)
