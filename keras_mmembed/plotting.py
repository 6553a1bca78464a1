"""Plots of positional encodings, of their similarity, and of a fused sequence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.call_arguments import as_array
from keras_mmembed.common.types import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_encoding(
    layer: keras.layers.Layer, shape: Sequence[int], axes: "Axes | None" = None
) -> "Axes":
    """Plot the positional encoding that a layer adds: tokens down, channels across.

    Shapes:
        shape: `(length, width)`, `(height, width, channels)` or
            `(frames, height, width, channels)`; the cells of a grid follow each other
            row by row.

    Args:
        layer: A position layer.
        shape: Shape of the inputs of the layer, without the batch axis.
        axes: The matplotlib axes to plot on; by default those of a new figure.

    Returns:
        The matplotlib axes.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if an argument is of the wrong kind.
        ValueError: if the layer does not accept inputs of this shape, its outputs have
            another, or are not finite.

    Example:
    >>> from keras_mmembed import PositionEmbedding1D, plot_encoding
    >>> axes = plot_encoding(PositionEmbedding1D(), (50, 64))
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('channel', 'position')
    """
    name = "plot_encoding"
    axes = _axes(name, axes)
    shape = _check_shape(
        name,
        shape,
        (2, 3, 4),
        "(length, width), (height, width, channels) or "
        "(frames, height, width, channels)",
    )
    encoding = _encoding(name, layer, shape)
    limit = np.abs(encoding).max() or 1.0
    axes.imshow(encoding, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xlabel("channel")
    axes.set_ylabel("position" if len(shape) == 2 else "position, row by row")
    return axes


def plot_similarity(
    layer: keras.layers.Layer, shape: Sequence[int], axes: "Axes | None" = None
) -> "Axes":
    """Plot the cosine similarity of the positional encodings of every two positions.

    For a sequence the plot is a square, position by position. For a grid it is a map
    for each cell, placed where the cell is: the similarity of that cell to all cells.

    Shapes:
        shape: `(length, width)` or `(height, width, channels)`.

    Args:
        layer: A position layer.
        shape: Shape of the inputs of the layer, without the batch axis.
        axes: The matplotlib axes to plot on; by default those of a new figure.

    Returns:
        The matplotlib axes.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if an argument is of the wrong kind.
        ValueError: if the layer does not accept inputs of this shape, its outputs have
            another, or are not finite.

    Example:
    >>> from keras_mmembed import PositionEmbedding2D, plot_similarity
    >>> axes = plot_similarity(PositionEmbedding2D(), (7, 7, 64))
    >>> axes.images[0].get_array().shape
    (49, 49)

    References:
        A. Dosovitskiy et al., "An Image Is Worth 16x16 Words", 2021, figure 7,
            https://arxiv.org/abs/2010.11929.
    """
    name = "plot_similarity"
    axes = _axes(name, axes)
    rule = "(length, width) or (height, width, channels)"
    shape = _check_shape(name, shape, (2, 3), rule)
    similarity = _cosine_similarity(_encoding(name, layer, shape))
    if len(shape) == 2:
        _show_similarity(axes, similarity)
        axes.set_xlabel("position")
        axes.set_ylabel("position")
    else:
        height, width = shape[:2]
        _show_similarity(axes, _maps_of_cells(similarity, height, width))
        _mark_cells(axes, height, width)
    return axes


def plot_layout(
    fused: dict[str, Tensor],
    modalities: Sequence[str],
    sample: int = 0,
    axes: "Axes | None" = None,
) -> "Axes":
    """Plot the modality, padding mask and coordinates of the tokens of a sample.

    Every token is a box in the color of its modality, hatched if it is padding. Below
    are bars for its three coordinates; the largest one of an axis has full height.

    Args:
        fused: The dict that `MultiModalFusion` returns with `return_dict=True`.
        modalities: Names of the modalities, in the order of their ids; those of the
            fusion are `fusion.modalities`.
        sample: Index of the sample in the batch; the first by default.
        axes: The matplotlib axes to plot on; by default those of a new figure.

    Returns:
        The matplotlib axes.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if an argument is of the wrong kind.
        ValueError: if `fused` is not such a dict, has no values yet, or has more
            modalities than names; or if `sample` is not in the batch.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import MultiModalFusion, plot_layout
    >>> fusion = MultiModalFusion({
    ...     "text": {"type": "1d", "dim": 8},
    ...     "image": {"type": "2d", "dim": 8},
    ... }, unified_dim=8, cls_token=True, return_dict=True)
    >>> fused = fusion({"text": np.ones((1, 5, 8)), "image": np.ones((1, 2, 3, 8))})
    >>> axes = plot_layout(fused, fusion.modalities)
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['special', 'text', 'image']
    """
    name, keys = "plot_layout", ("modality_ids", "mask", "positions")
    axes = _axes(name, axes)
    checks.check_fused(name, fused, keys)
    arrays = _arrays(name, fused, keys)
    sample = checks.check_integer(name, "sample", sample, minimum=0)
    rule = f"be below {len(arrays[0])}, the number of samples"
    checks.check(sample < len(arrays[0]), name, "sample", rule, sample)
    ids, valid, positions = (array[sample] for array in arrays)
    names = ("special", *_check_names(name, modalities, ids))
    for index in sorted(set(ids)):
        tokens = np.flatnonzero(ids == index)
        color = "lightgray" if index < 0 else f"C{index}"
        axes.bar(tokens, 1.0, 0.9, 3.6, color=color, label=names[index + 1])
    padding = np.flatnonzero(~valid)
    axes.bar(padding, 1.0, 0.9, 3.6, color="none", hatch="////", edgecolor="white")
    for line, coordinates in enumerate(positions.T[::-1]):
        height = coordinates / max(coordinates.max(), 1.0)
        axes.bar(np.arange(len(ids)), 0.8 * height, 0.9, 1.2 * line, color="dimgray")
    axes.set_yticks(
        [0.4, 1.6, 2.8, 4.1], ["column", "row", "frame or time", "modality"]
    )
    axes.set_xlabel("token")
    axes.set_xlim(-0.6, len(ids) - 0.4)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(names))
    return axes


def _check_shape(
    function: str, shape: Any, ranks: tuple[int, ...], axes: str
) -> tuple[int, ...]:
    """Return the shape of the inputs of a layer, without the batch axis."""
    rule = "be integers, one for each axis but that of the batch"
    is_list = isinstance(shape, (list, tuple))
    checks.check(is_list, function, "shape", rule, repr(shape), error=TypeError)
    checks.check_rank(function, "shape", tuple(shape), ranks, axes)
    return tuple(checks.check_integer(function, "shape", size) for size in shape)


def _check_names(function: str, names: Any, ids: np.ndarray) -> tuple[str, ...]:
    """Return the names of the modalities; raise if there are too few for `ids`."""
    is_list = isinstance(names, (list, tuple))
    rule = "be a list of names"
    checks.check(is_list, function, "modalities", rule, repr(names), error=TypeError)
    names = checks.check_names(function, "modalities", names)
    number = int(ids.max(initial=-1)) + 1
    rule = f"name the {number} modalities of `fused`"
    checks.check(len(names) >= number, function, "modalities", rule, list(names))
    return names


def _arrays(
    function: str, fused: dict[str, Tensor], keys: Sequence[str]
) -> list[np.ndarray]:
    """Return ids, padding mask and positions of all tokens as arrays."""
    kinds = {"modality_ids": "integer", "mask": None, "positions": "number"}
    tokens: tuple[int, ...] = ()
    arrays = []
    for key in keys:
        array = _tokens(function, f"fused[{key!r}]", fused[key], kinds[key])
        tokens = tokens or array.shape[:2]
        axes = "(batch, length, 3)" if key == "positions" else "(batch, length)"
        expected = (*tokens, 3) if key == "positions" else tokens
        rule = f"be {axes}" if len(tokens) != 2 else f"be {axes}, here {expected}"
        fits = array.shape == expected and len(tokens) == 2
        checks.check(fits, function, f"fused[{key!r}].shape", rule, array.shape)
        arrays.append(array)
    ids, valid, positions = arrays
    rule = "be at least -1, the id of special tokens"
    fits, argument = bool(np.all(ids >= -1)), "fused['modality_ids']"
    checks.check(fits, function, argument, rule, ids.min(initial=0))
    return [ids.astype("int64"), valid.astype(bool), positions]


def _tokens(function: str, argument: str, tensor: Any, kind: Any) -> np.ndarray:
    """Return what a fusion says of each token as an array."""
    has_values = not isinstance(tensor, keras.KerasTensor)
    rule, remedy = "have values", "Call the fusion on arrays."
    checks.check(has_values, function, argument, rule, "a symbolic tensor", remedy)
    tensor = as_array(function, argument, tensor)
    if kind is None:
        tensors.check_flags(function, argument, tensor)
    else:
        tensors.check_kind(function, argument, tensor, kind)
    array = np.asarray(ops.convert_to_numpy(tensor))
    is_finite = kind is None or bool(np.isfinite(array).all())
    checks.check(is_finite, function, argument, "be finite", "NaN or infinity")
    return array


def _encoding(
    function: str, layer: keras.layers.Layer, shape: tuple[int, ...]
) -> np.ndarray:
    """Return the encodings `(tokens, width)` that a layer adds to zeros."""
    is_layer = isinstance(layer, keras.layers.Layer)
    rule = "be a Keras layer that adds an encoding"
    checks.check(is_layer, function, "layer", rule, repr(layer), error=TypeError)
    outputs = layer(np.zeros((1, *shape), "float32"))
    array = _to_numpy(ops.cast(outputs, "float32"))
    rule = f"have outputs of the shape {shape} of its inputs"
    fits = array.shape[1:] == shape
    checks.check(fits, function, "layer", rule, array.shape[1:])
    is_finite = bool(np.isfinite(array).all())
    checks.check(is_finite, function, "layer", "add finite numbers", "nan or inf")
    return array.reshape(-1, shape[-1])


def _cosine_similarity(encoding: np.ndarray) -> np.ndarray:
    """Return the similarity `(tokens, tokens)` of encodings `(tokens, width)`."""
    norm = np.linalg.norm(encoding, axis=-1, keepdims=True)
    encoding = encoding / np.where(norm == 0, 1.0, norm)
    return encoding @ encoding.T


def _maps_of_cells(similarity: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a map `(height, width)` for each cell, placed where the cell is."""
    maps = similarity.reshape(height, width, height, width)
    return maps.transpose(0, 2, 1, 3).reshape(height**2, width**2)


