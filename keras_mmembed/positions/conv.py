"""The layer that adds a convolutional positional encoding to a sequence."""

from typing import TYPE_CHECKING, Any, Unpack, cast

import keras
from keras import activations, initializers, ops

from keras_mmembed.common import call_arguments, checks, tensors
from keras_mmembed.common.describe import describe
from keras_mmembed.common.sequences import as_mask
from keras_mmembed.common.types import (
    Activation,
    Config,
    Initializer,
    LayerArguments,
    Shape,
    Tensor,
)
from keras_mmembed.positions.checks import check_sequence

WHO = "ConvPositionEmbedding"


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ConvPositionEmbedding(keras.layers.Layer):
    """Adds a positional encoding that a grouped convolution makes of the tokens.

    Where a token stands shows in its neighbours, so that no length is declared:

        outputs[t] = inputs[t] + activation(bias + sum_k inputs[t + k - c] kernel[k])

    with `c = kernel_size // 2` and zeros before the first and after the last token,
    within each of `groups` groups of channels.

    Shapes:
        inputs: `(batch, length, width)`.
        mask: `(batch, length)`, bool.
        outputs: `(batch, length, width)`, compute dtype.
        kernel: `(kernel_size, width / groups, width)`, trainable; of several layers
            `kernel_0`, `kernel_1`, ..., and so are the others.
        bias: `(width,)`, trainable.
        gain: `(kernel_size,)`, trainable, with `weight_norm`.

    Args:
        kernel_size: Number of tokens that the encoding of a token is made of. Defaults
            to 128.
        groups: Number of groups of channels, which divides the width. Defaults to 16.
        num_layers: Number of convolutions, one after the other. Defaults to 1.
        weight_norm: Whether `kernel[k]` is scaled to the norm `gain[k]`, as in the
            training of Wav2Vec2. Defaults to `False`, for a kernel that this is folded
            into, or that never had it.
        normalize: Whether each convolution is followed by a normalization over the
            width, without weights, as in Data2VecAudio. Defaults to `False`.
        epsilon: Small number added to the variance of the normalization. Defaults to
            1e-5.
        activation: Activation of each convolution, as for `keras.layers.Dense`.
            Defaults to `"gelu"`.
        kernel_initializer: Initializer of the kernels. Defaults to `"glorot_uniform"`.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        mask: Padding mask. Defaults to `None`, all tokens, or the mask of `inputs`.

    Masking: masked tokens are zero before each convolution, as those beyond the ends
    are, so that a sequence has the encoding that it has without padding. The mask of
    `inputs` is passed on unchanged.

    Precision: the convolution is computed in the compute dtype, weight norm and
    normalization in float32; the sum is taken in float32 and rounded once.

    Raises:
        ValueError: if an argument is not as said above, if `groups` does not divide
            the width, or if the mask is not of the tokens.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import ConvPositionEmbedding
    >>> layer = ConvPositionEmbedding(8, groups=4)
    >>> tuple(layer(np.ones((2, 10, 16))).shape)
    (2, 10, 16)
    >>> [(w.name, tuple(w.shape)) for w in layer.weights]
    [('kernel', (8, 4, 16)), ('bias', (16,))]

    References:
        A. Baevski et al., "wav2vec 2.0", 2020, section 2,
        https://arxiv.org/abs/2006.11477.
        A. Baevski et al., "data2vec", 2022, https://arxiv.org/abs/2202.03555 (stacked).
        Unlike there, masked tokens are zero before each layer of a stack.
    """

    def __init__(
        self,
        kernel_size: int = 128,
        *,
        groups: int = 16,
        num_layers: int = 1,
        weight_norm: bool = False,
        normalize: bool = False,
        epsilon: float = 1e-5,
        activation: Activation = "gelu",
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(autocast=False, **checks.layer_options(WHO, kwargs))
        self.supports_masking = True
        self.kernel_size: int = checks.check_integer(WHO, "kernel_size", kernel_size)
        self.groups: int = checks.check_integer(WHO, "groups", groups)
        self.num_layers: int = checks.check_integer(WHO, "num_layers", num_layers)
        self.weight_norm: bool = checks.check_flag(WHO, "weight_norm", weight_norm)
        self.normalize: bool = checks.check_flag(WHO, "normalize", normalize)
        self.epsilon: float = checks.check_number(WHO, "epsilon", epsilon, 0)
        self.activation: Any = checks.check_activation(WHO, "activation", activation)
        self.kernel_initializer: Initializer = checks.check_initializer(
            WHO, "kernel_initializer", kernel_initializer
        )
        self._width: int | None = None

    def build(self, inputs_shape: Shape) -> None:
        (width,) = tuple(inputs_shape)[-1:] or (None,)
        rule = "have a last axis of known size, at least 1"
        checks.check(bool(width), WHO, "inputs.shape", rule, tuple(inputs_shape))
        width = cast(int, width)
        rule = f"be divisible by groups={self.groups}"
        fits = width % self.groups == 0
        checks.check(fits, WHO, "inputs.shape[-1]", rule, width)
        shapes = {
            "kernel": (self.kernel_size, width // self.groups, width),
            "bias": (width,),
        }
        if self.weight_norm:
            shapes["gain"] = (self.kernel_size,)
        self.layers: list[dict[str, keras.Variable]] = [
            {name: self._weight(name, shape, i) for name, shape in shapes.items()}
            for i in range(self.num_layers)
        ]
        self._width = width
        self.built = True

    def _weight(self, name: str, shape: Shape, index: int) -> keras.Variable:
        initializers_of = {"kernel": self.kernel_initializer, "gain": "ones"}
        made = initializers.get(initializers_of.get(name, "zeros"))
        clone = getattr(made, "clone", None)
        return self.add_weight(
            name=name if self.num_layers == 1 else f"{name}_{index}",
            shape=shape,
            initializer=made if clone is None else clone(),
            autocast=False,
        )

    if TYPE_CHECKING:

        def __call__(self, inputs: Tensor, mask: Tensor = None) -> Tensor: ...

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            args, kwargs = call_arguments.standardize(
                WHO, args, kwargs, optional=("mask",)
            )
            return super().__call__(*args, **kwargs)

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        self._check_call(inputs, mask)
        return tensors.add_once(self, inputs, self._vectors(inputs, mask))

    def encode(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return the vectors of tokens, as a call adds them, in the compute dtype.

        The layer is built by a call or by `build((None, None, width))`.

        Args:
            inputs: Features of the tokens, `(batch, length, width)`.
            mask: Padding mask, `(batch, length)`. Defaults to `None`, all tokens.
        """
        checks.check_built(self)
        inputs = call_arguments.as_array(WHO, "inputs", inputs)
        self._check_call(inputs, mask)
        return self._vectors(ops.convert_to_tensor(inputs), mask)

    def _vectors(self, inputs: Tensor, mask: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        if mask is not None:
            mask = ops.expand_dims(as_mask(mask, inputs), -1)
        for weights in self.layers:
            if mask is not None:
                # a NaN in the padding would stay one in any product
                x = ops.where(mask, x, ops.zeros_like(x))
            kernel = ops.cast(weights["kernel"], "float32")
            if self.weight_norm:
                kernel = with_norm(kernel, weights["gain"])
            x = convolve(x, ops.cast(kernel, x.dtype), self.groups)
            x = x + ops.cast(weights["bias"], x.dtype)
            if self.normalize:
                x = ops.cast(standardize(x, self.epsilon), self.compute_dtype)
            x = self.activation(x)
        return x

    def _check_call(self, inputs: Tensor, mask: Tensor) -> None:
        shape = check_sequence(WHO, inputs, self._width)
        if mask is not None:
            tensors.check_flags(WHO, "mask", mask)
            received = checks.known_shape(mask.shape)
            fits = checks.shapes_match(received, shape[:2])
            checks.check(fits, WHO, "mask.shape", f"be {shape[:2]}", received)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Tensor:
        return previous_mask

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return tuple(inputs_shape)

    def compute_output_spec(
        self, inputs: Tensor, mask: Tensor = None
    ) -> keras.KerasTensor:
        self._check_call(inputs, mask)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "groups": self.groups,
            "num_layers": self.num_layers,
            "weight_norm": self.weight_norm,
            "normalize": self.normalize,
            "epsilon": self.epsilon,
            "activation": activations.serialize(self.activation),
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
        }

    def __repr__(self) -> str:
        return describe(self)


def with_norm(kernel: Tensor, gain: Tensor) -> Tensor:
    """Return a kernel whose taps have the norms `gain`, in float32.

    Shapes:
        kernel: `(kernel_size, inputs, outputs)`, float32.
        gain: `(kernel_size,)`.
    """
    norms = ops.sqrt(ops.sum(ops.square(kernel), axis=(1, 2)))
    scale = ops.cast(gain, "float32") / norms
    return kernel * ops.reshape(scale, (-1, 1, 1))


def standardize(x: Tensor, epsilon: float) -> Tensor:
    """Return `(x - mean) / sqrt(variance + epsilon)` over the last axis, in float32."""
    x = ops.cast(x, "float32")
    x = x - ops.mean(x, axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + epsilon)


def convolve(x: Tensor, kernel: Tensor, groups: int) -> Tensor:
    """Return a grouped convolution with as many outputs as tokens.

    Shapes:
        x: `(batch, length, width)`.
        kernel: `(kernel_size, width / groups, width)`.
        result: `(batch, length, width)`.
    """
    before, length = kernel.shape[0] // 2, ops.shape(x)[1]
    # one more than needed, without which no tokens at all would be too few
    x = ops.pad(x, ((0, 0), (before, kernel.shape[0] - before), (0, 0)))
    if keras.backend.backend() != "tensorflow":
        return _convolve(x, kernel)[:, :-1]
    # TensorFlow compiles grouped convolutions with XLA, which no server has to have
    xs, kernels = (ops.split(each, groups, axis=-1) for each in (x, kernel))
    parts = [_convolve(*pair) for pair in zip(xs, kernels, strict=True)]
    # that of a batch of 0 is longer
    return ops.concatenate(parts, axis=-1)[:, :length]


def _convolve(x: Tensor, kernel: Tensor) -> Tensor:
    return ops.conv(x, kernel, padding="valid", data_format="channels_last")
