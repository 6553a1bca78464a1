"""Draws the figures of the documentation: `python docs/make_figures.py`."""

from pathlib import Path

import keras
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import keras_mmembed as mm

FIGURES = Path(__file__).parent / "figures"


def save(figure, name):
    """Write a figure and close it."""
    figure.savefig(FIGURES / f"{name}.png", dpi=90)
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


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    draw_encodings()
    draw_similarities()
    draw_layout()
