"""Layers that add positional encodings to sequences, grids and clips."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Unpack

import keras

from keras_mmembed.common.types import Initializer, LayerArguments
from keras_mmembed.positions.base import PositionEmbedding
from keras_mmembed.positions.conventions import (
    AxisKinds,
    Combination,
    ConventionName,
    Kind,
)
from keras_mmembed.positions.grid_spec import OutOfRange
from keras_mmembed.positions.interpolation import Interpolation


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PositionEmbedding1D(PositionEmbedding):
    """Adds a positional encoding to a sequence, sinusoidal or learned.

    With `kind="sinusoidal"` and the convention `"transformer"`, channels `2i` and
    `2i + 1` of position `p` are

        PE[p, 2i]     = sin(p / max_wavelength ** (2i / width))
        PE[p, 2i + 1] = cos(p / max_wavelength ** (2i / width))

    and with `kind="learned"`, `PE[p]` is row `p` of a table. Then

        outputs[..., t, :] = inputs[..., t, :] + PE[start_index + t, :]

    Shapes:
        inputs: `(..., length, width)`; the width must be known.
        positions: `(length,)` or `(batch, length)`, integer or float.
        start_index: an integer, or `(batch,)`, integer.
        mask: `(batch, length)`, bool.
        outputs: as `inputs`, compute dtype.
        embeddings: `(max_length, width)`, trainable, if learned.
        prefix_embeddings: `(num_prefix_tokens, width)`, trainable, if learned.

    Args:
        max_length: Number of positions, in tokens. Defaults to `None`, no limit; a
            learned table needs it.
        kind: `"sinusoidal"` (default) or `"learned"`.
        convention: Whose formula: `"transformer"` (default), or another name in
            `keras_mmembed.positions.conventions`, such as `"whisper"`, `"kosmos2"` or
            `"roberta"`.
        combination: `None` (default); a single axis is combined with no other.
        axis_order: `None` (default); a single axis has no order.
        cosine_first: Whether the cosine of a frequency comes before its sine, and with
            halves all cosines before all sines. Defaults to `None`, as in the
            convention: `False`.
        offset: Position of the first token where positions are counted: 2 for the
            tables of BART; 0.5, the middle of the first token, for the sinusoids of
            Deformable DETR. Defaults to `None`, that of the convention, which is 0 in
            most.
        scale: Factor of all positions, such as position ids per second for positions
            in seconds. Defaults to 1.
        max_wavelength: The longest wavelength of a sinusoidal encoding, in positions
            per radian. Defaults to 10000.
        interpolation: Interpolation between the rows of a learned table: `"nearest"`,
            `"bilinear"`, `"bicubic"`, or `None` (default) for integer positions only.
        antialias: Whether to widen the kernel where a resized table shrinks. Defaults
            to `False`.
        align_corners: Whether the first and last rows of a resized table stay in
            place. Defaults to `False`.
        out_of_range: Treatment of positions beyond `max_length`: `"error"` (default);
            `"clip"`, the encoding of the last position; `"zero"`, no encoding;
            `"resize"`, the table, or the sinusoids, are stretched or squeezed to the
            extent of each sample; `"resize_longer"`, only to one that is longer than
            `max_length`, and a shorter one has the first rows.
        num_prefix_tokens: Number of tokens in front, such as a class token, that are
            not counted. They have rows of their own if learned, else no encoding.
            Defaults to 0.
        block_size: 1 (default); a single axis has no blocks.
        embeddings_initializer: Initializer of the learned tables. Defaults to `None`,
            a normal distribution of standard deviation 0.02.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        positions: Positions of all tokens but prefix tokens, in tokens or, as floats,
            in a unit such as seconds, times `scale`. Defaults to `None`, which counts
            from `offset` on.
        start_index: Position of the first token, for decoding with a KV cache.
            Defaults to 0.
        mask: Padding mask, for conventions that count only valid tokens, and for the
            extent of each sample: its last valid token + 1. Defaults to `None`, the
            extent of the inputs.
        grid: `None` (default); for layers of two and three axes.

    Masking: the mask of `inputs` is passed on unchanged. `positions_from_mask` returns
    positions that skip padding, `positions_from_ids` those of packed sequences.

    Precision: angles are reduced to one turn without rounding, so that sinusoids are
    within 4e-6 of the formula for positions up to 2 ** 24; the sum is taken in
    float32 and rounded once.

    Raises:
        TypeError: if positions are float and the table has no interpolation.
        ValueError: if an argument is not as said above, or if positions are known to
            lie beyond `max_length` with `out_of_range="error"`. A compiled step
            cannot raise: it warns, and clips the positions of a learned table or
            continues the formula.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import PositionEmbedding1D
    >>> layer = PositionEmbedding1D()
    >>> whole = np.array(layer(np.zeros((1, 6, 8))))

    When a text is decoded step by step, its last two tokens have the same encoding:

    >>> last = np.array(layer(np.zeros((1, 2, 8)), start_index=4))
    >>> bool(np.allclose(whole[:, 4:], last, atol=1e-6))
    True

    References:
        A. Vaswani et al., "Attention Is All You Need", 2017, section 3.5,
        https://arxiv.org/abs/1706.03762. Unlike there, the inputs are not scaled.
    """

    size_names: ClassVar[tuple[str, ...]] = ("max_length",)
    combinations: ClassVar[tuple[Combination, ...]] = ()
    default_combination: ClassVar[Mapping[Kind, Combination]] = {
        "sinusoidal": "joint",
        "learned": "joint",
    }

    max_length: int | None

    def __init__(
        self,
        max_length: int | None = None,
        *,
        kind: AxisKinds = "sinusoidal",
        convention: ConventionName = "transformer",
        combination: Combination | None = None,
        axis_order: Sequence[str] | None = None,
        cosine_first: bool | None = None,
        offset: float | None = None,
        scale: float | Sequence[float] = 1.0,
        max_wavelength: float = 10000,
        interpolation: Interpolation | None = None,
        antialias: bool = False,
        align_corners: bool = False,
        out_of_range: OutOfRange = "error",
        num_prefix_tokens: int = 0,
        block_size: int = 1,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            (max_length,),
            kind=kind,
            convention=convention,
            combination=combination,
            axis_order=axis_order,
            cosine_first=cosine_first,
            offset=offset,
            scale=scale,
            max_wavelength=max_wavelength,
            interpolation=interpolation,
            antialias=antialias,
            align_corners=align_corners,
            out_of_range=out_of_range,
            num_prefix_tokens=num_prefix_tokens,
            block_size=block_size,
            embeddings_initializer=embeddings_initializer,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PositionEmbedding2D(PositionEmbedding):
    """Adds a positional encoding to a grid of tokens, such as the patches of an image.

    The encodings of row and column have half of the channels each:

        PE[h, w] = [PE_height[h], PE_width[w]]

    by the formula of `PositionEmbedding1D`; or `PE[h, w]` is an entry of a learned
    table.

    Shapes:
        inputs: `(batch, height, width, channels)`, or flattened row by row
            `(batch, num_prefix_tokens + height * width, channels)`.
        positions: `(tokens, 2)` or `(batch, tokens, 2)`, row and column of each token,
            or with the axes of the grid, `(height, width, 2)`.
        grid: two integers, or a tensor `(2,)`, `(batch, 2)` or `(batch, images, 2)`.
        start_index: an integer, or `(batch,)`, integer.
        mask: the axes of the tokens, bool.
        outputs: as `inputs`, compute dtype.
        embeddings: `(height, width, channels)`, trainable, if learned and joint.
        height_embeddings, width_embeddings: `(height, channels)` and
            `(width, channels)` for a sum, half of the channels each for a
            concatenation; trainable, if learned.
        prefix_embeddings: `(num_prefix_tokens, channels)`, trainable, if learned.

    Args:
        height: Number of rows. Defaults to `None`, any; learned tables need it, and so
            do flattened inputs without `grid`.
        width: Number of columns. Defaults to `None`, as `height`.
        kind: `"sinusoidal"` (default) or `"learned"`, or a kind for each axis, in order
            or by name: `{"height": "learned", "width": "sinusoidal"}`. `None` for an
            axis that is not encoded: `("learned", None)` for a vector of each row.
        convention: Whose formula: `"transformer"` (default), `"mae"`, `"detr"`,
            `"simple_vit"`, `"mocov3"`, ...; see `keras_mmembed.positions.conventions`.
        combination: How the encodings of row and column are combined: `"concat"`,
            `"sum"`, or for learned tables `"joint"`, one table of both axes. Defaults
            to `None`: `"concat"` if sinusoidal, `"joint"` if learned, unless the
            convention says otherwise.
        axis_order: The axes in the order of their channels, where they are
            concatenated: `("width", "height")` puts columns before rows. Defaults to
            `None`, that of the convention.
        cosine_first: Whether the cosine of a frequency comes before its sine, and with
            halves all cosines before all sines. Defaults to `None`, as in the
            convention: `False`.
        offset: Position of the first token where positions are counted: 2 for the
            tables of BART; 0.5, the middle of the first token, for the sinusoids of
            Deformable DETR. Defaults to `None`, that of the convention, which is 0 in
            most.
        scale: Factor of all positions, or one for rows and one for columns. Defaults
            to 1.
        max_wavelength: The longest wavelength of a sinusoidal encoding, in positions
            per radian. Defaults to 10000.
        interpolation: Interpolation between the rows of a learned table, and to
            another size: `"nearest"`, `"bilinear"`, `"bicubic"`, or `None` (default)
            for integer positions only.
        antialias: Whether to widen the kernel where a resized table shrinks. Defaults
            to `False`.
        align_corners: Whether the corners of a resized table stay in place. Defaults
            to `False`.
        out_of_range: Treatment of another grid than `height` by `width`: `"error"`
            (default); `"resize"`, the table or the sinusoids are stretched or
            squeezed to the extent of each sample; `"resize_longer"`, only along axes
            that are longer than declared, and shorter ones have the first rows;
            `"clip"` or `"zero"`, rows and columns beyond have the last encoding or
            none.
        num_prefix_tokens: Number of tokens in front of a flattened grid, such as a
            class token. They have rows of their own if learned, else no encoding.
            Defaults to 0.
        block_size: Rows and columns of the blocks that flattened tokens come in, one
            block after the other, as for a model that merges 2 x 2 patches (Qwen2-VL,
            Qwen3-VL). Defaults to 1, row by row.
        embeddings_initializer: Initializer of the learned tables. Defaults to `None`,
            a normal distribution of standard deviation 0.02.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        positions: Row and column of each token, integer or float. Defaults to `None`,
            which counts the rows and columns of the grid.
        start_index: Row of the first token. Defaults to 0.
        mask: Padding mask, for conventions that count only valid tokens, and for the
            extent of each sample: its last valid row and column + 1, unless `grid` or
            flattened inputs tell it. Defaults to `None`, the extent of the inputs.
        grid: The grid of flattened inputs, one for all samples or one for each, whose
            tokens come first; tokens beyond it have no encoding. Of several images
            of a sample, one behind the other, one for each, zeros for none. Defaults
            to `None`, the `height` and `width` of the layer.

    Masking: the mask of `inputs` is passed on unchanged.

    Precision: as `PositionEmbedding1D`; tables are resized in float32.

    Raises:
        TypeError: if positions are float and the table has no interpolation.
        ValueError: if an argument is not as said above, if tokens and grid do not
            fit, or if the grid is not that of the layer with `out_of_range="error"`.

    Example:
    A table of a 14 x 14 grid is resized to a wider image:

    >>> import numpy as np
    >>> from keras_mmembed import PositionEmbedding2D
    >>> layer = PositionEmbedding2D(
    ...     14, 14, kind="learned", interpolation="bicubic", out_of_range="resize"
    ... )
    >>> tuple(layer(np.zeros((1, 12, 20, 64))).shape)
    (1, 12, 20, 64)
    >>> tuple(layer.embeddings.shape)
    (14, 14, 64)

    References:
        A. Dosovitskiy et al., "An Image is Worth 16x16 Words", 2020, section 3.2,
        https://arxiv.org/abs/2010.11929. Unlike there, grids are never assumed to be
        square, and prefix tokens are declared.
    """

    size_names: ClassVar[tuple[str, ...]] = ("height", "width")
    combinations: ClassVar[tuple[Combination, ...]] = ("concat", "sum", "joint")
    default_combination: ClassVar[Mapping[Kind, Combination]] = {
        "sinusoidal": "concat",
        "learned": "joint",
    }

    height: int | None
    width: int | None
    height_embeddings: keras.Variable
    width_embeddings: keras.Variable

    def __init__(
        self,
        height: int | None = None,
        width: int | None = None,
        *,
        kind: AxisKinds = "sinusoidal",
        convention: ConventionName = "transformer",
        combination: Combination | None = None,
        axis_order: Sequence[str] | None = None,
        cosine_first: bool | None = None,
        offset: float | None = None,
        scale: float | Sequence[float] = 1.0,
        max_wavelength: float = 10000,
        interpolation: Interpolation | None = None,
        antialias: bool = False,
        align_corners: bool = False,
        out_of_range: OutOfRange = "error",
        num_prefix_tokens: int = 0,
        block_size: int = 1,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            (height, width),
            kind=kind,
            convention=convention,
            combination=combination,
            axis_order=axis_order,
            cosine_first=cosine_first,
            offset=offset,
            scale=scale,
            max_wavelength=max_wavelength,
            interpolation=interpolation,
            antialias=antialias,
            align_corners=align_corners,
            out_of_range=out_of_range,
            num_prefix_tokens=num_prefix_tokens,
            block_size=block_size,
            embeddings_initializer=embeddings_initializer,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PositionEmbedding3D(PositionEmbedding):
    """Adds a positional encoding to a clip of tokens: frames of rows and columns.

    The encodings of the frame and of the position in the frame are added up:

        PE[t, h, w] = PE_temporal[t] + PE_spatial[h, w]

    where `PE_spatial` is that of `PositionEmbedding2D` and `PE_temporal` that of
    `PositionEmbedding1D`, both of the whole width.

    Shapes:
        inputs: `(batch, frames, height, width, channels)`, or flattened frame by frame
            `(batch, num_prefix_tokens + frames * height * width, channels)`.
        positions: `(frames,)` or `(batch, frames)`, the time of each frame;
            `(tokens, 3)` or `(batch, tokens, 3)`: frame, row and column of each token;
            or with the axes of the clip, `(frames, height, width, 3)`.
        grid: three integers, or a tensor `(3,)`, `(batch, 3)` or `(batch, clips, 3)`.
        start_index: an integer, or `(batch,)`, integer.
        mask: the axes of the tokens, bool.
        outputs: as `inputs`, compute dtype.
        frames_embeddings, height_width_embeddings: `(frames, channels)` and
            `(height, width, channels)`, trainable, if learned.
        frames_embeddings, height_embeddings, width_embeddings: an axis each, of all
            channels for a sum, of a third for a concatenation; trainable, if learned.
        embeddings: `(frames, height, width, channels)`, trainable, if learned and
            joint.
        prefix_embeddings: `(num_prefix_tokens, channels)`, trainable, if learned.

    Args:
        frames: Number of frames. Defaults to `None`, any; learned tables need it, and
            so do flattened inputs without `grid`.
        height: Number of rows. Defaults to `None`, as `frames`.
        width: Number of columns. Defaults to `None`, as `frames`.
        kind: `"sinusoidal"` (default) or `"learned"`, or a kind for each axis, in order
            or by name: `("sinusoidal", "learned", "learned")` for a learned table of
            space and sinusoids of time. `None` for an axis that is not encoded:
            `("learned", None, None)` for a vector of each frame.
        convention: Whose formula: `"transformer"` (default), `"videomae"`,
            `"scenic"`, ...; see `keras_mmembed.positions.conventions`.
        combination: `"space_time"` as above; `"concat"` or `"sum"` of an encoding per
            axis; or for learned tables `"joint"`, one table of all axes. Defaults to
            `None`: `"space_time"`, unless the convention says otherwise.
        axis_order: The axes in the order of their channels, where they are
            concatenated, such as `("frames", "width", "height")`. Defaults to `None`,
            that of the convention.
        cosine_first: Whether the cosine of a frequency comes before its sine, and with
            halves all cosines before all sines. Defaults to `None`, as in the
            convention: `False`.
        offset: Position of the first token where positions are counted: 2 for the
            tables of BART; 0.5, the middle of the first token, for the sinusoids of
            Deformable DETR. Defaults to `None`, that of the convention, which is 0 in
            most.
        scale: Factor of all positions, or one for each axis: `(25, 1, 1)` for times in
            seconds and 25 position ids per second. Defaults to 1.
        max_wavelength: The longest wavelength of a sinusoidal encoding, in positions
            per radian. Defaults to 10000.
        interpolation: Interpolation between the rows of a learned table, and to
            another size: `"nearest"`, `"bilinear"`, `"bicubic"`, or `None` (default)
            for integer positions only.
        antialias: Whether to widen the kernel where a resized table shrinks. Defaults
            to `False`.
        align_corners: Whether the corners of a resized table stay in place. Defaults
            to `False`.
        out_of_range: Treatment of a clip of other sizes, as for
            `PositionEmbedding2D`: `"error"` (default), `"resize"`,
            `"resize_longer"`, `"clip"` or `"zero"`.
        num_prefix_tokens: Number of tokens in front of a flattened clip, such as a
            class token. They have rows of their own if learned, else no encoding.
            Defaults to 0.
        block_size: Rows and columns of the blocks that flattened tokens come in, one
            block after the other, as for a model that merges 2 x 2 patches (Qwen2-VL,
            Qwen3-VL). Defaults to 1, row by row.
        embeddings_initializer: Initializer of the learned tables. Defaults to `None`,
            a normal distribution of standard deviation 0.02.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        positions: Frame, row and column of each token, or the time of each frame,
            beside which rows and columns are counted; integer or float. Defaults to
            `None`, which counts those of the clip.
        start_index: Number of the first frame. Defaults to 0.
        mask: Padding mask, for conventions that count only valid tokens, and for the
            extent of each sample: its last valid row and column + 1, unless `grid` or
            flattened inputs tell it. Defaults to `None`, the extent of the inputs.
        grid: The sizes of flattened clips, one for all samples or one for each, whose
            tokens come first; tokens beyond it have no encoding. Of several clips of
            a sample, one behind the other, one for each, zeros for none. Defaults to
            `None`, the sizes of the layer.

    Masking: the mask of `inputs` is passed on unchanged.

    Precision: as `PositionEmbedding2D`.

    Raises:
        TypeError: if positions are float and the table has no interpolation.
        ValueError: if an argument is not as said above, if tokens and grid do not
            fit, or if the clip is not that of the layer with `out_of_range="error"`.

    Example:
    Between two frames, all tokens differ by the temporal encoding alone:

    >>> import numpy as np
    >>> from keras_mmembed import PositionEmbedding3D
    >>> y = np.array(PositionEmbedding3D()(np.zeros((1, 2, 3, 3, 12))))[0]
    >>> steps = y[1] - y[0]
    >>> bool(np.allclose(steps, steps[0, 0], atol=1e-6))
    True

    References:
        G. Bertasius et al., "Is Space-Time Attention All You Need for Video
        Understanding?", 2021, https://arxiv.org/abs/2102.05095. Unlike there, tokens
        come frame by frame, and a class token is declared as a prefix.
    """

    size_names: ClassVar[tuple[str, ...]] = ("frames", "height", "width")
    combinations: ClassVar[tuple[Combination, ...]] = (
        "space_time",
        "concat",
        "sum",
        "joint",
    )
    default_combination: ClassVar[Mapping[Kind, Combination]] = {
        "sinusoidal": "space_time",
        "learned": "space_time",
    }

    frames: int | None
    height: int | None
    width: int | None
    frames_embeddings: keras.Variable
    height_width_embeddings: keras.Variable
    height_embeddings: keras.Variable
    width_embeddings: keras.Variable

    def __init__(
        self,
        frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
        *,
        kind: AxisKinds = "sinusoidal",
        convention: ConventionName = "transformer",
        combination: Combination | None = None,
        axis_order: Sequence[str] | None = None,
        cosine_first: bool | None = None,
        offset: float | None = None,
        scale: float | Sequence[float] = 1.0,
        max_wavelength: float = 10000,
        interpolation: Interpolation | None = None,
        antialias: bool = False,
        align_corners: bool = False,
        out_of_range: OutOfRange = "error",
        num_prefix_tokens: int = 0,
        block_size: int = 1,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            (frames, height, width),
            kind=kind,
            convention=convention,
            combination=combination,
            axis_order=axis_order,
            cosine_first=cosine_first,
            offset=offset,
            scale=scale,
            max_wavelength=max_wavelength,
            interpolation=interpolation,
            antialias=antialias,
            align_corners=align_corners,
            out_of_range=out_of_range,
            num_prefix_tokens=num_prefix_tokens,
            block_size=block_size,
            embeddings_initializer=embeddings_initializer,
            **kwargs,
        )
