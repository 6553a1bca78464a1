"""The layers that embed patches of images and tubelets of videos."""

from typing import ClassVar

import keras

from keras_mmembed.inputs.grid import GridEmbedding


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PatchEmbedding(GridEmbedding):
    """Turns images into the features of their patches, by a linear projection.

    Patch `[h, w]` begins at row `h strides[0] - padding[0]` and column
    `w strides[1] - padding[1]`, and becomes

        outputs[h, w] = patch[h, w] kernel + bias

    with its values flattened in the order row, column, channel. The outputs keep their
    grid, so that `MultiModalFusion` needs no sizes for them.

    Shapes:
        inputs: `(batch, height, width, channels)`, or
            `(batch, channels, height, width)`; float or integer.
        mask: `(batch, height, width)`, or `(batch, 2)` for heights and widths.
        outputs: `(batch, rows, columns, output_dim)`, compute dtype.
        kernel: `(patch height * patch width * channels, output_dim)`, trainable: the
            kernel `(patch height, patch width, channels, output_dim)` of a
            convolution, flattened.
        bias: `(output_dim,)`, trainable.

    Args:
        patch_size: Height and width of a patch; an integer, or two.
        output_dim: Width of the features.
        strides: Distance between neighbouring patches, an integer, or two. Smaller
            ones than the patch size make patches overlap. Defaults to `None`, the
            patch size.
        padding: Number of zeros before the first and after the last row and column, an
            integer, or two; with `remainder="crop"` as in a convolution of PyTorch.
            Defaults to 0.
        remainder: Treatment of rows and columns that fill no whole patch: `"error"`
            (default); `"crop"`, they are left out; `"pad"`, they are padded with
            zeros, so that a patch begins at every multiple of `strides`.
        data_format: `"channels_last"` or `"channels_first"`, the order of the axes of
            the inputs. Defaults to `None`, the image data format of the Keras
            configuration.
        use_bias: Whether to add a bias. Defaults to `True`.
        kernel_initializer: Initializer of the kernel. Defaults to `"glorot_uniform"`.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Images. Integers are cast but not scaled; see
            `keras.layers.Rescaling(1 / 255)`.
        mask: Valid pixels, or the size of each image, for images of several sizes that
            are padded to one. Defaults to `None`, all pixels.

    Masking: with a mask, the outputs carry the mask of their patches. The features of
    an image do not depend on its padding: pixels that are not valid are zero, and a
    patch is valid if with `"pad"` any of its pixels is, else if all are; `padding` lies
    around each image, and counts as valid.

    Precision: one matrix product in the compute dtype, summed as in Keras' `Dense`.

    Raises:
        ValueError: if an argument is not as said above, if the number of channels
            changes, or if with `remainder="error"` a patch does not divide a size. A
            compiled step does not raise for a size; it crops.

    Example:
    Images of two sizes, padded to one:

    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import PatchEmbedding
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
        https://arxiv.org/abs/2010.11929. Without its class token and positional
        encoding, which `MultiModalFusion` adds.
        H. Wu et al., "CvT", 2021, https://arxiv.org/abs/2103.15808 (overlapping patches
        and `padding`).
    """

    axis_names: ClassVar[tuple[str, ...]] = ("height", "width")


@keras.saving.register_keras_serializable(package="keras_mmembed")
class TubeletEmbedding(GridEmbedding):
    """Turns videos into the features of their tubelets: patches over several frames.

    Tubelet `[t, h, w]` begins at frame `t strides[0]`, row `h strides[1]` and column
    `w strides[2]`, and becomes

        outputs[t, h, w] = tubelet[t, h, w] kernel + bias

    with its values flattened in the order frame, row, column, channel. The outputs
    keep their grid, so that `MultiModalFusion` needs no sizes for them.

    Shapes:
        inputs: `(batch, frames, height, width, channels)`, or
            `(batch, channels, frames, height, width)`; float or integer.
        mask: `(batch, frames, height, width)`, or `(batch, 3)` for the sizes.
        outputs: `(batch, steps, rows, columns, output_dim)`, compute dtype.
        kernel: `(frames * height * width of a tubelet * channels, output_dim)`,
            trainable: the kernel of a three-dimensional convolution, flattened.
        bias: `(output_dim,)`, trainable.

    Args:
        patch_size: Frames, height and width of a tubelet; an integer, or three.
        output_dim: Width of the features.
        strides: Distance between neighbouring tubelets, an integer, or three. Smaller
            ones than the tubelet size make tubelets overlap. Defaults to `None`, the
            tubelet size.
        padding: Number of zeros before the first and after the last frame, row and
            column, an integer, or three. Defaults to 0.
        remainder: Treatment of frames, rows and columns that fill no whole tubelet:
            `"error"` (default), `"crop"` or `"pad"`, as for `PatchEmbedding`.
        data_format: `"channels_last"` or `"channels_first"`, the order of the axes of
            the inputs. Defaults to `None`, the image data format of the Keras
            configuration.
        use_bias: Whether to add a bias. Defaults to `True`.
        kernel_initializer: Initializer of the kernel. Defaults to `"glorot_uniform"`.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Videos. Integers are cast but not scaled.
        mask: Valid pixels, or frames, height and width of each video. Defaults to
            `None`, all pixels.

    Masking: as `PatchEmbedding`. For a video that ends earlier than others, `mask`
    holds its number of frames.

    Precision: as `PatchEmbedding`.

    Raises:
        ValueError: if an argument is not as said above, if the number of channels
            changes, or if with `remainder="error"` a tubelet does not divide a size.
            A compiled step does not raise for a size; it crops.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import TubeletEmbedding
    >>> layer = TubeletEmbedding((2, 16, 16), output_dim=64)
    >>> tuple(layer(np.zeros((1, 8, 32, 48, 3))).shape)
    (1, 4, 2, 3, 64)

    References:
        A. Arnab et al., "ViViT", 2021, section 3.2, https://arxiv.org/abs/2103.15691.
    """

    axis_names: ClassVar[tuple[str, ...]] = ("frames", "height", "width")
