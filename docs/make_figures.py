"""Draws the figures of the documentation: `python docs/make_figures.py`."""

from pathlib import Path

import keras
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import keras_mmembed as mm
from keras_mmembed.attention.rotary_conventions import ROTARY_CONVENTIONS

FIGURES = Path(__file__).parent / "figures"
# of Okabe and Ito, which colour-blind readers can tell apart
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
GREY = "#DDDDDD"
AXES = {"position": 0, "frame": 0, "row": 1, "column": 2, "image": 3}


array = keras.ops.convert_to_numpy


def save(figure, name):
    """Write a figure and close it."""
    figure.savefig(FIGURES / f"{name}.png", dpi=150)
    plt.close(figure)


def draw_encodings():
    """Draw the encodings of four conventions, as tables."""
    figure, grid = plt.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    conventions = ("transformer", "whisper", "mae", "perceiver")
    shapes = ((64, 64), (64, 64), (8, 8, 64), (8, 8, 66))
    for axes, convention, shape in zip(grid.flat, conventions, shapes, strict=True):
        make = mm.PositionEmbedding1D if len(shape) == 2 else mm.PositionEmbedding2D
        mm.plot_encoding(make(convention=convention), shape, axes)
        axes.set_title(f'{make.__name__}(convention="{convention}")', fontsize=10)
    save(figure, "encodings")


