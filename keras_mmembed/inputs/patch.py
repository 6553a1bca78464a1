"""The layers that make features out of raw images and videos."""

import keras

from keras_mmembed.inputs.grid import GridEmbedding


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PatchEmbedding(GridEmbedding):
    """Turns images into the features of their patches.

    Patch `[h, w]` begins at row `h strides[0]` and column `w strides[1]`, and becomes

        outputs[h, w] = patch[h, w] kernel + bias

    with its values in the order row, column, channel. The outputs keep their grid, so
    that what follows knows it: `MultiModalFusion` needs no sizes for them.

    Shapes:
        inputs: `(batch, height, width, channels)`, or
            `(batch, channels, height, width)`; float or integer.
        mask: `(batch, height, width)`, or `(batch, 2)` for heights and widths.
        outputs: `(batch, rows, columns, output_dim)`, compute dtype.
        kernel: `(patch height * patch width * channels, output_dim)`, trainable. That
            of a convolution `(patch height, patch width, channels, output_dim)` has
            the same order.
        bias: `(output_dim,)`, trainable.

    Args:
        patch_size: Height and width of a patch; one integer, or two.
        output_dim: Width of the features.
        strides: Distance of neighbours; that of the patch size if `None`. Smaller
            ones make patches overlap.
        remainder: What becomes of rows and columns that fill no whole patch:
            `"error"`; `"crop"`, they are left out; `"pad"`, zeros make them whole, so
            that a patch begins at every multiple of `strides`.
        data_format: `"channels_last"` or `"channels_first"`, which only says how the
            inputs come; the setting of Keras by default.
        use_bias: Whether to add a bias.
        kernel_initializer: Initializer of the kernel.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Images. Integers are cast and not scaled: put
            `keras.layers.Rescaling(1 / 255)` in front if they should be.
        mask: Which pixels are valid, or the size of each image, where images of
            several sizes are padded to one.

    Masking: with a mask, the outputs carry that of their patches. An image comes out
    as it would alone: pixels that are not valid count as zeros, and a patch is valid
    if with `"pad"` any of its pixels are, else if all are.

    Precision: one matrix product in the compute dtype, summed as Keras does.

    Raises:
        ValueError: if an argument is not as said above, if the number of channels
            changes, or if a patch does not divide a size and `remainder` is
            `"error"`. A size that turns up inside a compiled step is cropped instead.

    Example:
    Images of two sizes, padded to one:

    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import (PatchEmbedding)
    >>> layer = PatchEmbedding(16, output_dim=64)
    >>> images = np.zeros((2, 48, 64, 3))
    >>> patches = layer(images, mask=np.array([[48, 32], [16, 64]]))
    >>> tuple(patches.shape)
    (2, 3, 4, 64)
    >>> keras.ops.convert_to_numpy(patches._keras_mask[0]).astype(int)
    array([[1, 1, 0, 0],
           [1, 1, 0, 0],
           [1, 1, 0, 0]])

    References:
        A. Dosovitskiy et al., "An Image is Worth 16x16 Words", 2020, equation (1),
        https://arxiv.org/abs/2010.11929. Without its class token and positions, which
        are those of the fusion.
    """

    axis_names = ("height", "width")


@keras.saving.register_keras_serializable(package="keras_mmembed")
class TubeletEmbedding(GridEmbedding):
    """Turns videos into the features of their tubelets: patches over several frames.

    Tubelet `[t, h, w]` begins at frame `t strides[0]`, row `h strides[1]` and column
    `w strides[2]`, and becomes

        outputs[t, h, w] = tubelet[t, h, w] kernel + bias

    with its values in the order frame, row, column, channel. The outputs keep their
    grid, so that `MultiModalFusion` needs no sizes for them.

    Shapes:
        inputs: `(batch, frames, height, width, channels)`, or
            `(batch, channels, frames, height, width)`; float or integer.
        mask: `(batch, frames, height, width)`, or `(batch, 3)` for the sizes.
        outputs: `(batch, steps, rows, columns, output_dim)`, compute dtype.
        kernel: `(frames * height * width of a tubelet * channels, output_dim)`,
            trainable; the order is that of a three-dimensional convolution.
        bias: `(output_dim,)`, trainable.

    Args:
        patch_size: Frames, height and width of a tubelet; one integer, or three.
        output_dim: Width of the features.
        strides: Distance of neighbours; that of the tubelet size if `None`. Smaller
            ones make tubelets overlap.
        remainder: What becomes of frames, rows and columns that fill no whole
            tubelet: `"error"`, `"crop"` or `"pad"`, as for `PatchEmbedding`.
        data_format: `"channels_last"` or `"channels_first"`, which only says how the
            inputs come; the setting of Keras by default.
        use_bias: Whether to add a bias.
        kernel_initializer: Initializer of the kernel.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Videos. Integers are cast and not scaled.
        mask: Which pixels are valid, or frames, height and width of each video.

    Masking: as `PatchEmbedding`. A video that ends earlier than others has its
    number of frames in `mask`.

    Precision: as `PatchEmbedding`.

    Raises:
        ValueError: if an argument is not as said above, if the number of channels
            changes, or if a tubelet does not divide a size and `remainder` is
            `"error"`. A size that turns up inside a compiled step is cropped instead.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import (TubeletEmbedding)
    >>> layer = TubeletEmbedding((2, 16, 16), output_dim=64)
    >>> tuple(layer(np.zeros((1, 8, 32, 48, 3))).shape)
    (1, 4, 2, 3, 64)

    References:
        A. Arnab et al., "ViViT", 2021, section 3.2, https://arxiv.org/abs/2103.15691.
    """

    axis_names = ("frames", "height", "width")
