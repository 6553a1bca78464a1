from keras_mmembed._coordinates import positions_from_ids, positions_from_mask
from keras_mmembed.position import (
    PositionEmbedding1D,
    PositionEmbedding2D,
    PositionEmbedding3D,
)
from keras_mmembed.resize import resize_positions