def _show_similarity(axes: "Axes", similarity: np.ndarray) -> None:
    image = axes.imshow(similarity, cmap="viridis", vmax=1.0)
    axes.figure.colorbar(image, ax=axes, label="cosine similarity")


def _mark_cells(axes: "Axes", height: int, width: int) -> None:
    """Number the cells on both sides, and draw lines between them."""
    axes.set_xticks(_centers(width), list(map(str, range(width))))
    axes.set_yticks(_centers(height), list(map(str, range(height))))
    axes.set_xlabel("column")
    axes.set_ylabel("row")
    for edge in range(1, width):
        axes.axvline(edge * width - 0.5, color="white", linewidth=0.8)
    for edge in range(1, height):
        axes.axhline(edge * height - 0.5, color="white", linewidth=0.8)


def _centers(size: int) -> np.ndarray:
    """Return the middle of each of `size` maps that are `size` pixels long."""
    return np.arange(size) * size + (size - 1) / 2


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor))


def _axes(function: str, axes: "Axes | None") -> "Axes":
    """Return the axes to plot on."""
    try:
        from matplotlib import axes as mpl_axes
        from matplotlib import pyplot
    except ImportError as error:
        remedy = 'Install it with `pip install "keras-mmembed[plot]"`.'
        text = checks.error_text(
            function, "matplotlib", "be installed", "nothing", remedy
        )
        raise ImportError(text) from error
    if axes is None:
        return pyplot.subplots(layout="constrained")[1]
    fits = isinstance(axes, mpl_axes.Axes)
    rule = "be matplotlib axes or None"
    checks.check(fits, function, "axes", rule, repr(axes), error=TypeError)
    return axes