def draw_similarities():
    """Draw the similarity of positions in a sequence and in a grid."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    mm.plot_similarity(mm.PositionEmbedding1D(), (64, 64), left)
    left.set_title("PositionEmbedding1D: 64 positions", fontsize=10)
    mm.plot_similarity(mm.PositionEmbedding2D(), (7, 7, 64), right)
    right.set_title("PositionEmbedding2D: each of 7x7 cells to all cells", fontsize=10)
    save(figure, "similarities")


def draw_layout():
    """Draw a fused sequence with a padded text."""
    fusion = mm.MultiModalFusion(
        {
            "text": {"type": "1d", "dim": 8},
            "image": {"type": "2d", "dim": 8},
            "video": {"type": "3d", "dim": 8},
        },
        8,
        cls_token=True,
        return_dict=True,
    )
    shapes = {"text": (9, 8), "image": (3, 4, 8), "video": (3, 2, 2, 8)}
    inputs = {name: np.zeros((1, *shape)) for name, shape in shapes.items()}
    fused = fusion(inputs, mask={"text": np.array([6])})
    figure, axes = plt.subplots(figsize=(9, 3.4), layout="constrained")
    mm.plot_layout(fused, fusion.modalities, axes=axes)
    save(figure, "layout")


def scores_of_schemes(length):
    """Yield a title, what it shows, and `(queries, keys)` for each scheme."""
    width = 64
    added = mm.PositionEmbedding1D()(np.zeros((1, length, width)))
    sines = array(added)[0]
    yield "added: sinusoidal", "dot product of encodings", sines @ sines.T
    table = np.random.default_rng(0).normal(size=(length, width)) / width**0.5
    yield "added: learned, untrained", "dot product of encodings", table @ table.T
    conv = mm.ConvPositionEmbedding(9, groups=1)
    one_by_one = np.eye(length)[:, :, None] * np.ones(width) / width
    inputs = np.concatenate([np.zeros((1, length, width)), one_by_one])
    outputs = array(conv(inputs.astype("float32")))
    effect = np.linalg.norm(outputs[1:] - inputs[1:] - outputs[:1], axis=-1)
    yield "added: convolution", "effect of a key on a query", effect.T
    same = np.ones((1, length, 1, width), "float32") / width**0.5
    turned = array(mm.RotaryEmbedding()(same, np.arange(length)))[0, :, 0]
    unit = "score of two equal vectors"
    yield "in attention: rotary", unit, turned @ turned.T
    for name in ("t5", "alibi"):
        layer = mm.RelativePositionBias(8, convention=name)
        layer(np.arange(length))
        yield bias_of(name, layer, length)


def bias_of(name, layer, length):
    """Return a title, what it shows, and `(queries, keys)` of a relative bias."""
    if name == "alibi":
        bias = array(layer(np.arange(length)))[0, 2]
        return "in attention: ALiBi", "added to scores, head 3 of 8", bias
    # the number of a bucket in place of a trained number
    (table,) = layer.weights
    table.assign(np.arange(np.prod(table.shape)).reshape(table.shape))
    bucket = array(layer(np.arange(length)))[0, 0]
    _, numbers = np.unique(bucket, return_inverse=True)
    numbers = numbers.reshape(bucket.shape)
    return "in attention: bias of T5", "number of the bucket", numbers


def draw_schemes():
    """Draw what six schemes make of the positions of a query and a key."""
    figure, grid = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
    schemes = scores_of_schemes(32)
    for axes, (title, unit, values) in zip(grid.flat, schemes, strict=True):
        image = axes.imshow(values, cmap="viridis")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("position of the key")
        axes.set_ylabel("position of the query")
        figure.colorbar(image, ax=axes, label=unit, shrink=0.85)
    save(figure, "schemes")


def draw_rotary():
    """Draw the axis and the wavelength of each channel of a head."""
    names = ["llama", "gptj", "glm", "qwen2_vl", "qwen3_vl", "glm4v"]
    names += ["hunyuan_vl", "qwen2_vl_vision", "pixtral", "vjepa2"]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4.2), layout="constrained", sharey=True
    )
    head, wavelengths = 64, np.full((len(names), 64), np.nan)
    order = [matplotlib.colors.to_rgb(color) for color in (*COLORS, GREY)]
    axis_of = np.full((len(names), head), 4)
    for row, name in enumerate(names):
        sections = {"sections": (12, 10, 10)} if name == "qwen3_vl" else {}
        channels = mm.RotaryEmbedding(name, **sections).channels(head)
        labels = [AXES[axis] for axis in ROTARY_CONVENTIONS[name].axes]
        axis_of[row, : len(channels.axis)] = np.array(labels)[channels.axis]
        wavelengths[row, : len(channels.axis)] = 2 * np.pi / channels.frequency
    left.imshow(np.array(order)[axis_of], aspect="auto", interpolation="none")
    image = right.imshow(
        wavelengths, aspect="auto", norm="log", cmap="viridis", interpolation="none"
    )
    right.set_facecolor(GREY)
    left.set_yticks(range(len(names)), [f'"{name}"' for name in names])
    for axes in (left, right):
        axes.set_xlabel("channel of a head")
    left.set_title("axis of the position that turns the channel", fontsize=10)
    right.set_title("wavelength", fontsize=10)
    figure.colorbar(image, ax=right, label="positions for one turn")
    named = ("position, frame", "row", "column", "number of the image", "not turned")
    patches = [
        matplotlib.patches.Patch(color=color, label=label)
        for color, label in zip((*COLORS, GREY), named, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=5, fontsize=9)
    save(figure, "rotary")


def draw_position_ids():
    """Draw the position ids of a text with an image and a clip, by four rules."""
    fusion = mm.MultiModalFusion(
        {
            "before": {"type": "1d", "dim": 8},
            "image": {"type": "2d", "dim": 8},
            "between": {"type": "1d", "dim": 8},
            "clip": {"type": "3d", "dim": 8},
            "after": {"type": "1d", "dim": 8},
        },
        8,
        return_dict=True,
    )
    shapes = {"before": (3,), "image": (3, 4), "between": (2,), "clip": (3, 2, 2)}
    shapes["after"] = (3,)
    fused = fusion({name: np.zeros((1, *s, 8)) for name, s in shapes.items()})
    figure, grid = plt.subplots(
        2, 2, figsize=(10, 6), layout="constrained", sharex=True, sharey=True
    )
    rules = ("sequence", "qwen2_vl", "qwen3_vl", "hunyuan_vl")
    for axes, rule in zip(grid.flat, rules, strict=True):
        options = {"modalities": fusion.modalities, "grids": ["image", "clip"]}
        options = {} if rule == "sequence" else options
        ids = array(mm.rotary_positions(fused, rule, **options))[0]
        labels = {"sequence": ["position"], "hunyuan_vl": list(AXES)[:1]}
        names = labels.get(rule, ["frame", "row", "column"])
        if rule == "hunyuan_vl":
            names = ["position", "column", "row", "image"]
        for name, values in zip(names, ids.reshape(len(ids), -1).T, strict=True):
            axes.plot(
                values,
                "os^D"[AXES[name]],
                color=COLORS[AXES[name]],
                markersize=5 - AXES[name] / 2,
                label=name,
            )
        starts = np.cumsum([0, *(np.prod(shape) for shape in shapes.values())])
        for name, start, end in zip(shapes, starts, starts[1:], strict=False):
            if name in ("image", "clip"):
                axes.axvspan(start - 0.5, end - 0.5, color=GREY, alpha=0.5, zorder=0)
                axes.text(
                    (start + end - 1) / 2,
                    0.97,
                    name,
                    ha="center",
                    va="top",
                    transform=axes.get_xaxis_transform(),
                    fontsize=9,
                )
        axes.set_title(f'rule="{rule}"', fontsize=10)
        axes.legend(fontsize=8, loc="upper left")
    for axes in grid[1]:
        axes.set_xlabel("token of the sequence")
    for axes in grid[:, 0]:
        axes.set_ylabel("position id")
    save(figure, "position_ids")


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    draw_encodings()
    draw_similarities()
    draw_layout()
    draw_schemes()
    draw_rotary()
    draw_position_ids()
