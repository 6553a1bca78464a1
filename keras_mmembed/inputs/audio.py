"""The layer that makes features out of waveforms."""

import keras
from keras import initializers, ops

from keras_mmembed.common import checks
from keras_mmembed.common.mask_layers import AttachMask
from keras_mmembed.inputs import checks as window_checks
from keras_mmembed.inputs import windows
from keras_mmembed.inputs.frames import Frames
from keras_mmembed.inputs.patch import PatchEmbedding
from keras_mmembed.inputs.spectrogram import CONVENTIONS

WHO = "AudioEmbedding"
AXES = ("frequency", "frames")


@keras.saving.register_keras_serializable(package="keras_mmembed")
class AudioEmbedding(keras.layers.Layer):
    """Turns waveforms into the features of their frames, or of patches of them.

    A frame of samples becomes its power in bands of frequency, on a logarithmic scale,
    and these are projected, frame by frame or patch by patch:

        mel[t] = |FFT(window * waveform[t frame_stride : ... + frame_length])|^2 filters
        features[t] = (log(max(mel[t], floor)) + shift) / scale
        outputs[t] = features[t] kernel + bias

    Shapes:
        inputs: `(batch, samples)`, float or integer.
        mask: `(batch,)` lengths in samples, or `(batch, samples)`.
        features: `(batch, frames, num_mel_bins)`, which `log_mel` returns.
        outputs: `(batch, frames, output_dim)`; with `patch_size`
            `(batch, rows, columns, output_dim)`, frequency by time, as
            `PatchEmbedding`; compute dtype.
        kernel: `(num_mel_bins, output_dim)`, trainable; with `patch_size` that of
            `PatchEmbedding` for one channel.
        bias: `(output_dim,)`, trainable.

    Args:
        output_dim: Width of the outputs.
        convention: Whose features: `"ast"`, with a logarithm of base e and scaled for
            AudioSet (those of Kaldi); or `"whisper"`, with frames around multiples of
            `frame_stride`, a logarithm of base 10, and at most 8 below the largest.
        sampling_rate: Samples in a second.
        frame_length: Samples in a frame; 25 ms by default (`sequence_length` of
            `keras.layers.MelSpectrogram`).
        frame_stride: Samples from one frame to the next; 10 ms by default.
        num_mel_bins: Number of bands.
        patch_size: Bands and frames of a patch; one integer, or two, or `None` for
            outputs of single frames.
        strides: Distance of neighbouring patches; that of the patch size if `None`.
        remainder: What becomes of samples that fill no whole frame, and of frames
            that fill no whole patch: `"pad"`, zeros make them whole, so that a frame
            begins at every multiple of `frame_stride`; `"crop"`, they are left out.
        use_bias: Whether to add a bias.
        kernel_initializer: Initializer of the kernel.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Waveforms of one channel. Both conventions are made for values from -1
            to 1; integers are cast and not scaled.
        mask: How long each waveform is, where several are padded to one length.

    Masking: with a mask, the outputs carry that of their frames or patches. A
    waveform comes out as it would alone: samples beyond its end count as zeros, and
    with `"pad"` a frame is valid if it begins before the end, else if it ends before.

    Precision: up to the features in float32, which are rounded once; the projection
    in the compute dtype.

    Raises:
        ValueError: if an argument is not as said above, or if with `"crop"` the
            waveforms are shorter than a frame or patch.

    Example:
    Overlapping patches of a second and of less, and 100 tokens of single frames:

    >>> import numpy as np
    >>> from keras_mmembed import (AudioEmbedding)
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
        convolutions; a frame beyond the end counts zeros, as in its padding to 30 s.
    """

    def __init__(
        self,
        output_dim,
        *,
        convention="ast",
        sampling_rate=16000,
        frame_length=400,
        frame_stride=160,
        num_mel_bins=128,
        patch_size=None,
        strides=None,
        remainder="pad",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        # the features are made in float32
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.output_dim = checks.check_integer(WHO, "output_dim", output_dim)
        self.convention = checks.check_choice(
            WHO, "convention", convention, tuple(CONVENTIONS)
        )
        self.sampling_rate = checks.check_integer(WHO, "sampling_rate", sampling_rate)
        self.frame_length = checks.check_integer(WHO, "frame_length", frame_length, 2)
        self.frame_stride = checks.check_integer(WHO, "frame_stride", frame_stride)
        rule = f"be at most frame_length={frame_length}, so that nothing is left out"
        fits = frame_stride <= frame_length
        checks.check(fits, WHO, "frame_stride", rule, frame_stride)
        self.num_mel_bins = checks.check_integer(WHO, "num_mel_bins", num_mel_bins)
        self.remainder = checks.check_choice(
            WHO, "remainder", remainder, ("pad", "crop")
        )
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self._set_patches(patch_size, strides)
        self._make_sublayers()
        self._frames = Frames(
            CONVENTIONS[self.convention],
            self.sampling_rate,
            self.frame_length,
            self.frame_stride,
            self.num_mel_bins,
            self.remainder,
        )

    def _set_patches(self, patch_size, strides):
        self.patch_size = self.strides = None
        if patch_size is None:
            rule = "be left out without patch_size"
            checks.check(strides is None, WHO, "strides", rule, strides)
            return
        self.patch_size = window_checks.check_axes(WHO, "patch_size", patch_size, AXES)
        self.strides = window_checks.check_strides(WHO, strides, self.patch_size, AXES)
        window_checks.check_size(
            WHO,
            "num_mel_bins",
            self.num_mel_bins,
            self.patch_size[0],
            self.strides[0],
            self.remainder,
        )

    def _make_sublayers(self):
        options = {
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "dtype": self.dtype_policy,
        }
        if self.patch_size is None:
            self.projection = keras.layers.Dense(
                self.output_dim, name="projection", **options
            )
            self.attach_mask = AttachMask(dtype=self.dtype_policy)
        else:
            self.patches = PatchEmbedding(
                self.patch_size,
                self.output_dim,
                strides=self.strides,
                remainder=self.remainder,
                data_format="channels_last",
                name="patches",
                **options,
            )

    def build(self, inputs_shape):
        if self.patch_size is None:
            self.projection.build((None, None, self.num_mel_bins))
        else:
            self.patches.build((None, self.num_mel_bins, None, 1))
        self.built = True

    def call(self, inputs, mask=None):
        features, valid = self._features(inputs, mask)
        if self.patch_size is None:
            outputs = self.projection(ops.cast(features, self.compute_dtype))
            return outputs if valid is None else self.attach_mask([outputs, valid])
        bands = ops.transpose(features, (0, 2, 1))
        valid = None if valid is None else self._spread(valid, bands)
        return self.patches(ops.expand_dims(bands, -1), mask=valid)

    def log_mel(self, inputs, mask=None):
        """Return the features before the projection, in float32.

        Args:
            inputs: Waveforms, `(batch, samples)`.
            mask: Lengths `(batch,)`, or valid samples `(batch, samples)`.

        Returns:
            `(batch, frames, num_mel_bins)`.
        """
        return self._features(ops.convert_to_tensor(inputs), mask)[0]

    def compute_mask(self, inputs, previous_mask=None):
        if previous_mask is None or isinstance(inputs, keras.KerasTensor):
            return None  # a model finds the mask that the call attaches
        mask = windows.grid_mask(previous_mask, ops.convert_to_tensor(inputs))
        valid = self._frames.valid(mask)
        if self.patch_size is None:
            return valid
        bands = ops.repeat(ops.expand_dims(valid, 1), self.num_mel_bins, axis=1)
        return self.patches.compute_mask(ops.expand_dims(bands, -1), bands)

    def compute_output_shape(self, inputs_shape):
        batch, samples = self._check_rank(inputs_shape)
        self._check_length(samples)
        frames = self._frames.count(samples)
        if self.patch_size is None:
            return (batch, frames, self.output_dim)
        return self.patches.compute_output_shape((batch, self.num_mel_bins, frames, 1))

    def compute_output_spec(self, inputs, mask=None):
        self._check_structure(inputs, mask)
        shape = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
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

    def _features(self, inputs, mask):
        """Return the log-mel values, and which frames are valid or `None`."""
        mask = None if mask is None else ops.convert_to_tensor(mask)
        self._check_call(inputs, mask)
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        return self._frames.log_mel(ops.cast(inputs, dtype), mask)

    def _spread(self, valid, bands):
        """Return a mask of frames as one of all bands, `(batch, bands, frames)`."""
        everywhere = ops.ones_like(bands, dtype="bool")
        return ops.logical_and(ops.expand_dims(valid, 1), everywhere)

    def _check_rank(self, shape):
        shape = checks.known_shape(shape)
        axes = "(batch, samples), of one channel"
        checks.check_rank(WHO, "inputs.shape", shape, (2,), axes)
        return shape

    def _check_structure(self, inputs, mask):
        """Raise for wrong axes; return the shape."""
        shape = self._check_rank(inputs.shape)
        window_checks.check_mask(WHO, mask, shape, ("samples",))
        return shape

    def _check_call(self, inputs, mask):
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

    def _check_length(self, samples):
        frames = self.patch_size[1] if self.patch_size else 1
        least = self._frames.samples_of(frames)
        window_checks.check_size(
            WHO, "samples", samples, least, self.frame_stride, self.remainder
        )
