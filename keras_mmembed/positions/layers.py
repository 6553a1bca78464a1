"""Layers that add position encodings to sequences, grids and clips."""

from collections.abc import Mapping
from typing import ClassVar, Unpack

import keras

from keras_mmembed.common.types import Initializer, LayerArguments
from keras_mmembed.positions.base import PositionEmbedding
from keras_mmembed.positions.conventions import Combination, ConventionName, Kind
from keras_mmembed.positions.grid_spec import OutOfRange
from keras_mmembed.positions.interpolation import Interpolation


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PositionEmbedding1D(PositionEmbedding):
    """Adds to each token of a sequence where it stands, by sines or a learned table.

    With `kind="sinusoidal"` and the convention `"transformer"`, channels `2i` and
    `2i + 1` of the token at position `p` get

        PE[p, 2i]     = sin(p / max_wavelength ** (2i / width))
        PE[p, 2i + 1] = cos(p / max_wavelength ** (2i / width))

    and with `kind="learned"` the token gets row `p` of a table. Then

        outputs[..., t, :] = inputs[..., t, :] + PE[start_index + t, :]

    Shapes:
        inputs: `(..., length, width)`; any width, any of the axes unknown.
        positions: `(length,)` or `(batch, length)`, integer or float.
        start_index: an integer, or `(batch,)`, integer.
        mask: `(batch, length)`, bool.
        outputs: as `inputs`, compute dtype.
        embeddings: `(max_length, width)`, trainable, if learned.
        prefix_embeddings: `(num_prefix_tokens, width)`, trainable, if learned.

    Args:
        max_length: Number of positions, in tokens; needed for a learned table. If it
            is given, `out_of_range` says what becomes of positions beyond it.
        kind: `"sinusoidal"` or `"learned"`.
        convention: Whose formula: `"transformer"`, or one of those in
            `keras_mmembed.positions.conventions`, such as `"whisper"`, `"kosmos2"`,
            `"roberta"`.
        combination: `None`; one axis leaves nothing to combine.
        max_wavelength: The longest wavelength of a sinusoid, in positions per radian.
        interpolation: How a learned table is read between rows: `"nearest"`,
            `"bilinear"`, `"bicubic"`, or `None` for whole positions only.
        antialias: Whether to widen the kernel where a resized table shrinks.
        align_corners: Whether a resized table keeps its first and last rows in place.
        out_of_range: What positions beyond `max_length` become: `"error"`; `"clip"`,
            the last position; `"zero"`, no encoding; `"resize"`: the table, or the
            sinusoid, is stretched over a sequence that is longer than `max_length`.
        num_prefix_tokens: Number of tokens in front, such as a class token, that are
            no part of the count. They get rows of their own if learned, else nothing.
        embeddings_initializer: Initializer of the tables; normal, 0.02, by default.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        positions: Where the tokens other than prefix tokens stand, in place of
            0, 1, 2, ...; floats are seconds or the like.
        start_index: Position of the first token, for decoding with a cache.
        mask: Valid tokens. Only conventions that count valid tokens read it.
        grid: `None`; for the layers of more axes.

    Masking: a mask on `inputs` is passed on. For positions that skip padding use
    `positions_from_mask`, for packed rows `positions_from_ids`.

    Precision: angles are reduced to a turn without rounding, so that sinusoids are
    within 4e-6 of the formula for positions up to 2 ** 24; the sum is taken in
    float32 and rounded once.

    Raises:
        TypeError: if positions are float and the table has no interpolation.
        ValueError: if an argument is not as said above, or positions are known to be
            beyond `max_length` with `out_of_range="error"`. A compiled step cannot
            raise; it warns, and reads the nearest row, or goes on with the formula.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import (PositionEmbedding1D)
    >>> layer = PositionEmbedding1D()
    >>> whole = np.array(layer(np.zeros((1, 6, 8))))

    The last two tokens of a text that is decoded step by step get the same encoding:

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
        kind: Kind = "sinusoidal",
        convention: ConventionName = "transformer",
        combination: Combination | None = None,
        max_wavelength: float = 10000,
        interpolation: Interpolation | None = None,
        antialias: bool = False,
        align_corners: bool = False,
        out_of_range: OutOfRange = "error",
        num_prefix_tokens: int = 0,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            (max_length,),
            kind=kind,
            convention=convention,
            combination=combination,
            max_wavelength=max_wavelength,
            interpolation=interpolation,
            antialias=antialias,
            align_corners=align_corners,
            out_of_range=out_of_range,
            num_prefix_tokens=num_prefix_tokens,
            embeddings_initializer=embeddings_initializer,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PositionEmbedding2D(PositionEmbedding):
    """Adds to each token of a grid, such as the patches of an image, where it stands.

    The encodings of row and column share the channels half and half:

        PE[h, w] = [PE_height[h], PE_width[w]]

    each by the formula of `PositionEmbedding1D`; or `PE[h, w]` is an entry of a
    learned table.

    Shapes:
        inputs: `(batch, height, width, channels)`, or row by row
            `(batch, num_prefix_tokens + height * width, channels)`.
        positions: `(tokens, 2)` or `(batch, tokens, 2)`, row and column of each token.
        grid: two integers, or a tensor `(2,)` or `(batch, 2)`.
        start_index: an integer, or `(batch,)`: the row of the first token.
        mask: the axes of the tokens, bool.
        outputs: as `inputs`, compute dtype.
        embeddings: `(height, width, channels)`, trainable, if learned and joint.
        height_embeddings, width_embeddings: `(height, channels)` and
            `(width, channels)`, or their shares of the channels, if learned apart.
        prefix_embeddings: `(num_prefix_tokens, channels)`, trainable, if learned.

    Args:
        height: Number of rows; needed for learned tables, and for inputs that are
            given row by row without `grid`.
        width: Number of columns; likewise.
        kind: `"sinusoidal"` or `"learned"`.
        convention: Whose formula: `"transformer"`, `"mae"`, `"detr"`, `"simple_vit"`,
            `"mocov3"`, ...; see `keras_mmembed.positions.conventions`.
        combination: How row and column are combined: `"concat"`, `"sum"`, or for
            learned tables `"joint"`. By default sinusoids are concatenated and
            learned tables are joint.
        max_wavelength: The longest wavelength of a sinusoid, in positions per radian.
        interpolation: How a learned table is read between rows, or at another size:
            `"nearest"`, `"bilinear"`, `"bicubic"`, or `None`.
        antialias: Whether to widen the kernel where a resized table shrinks.
        align_corners: Whether a resized table keeps its corners in place.
        out_of_range: What becomes of another grid than `height` by `width`:
            `"error"`; `"resize"`, the table or the sinusoid is stretched over it;
            `"clip"` or `"zero"`, rows and columns beyond get the last encoding or
            none.
        num_prefix_tokens: Number of tokens in front that are no part of the grid.
        embeddings_initializer: Initializer of the tables; normal, 0.02, by default.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        positions: Row and column of each token, in place of those of a grid.
        start_index: Row of the first token.
        mask: Valid tokens. Only conventions that count valid tokens read it.
        grid: The grid of inputs that are given row by row: one for all, or one per
            sample, whose tokens come first; the tokens after them get no encoding.

    Masking: a mask on `inputs` is passed on.

    Precision: as `PositionEmbedding1D`; resizing works in float32.

    Raises:
        TypeError: if positions are float and the table has no interpolation.
        ValueError: if an argument is not as said above, if tokens and grid do not
            fit, or if the grid is not that of the layer with `out_of_range="error"`.

    Example:
    A table learned on a 14 x 14 grid reads a wider picture:

    >>> import numpy as np
    >>> from keras_mmembed import (PositionEmbedding2D)
    >>> layer = PositionEmbedding2D(
    ...     14, 14, kind="learned", interpolation="bicubic", out_of_range="resize"
    ... )
    >>> tuple(layer(np.zeros((1, 12, 20, 64))).shape)
    (1, 12, 20, 64)
    >>> tuple(layer.embeddings.shape)
    (14, 14, 64)

    References:
        A. Dosovitskiy et al., "An Image is Worth 16x16 Words", 2020, section 3.2,
        https://arxiv.org/abs/2010.11929. Unlike there, grids are never taken to be
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

    def __init__(
        self,
        height: int | None = None,
        width: int | None = None,
        *,
        kind: Kind = "sinusoidal",
        convention: ConventionName = "transformer",
        combination: Combination | None = None,
        max_wavelength: float = 10000,
        interpolation: Interpolation | None = None,
        antialias: bool = False,
        align_corners: bool = False,
        out_of_range: OutOfRange = "error",
        num_prefix_tokens: int = 0,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            (height, width),
            kind=kind,
            convention=convention,
            combination=combination,
            max_wavelength=max_wavelength,
            interpolation=interpolation,
            antialias=antialias,
            align_corners=align_corners,
            out_of_range=out_of_range,
            num_prefix_tokens=num_prefix_tokens,
            embeddings_initializer=embeddings_initializer,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PositionEmbedding3D(PositionEmbedding):
    """Adds to each token of a video clip where and when it stands.

    The encoding of the frame and that of the place in the frame are added up:

        PE[t, h, w] = PE_temporal[t] + PE_spatial[h, w]

    where `PE_spatial` is that of `PositionEmbedding2D` and `PE_temporal` that of
    `PositionEmbedding1D`, both of the whole width.

    Shapes:
        inputs: `(batch, frames, height, width, channels)`, or frame by frame
            `(batch, num_prefix_tokens + frames * height * width, channels)`.
        positions: `(tokens, 3)` or `(batch, tokens, 3)`: frame, row and column.
        grid: three integers, or a tensor `(3,)` or `(batch, 3)`.
        start_index: an integer, or `(batch,)`: the first frame.
        mask: the axes of the tokens, bool.
        outputs: as `inputs`, compute dtype.
        frames_embeddings, height_width_embeddings: `(frames, channels)` and
            `(height, width, channels)`, trainable, if learned.
        embeddings: `(frames, height, width, channels)`, if learned and joint.
        prefix_embeddings: `(num_prefix_tokens, channels)`, trainable, if learned.

    Args:
        frames: Number of frames; needed for learned tables, and for inputs that are
            given frame by frame without `grid`.
        height: Number of rows; likewise.
        width: Number of columns; likewise.
        kind: `"sinusoidal"` or `"learned"`.
        convention: Whose formula: `"transformer"`, `"videomae"`, `"scenic"`, ...; see
            `keras_mmembed.positions.conventions`.
        combination: `"space_time"` as above; `"concat"` or `"sum"` of an encoding per
            axis; or for learned tables `"joint"`.
        max_wavelength: The longest wavelength of a sinusoid, in positions per radian.
        interpolation: How a learned table is read between rows, or at another size.
        antialias: Whether to widen the kernel where a resized table shrinks.
        align_corners: Whether a resized table keeps its corners in place.
        out_of_range: What becomes of a clip of other sizes, as for
            `PositionEmbedding2D`.
        num_prefix_tokens: Number of tokens in front that are no part of the clip.
        embeddings_initializer: Initializer of the tables; normal, 0.02, by default.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens.
        positions: Frame, row and column of each token, in place of those of a clip.
        start_index: Number of the first frame.
        mask: Valid tokens. Only conventions that count valid tokens read it.
        grid: The sizes of a clip that is given frame by frame, for all or per sample.

    Masking: a mask on `inputs` is passed on.

    Precision: as `PositionEmbedding2D`.

    Raises:
        TypeError: if positions are float and the table has no interpolation.
        ValueError: if an argument is not as said above, or the clip does not fit.

    Example:
    The same place one frame later differs by the temporal encoding alone:

    >>> import numpy as np
    >>> from keras_mmembed import (PositionEmbedding3D)
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

    def __init__(
        self,
        frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
        *,
        kind: Kind = "sinusoidal",
        convention: ConventionName = "transformer",
        combination: Combination | None = None,
        max_wavelength: float = 10000,
        interpolation: Interpolation | None = None,
        antialias: bool = False,
        align_corners: bool = False,
        out_of_range: OutOfRange = "error",
        num_prefix_tokens: int = 0,
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            (frames, height, width),
            kind=kind,
            convention=convention,
            combination=combination,
            max_wavelength=max_wavelength,
            interpolation=interpolation,
            antialias=antialias,
            align_corners=align_corners,
            out_of_range=out_of_range,
            num_prefix_tokens=num_prefix_tokens,
            embeddings_initializer=embeddings_initializer,
            **kwargs,
        )
