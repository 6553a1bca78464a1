"""Pictures of encodings, of their similarity, and of a fused sequence."""

import numpy as np
from keras import ops

from keras_mmembed.common import checks


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
    >>> from keras_mmembed import (PositionEmbedding1D, plot_encoding)
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
    >>> from keras_mmembed import (PositionEmbedding2D, plot_similarity)
    >>> axes = plot_similarity(PositionEmbedding2D(), (7, 7, 64))
    >>> axes.images[0].get_array().shape
    (49, 49)

    References:
        A. Dosovitskiy et al., "An Image Is Worth 16x16 Words", 2021, figure 7,
            https://arxiv.org/abs/2010.11929.
    """
    name = "plot_similarity"
    checks.check_rank(
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


def plot_layout(fused, modalities, sample=0, axes=None):
    """Draw which modality each token of a fused sequence comes from, and its place.

    Every token is a box in the color of its modality; masked ones are hatched. Under
    the boxes stand the three coordinates of the tokens, as bars; the largest of an
    axis has the full height.

    Args:
        fused: What `MultiModalFusion` returns with `return_dict=True`.
        modalities: Names of the modalities; those of the fusion are
            `fusion.modalities`.
        sample: Which sample of the batch to draw.
        axes: Where to draw; a new figure by default.

    Returns:
        The matplotlib axes.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if `fused` is not such a dict.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import (MultiModalFusion, plot_layout)
    >>> fusion = MultiModalFusion({
    ...     "text": {"type": "1d", "dim": 8},
    ...     "image": {"type": "2d", "dim": 8},
    ... }, unified_dim=8, cls_token=True, return_dict=True)
    >>> fused = fusion({"text": np.ones((1, 5, 8)), "image": np.ones((1, 2, 3, 8))})
    >>> axes = plot_layout(fused, fusion.modalities)
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['special', 'text', 'image']
    """
    keys = ("modality_ids", "mask", "positions")
    checks.check_fused("plot_layout", fused, keys)
    axes = _axes("plot_layout", axes)
    ids, valid, places = (ops.convert_to_numpy(fused[key])[sample] for key in keys)
    names = ("special", *modalities)
    for index in sorted(set(ids)):
        here = np.flatnonzero(ids == index)
        color = "lightgray" if index < 0 else f"C{index}"
        axes.bar(here, 1.0, 0.9, 3.6, color=color, label=names[index + 1])
    masked = np.flatnonzero(~valid)
    axes.bar(masked, 1.0, 0.9, 3.6, color="none", hatch="////", edgecolor="white")
    for line, place in enumerate(places.T[::-1]):
        height = place / max(place.max(), 1.0)
        axes.bar(np.arange(len(ids)), 0.8 * height, 0.9, 1.2 * line, color="dimgray")
    axes.set_yticks(
        [0.4, 1.6, 2.8, 4.1], ["column", "row", "frame or time", "modality"]
    )
    axes.set_xlabel("token")
    axes.set_xlim(-0.6, len(ids) - 0.4)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(names))
    return axes


def _encoding(function, layer, shape):
    shape = tuple(checks.check_integer(function, "shape", size) for size in shape)
    outputs = layer(np.zeros((1, *shape), "float32"))
    return ops.convert_to_numpy(ops.cast(outputs, "float32"))[0]


def _axes(function, axes):
    try:
        from matplotlib import pyplot
    except ImportError as error:
        remedy = 'Install it with `pip install "keras-mmembed[plot]"`.'
        text = checks.error_text(
            function, "matplotlib", "be installed", "nothing", remedy
        )
        raise ImportError(text) from error
    return pyplot.subplots(layout="constrained")[1] if axes is None else axes
