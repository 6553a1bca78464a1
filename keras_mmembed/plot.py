"""Pictures of encodings, of their similarity, and of a fused sequence."""

import numpy as np
from keras import ops

from keras_mmembed import _checks


def plot_encoding(layer, shape, axes=None):
    """Draw what a position layer adds to every token, one row of pixels per token.

    Shapes:
        shape: `(length, width)`, `(height, width, channels)` or
            `(frames, height, width, channels)`; grids are drawn row by row.

    Args:
        layer: A position layer.
        shape: Shape of the input without its batch axis; a tuple of integers.
        axes: Where to draw; a new figure by default.

    Returns:
        The matplotlib axes.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if the layer does not take such an input.

    Example:
    >>> from keras_mmembed import PositionEmbedding1D, plot_encoding
    >>> axes = plot_encoding(PositionEmbedding1D(), (50, 64))
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('channel', 'position')
    """
    axes = _axes("plot_encoding", axes)
    encoding = _encoding("plot_encoding", layer, shape).reshape(-1, shape[-1])
    limit = np.abs(encoding).max() or 1.0
    axes.imshow(encoding, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xlabel("channel")
    axes.set_ylabel("position" if len(shape) == 2 else "position, row by row")
    return axes


def plot_similarity(layer, shape, axes=None):
    """Draw the cosine similarity of the encodings of every two positions.

    A sequence gives a square, position against position. A grid gives a map for each
    of its cells, laid out as the cells are: the similarity of that cell to all.

    Shapes:
        shape: `(length, width)` or `(height, width, channels)`.

    Args:
        layer: A position layer.
        shape: Shape of the input without its batch axis; a tuple of integers.
        axes: Where to draw; a new figure by default.

    Returns:
        The matplotlib axes.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if the layer does not take such an input.

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
    _checks.check_rank(
        name, "shape", shape, (2, 3), "(length, width) or (height, width, channels)"
    )
    axes = _axes(name, axes)
    encoding = _encoding(name, layer, shape).reshape(-1, shape[-1])
    length = np.linalg.norm(encoding, axis=-1, keepdims=True)
    encoding = encoding / np.where(length == 0, 1.0, length)
    similarity = encoding @ encoding.T
    if len(shape) == 3:
        height, width, _ = shape
        maps = similarity.reshape(height, width, height, width)
        similarity = maps.transpose(0, 2, 1, 3).reshape(height**2, width**2)
    image = axes.imshow(similarity, cmap="viridis", vmax=1.0)
    axes.figure.colorbar(image, ax=axes, label="cosine similarity")
    if len(shape) == 2:
        axes.set_xlabel("position")
        axes.set_ylabel("position")
        return axes
    for side, size, mark, label in (
        ("x", width, axes.axvline, "column"),
        ("y", height, axes.axhline, "row"),
    ):
        ticks = np.arange(size) * size + (size - 1) / 2
        axes.set(**{f"{side}ticks": ticks, f"{side}ticklabels": range(size)})
        axes.set(**{f"{side}label": label})
        for edge in range(1, size):
            mark(edge * size - 0.5, color="white", linewidth=0.8)
    return axes


def _encoding(function, layer, shape):
    shape = tuple(_checks.check_integer(function, "shape", size) for size in shape)
    outputs = layer(np.zeros((1, *shape), "float32"))
    return ops.convert_to_numpy(ops.cast(outputs, "float32"))[0]


def _axes(function, axes):
    try:
        from matplotlib import pyplot
    except ImportError as error:
        remedy = 'Install it with `pip install "keras-mmembed[plot]"`.'
        text = _checks.error_text(
            function, "matplotlib", "be installed", "nothing", remedy
        )
        raise ImportError(text) from error
    return pyplot.subplots(layout="constrained")[1] if axes is None else axes
