"""The base class of the layers that embed patches of images and of videos."""

import math
from collections.abc import Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    TypeAlias,
    Unpack,
    cast,
    get_args,
)

import keras
from keras import initializers, ops

from keras_mmembed.common import call_arguments, checks, tensors
from keras_mmembed.common.describe import describe
from keras_mmembed.common.mask_layers import AttachMask
from keras_mmembed.common.types import (
    Config,
    Initializer,
    LayerArguments,
    Shape,
    Tensor,
)
from keras_mmembed.inputs import checks as window_checks
from keras_mmembed.inputs import windows
from keras_mmembed.inputs.windows import Remainder

DataFormat: TypeAlias = Literal["channels_last", "channels_first"]
DATA_FORMATS: tuple[DataFormat, ...] = get_args(DataFormat)


class GridEmbedding(keras.layers.Layer):
    """Linear projection of the patches of a grid, whose axes a subclass names."""

    axis_names: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        patch_size: int | Sequence[int],
        output_dim: int,
        *,
        strides: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        remainder: Remainder = "error",
        data_format: DataFormat | None = None,
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        who, names = type(self).__name__, self.axis_names
        checks.check_keywords(who, kwargs)
        # the projection casts for itself, and sizes stay integers
        super().__init__(autocast=False, **kwargs)
        checks.check_float_policy(self)
        self.supports_masking = True
        self.patch_size: tuple[int, ...] = window_checks.check_axes(
            who, "patch_size", patch_size, names
        )
        self.output_dim: int = checks.check_integer(who, "output_dim", output_dim)
        self.strides: tuple[int, ...] = window_checks.check_strides(
            who, strides, self.patch_size, names
        )
        self.remainder: Remainder = checks.check_choice(
            who, "remainder", remainder, windows.REMAINDERS
        )
        self.padding: tuple[int, ...] = window_checks.check_padding(
            who, padding, self.patch_size, names, self.remainder
        )
        self.data_format: DataFormat = checks.check_choice(
            who,
            "data_format",
            keras.config.image_data_format() if data_format is None else data_format,
            DATA_FORMATS,
        )
        self.use_bias: bool = checks.check_flag(who, "use_bias", use_bias)
        self.kernel_initializer: Initializer = checks.check_initializer(
            who, "kernel_initializer", kernel_initializer
        )
        self.projection: keras.layers.Dense = keras.layers.Dense(
            self.output_dim,
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="projection",
        )
        self.attach_mask: AttachMask = AttachMask(dtype=self.dtype_policy)
        self._channels: int | None = None

    def build(self, inputs_shape: Shape) -> None:
        batch, *grid, channels = self._channels_last_shape(inputs_shape)
        who, shape = type(self).__name__, tuple(inputs_shape)
        rule = "have a known number of channels"
        checks.check(channels is not None, who, "inputs.shape", rule, shape)
        rule = "have at least 1 channel"
        checks.check(channels != 0, who, "inputs.shape", rule, shape)
        self._channels = channels
        values = math.prod(self.patch_size) * cast(int, channels)
        self.projection.build((batch, *[None] * len(grid), values))
        self.built = True

    if TYPE_CHECKING:

        def __call__(self, inputs: Tensor, mask: Tensor = None) -> Tensor: ...

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            who = type(self).__name__
            args, kwargs = call_arguments.standardize(
                who, args, kwargs, optional=("mask",)
            )
            return super().__call__(*args, **kwargs)

    def call(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        mask = None if mask is None else ops.convert_to_tensor(mask)
        self._check_call(inputs, mask)
        x = ops.cast(self._channels_last(inputs), self.compute_dtype)
        if mask is None:
            return self.projection(self._patches(x))
        mask = windows.grid_mask(mask, x[..., 0])
        # a NaN in the padding would stay one in any product
        x = ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x))
        outputs = self.projection(self._patches(x))
        return self.attach_mask([outputs, self._valid(mask)])

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Tensor:
        if previous_mask is None or isinstance(inputs, keras.KerasTensor):
            return None  # a model finds the mask that the call attaches
        x = self._channels_last(ops.convert_to_tensor(inputs))
        return self._valid(windows.grid_mask(previous_mask, x[..., 0]))

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        batch, *grid, _ = self._channels_last_shape(inputs_shape)
        self._check_sizes(grid)
        sizes = [
            None if size is None else size + 2 * more
            for size, more in zip(grid, self.padding, strict=True)
        ]
        axes = zip(sizes, self.patch_size, self.strides, strict=True)
        counts = [windows.count_windows(*axis, self.remainder) for axis in axes]
        return (batch, *counts, self.output_dim)

    def compute_output_spec(
        self, inputs: Tensor, mask: Tensor = None
    ) -> keras.KerasTensor:
        self._check_structure(inputs, mask)
        shape = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "patch_size": list(self.patch_size),
            "output_dim": self.output_dim,
            "strides": list(self.strides),
            "padding": list(self.padding),
            "remainder": self.remainder,
            "data_format": self.data_format,
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
        }

    def __repr__(self) -> str:
        return describe(self)

    def _patches(self, x: Tensor) -> Tensor:
        x = windows.pad_grid(x, self.padding)
        return windows.extract_patches(x, self.patch_size, self.strides, self.remainder)

    def _valid(self, mask: Tensor) -> Tensor:
        return windows.valid_windows(
            windows.dilate(mask, self.padding),
            self.patch_size,
            self.strides,
            self.remainder,
        )

    def _channels_last(self, inputs: Tensor) -> Tensor:
        if self.data_format == "channels_last":
            return inputs
        return ops.transpose(inputs, (0, *range(2, len(inputs.shape)), 1))

    def _channels_last_shape(self, shape: Shape) -> Shape:
        """Return a shape with the channels last; raise for a wrong rank."""
        shape = checks.known_shape(shape)
        names = ", ".join(self.axis_names)
        is_last = self.data_format == "channels_last"
        axes = (
            f"(batch, {names}, channels)" if is_last else f"(batch, channels, {names})"
        )
        ranks = (len(self.axis_names) + 2,)
        checks.check_rank(type(self).__name__, "inputs.shape", shape, ranks, axes)
        return shape if is_last else (shape[0], *shape[2:], shape[1])

    def _check_structure(self, inputs: Tensor, mask: Tensor) -> Shape:
        """Return the shape `(batch, axis, ...)`; raise for wrong axes and channels."""
        who = type(self).__name__
        tensors.check_kind(who, "inputs", inputs, "number", "Cast them to floats.")
        *grid, channels = self._channels_last_shape(inputs.shape)
        if self.built:
            rule = f"have {self._channels} channels, as in the first call"
            remedy = f"The data_format is {self.data_format!r}."
            fits = channels in (None, self._channels)
            shape = checks.known_shape(inputs.shape)
            checks.check(fits, who, "inputs.shape", rule, shape, remedy)
        window_checks.check_mask(who, mask, tuple(grid), self.axis_names)
        return tuple(grid)

    def _check_call(self, inputs: Tensor, mask: Tensor) -> None:
        grid = self._check_structure(inputs, mask)
        # without "error", a sample may be smaller than a patch
        is_strict = self.remainder == "error"
        window_checks.check_values(
            type(self).__name__,
            inputs,
            mask,
            grid,
            self.axis_names,
            self._check_sizes,
            self._check_sizes if is_strict else lambda sizes: None,
        )

    def _check_sizes(self, sizes: Sequence[int | None]) -> None:
        axes = zip(
            self.axis_names,
            sizes,
            self.patch_size,
            self.strides,
            self.padding,
            strict=True,
        )
        for name, size, window, stride, padding in axes:
            window_checks.check_size(
                type(self).__name__, name, size, window, stride, self.remainder, padding
            )
