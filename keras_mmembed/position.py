"""Layers that add position encodings to sequences, grids and clips."""

import keras

from keras_mmembed._position import PositionEmbedding


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PositionEmbedding1D(PositionEmbedding):
    size_names = ("max_length",)
    combinations = ()
    default_combination = {"sinusoidal": "joint", "learned": "joint"}

    def __init__(self, max_length=None, **kwargs):
        super().__init__((max_length,), **kwargs)


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PositionEmbedding2D(PositionEmbedding):
    size_names = ("height", "width")
    combinations = ("concat", "sum", "joint")
    default_combination = {"sinusoidal": "concat", "learned": "joint"}

    def __init__(self, height=None, width=None, **kwargs):
        super().__init__((height, width), **kwargs)


@keras.saving.register_keras_serializable(package="keras_mmembed")
class PositionEmbedding3D(PositionEmbedding):
    size_names = ("frames", "height", "width")
    combinations = ("space_time", "concat", "sum", "joint")
    default_combination = {"sinusoidal": "space_time", "learned": "space_time"}

    def __init__(self, frames=None, height=None, width=None, **kwargs):
        super().__init__((frames, height, width), **kwargs)
