"""What calls with terms, masked tokens and row tokens refuse, and how they say it."""

import keras
import numpy as np
from messages import call, checks, flags, ids, zeros

import keras_mmembed as mm


@keras.saving.register_keras_serializable(package="tests")
class Wide(keras.layers.Layer):
    """A term of another width than the tokens."""

    def encode(self, values):
        return keras.ops.ones((4,))


TERMS = {
    "row": mm.SegmentEmbedding(3),
    "box": mm.BoxEmbedding(num_positions=9),
    "part": mm.ModalityEmbedding(["a", "b"]),
    "cell": mm.PositionEmbedding2D(4, 4),
    "words": {"layer": mm.SegmentEmbedding(3), "pooling": "mean"},
}
FUSION = mm.MultiModalFusion(
    {
        "text": {"type": "1d", "dim": 8, "terms": TERMS, "mask_token": True},
        "image": {"type": "2d", "dim": 8, "row_token": True},
        "other": {"type": "none", "dim": 8, "terms": {"wide": Wide()}},
    },
    8,
)
X, OTHER = {"text": zeros(2, 3, 8)}, {"other": zeros(2, 3, 8)}


def terms(**values):
    """Return the mistake to call the fusion with values of the terms of the text."""
    return call(FUSION, X, terms={"text": values})


test_calls = checks(
    [
        call(FUSION, X, terms=[3]).says("terms", "be a dict of a tensor", "list"),
        call(FUSION, X, terms={"sound": {}}).says("terms", "name only", "'sound'"),
        call(FUSION, X, terms={"other": {"wide": ids(2, 3)}}).says(
            "terms['other']", "come with inputs['other']", "inputs without it"
        ),
        call(FUSION, X, terms={"text": 3}).says(
            "terms['text']", "be a dict of values by term", "int"
        ),
        terms(column=ids(2, 3)).says(
            "terms['text']", "name only the terms ['row', 'box', 'part',", "'column'"
        ),
        terms(row=ids(2, 4)).says("terms['text']['row'].shape", "be (2, 3)", "(2, 4)"),
        terms(row=[ids(2), ids(3)]).says(
            "terms['text']['row']", "be a tensor or an array with one shape", "list"
        ),
        terms(row=zeros(2, 3)).says(
            "terms['text']['row'].dtype", "be integer", "float32"
        ),
        terms(row=np.full((2, 3), 3)).says("segment_ids", "lie in [0, 3)", "3"),
        terms(box=ids(2, 3, 5)).says(
            "terms['text']['box'].shape", "be (2, 3) or (2, 1), then (4,)", "(2, 3, 5)"
        ),
        terms(part=ids(2, 3, 1)).says(
            "terms['text']['part'].shape", "be (2, 3) or (2, 1)", "(2, 3, 1)"
        ),
        terms(cell=ids(2, 3)).says(
            "terms['text']['cell'].shape", "be (2, 3) or (2, 1), then (2,)", "(2, 3)"
        ),
        terms(words=ids(3, 2)).says(
            "terms['text']['words'].shape",
            "be (2, 3) or (2, 1), then (None,)",
            "(3, 2)",
        ),
        call(FUSION, OTHER, terms={"other": {"wide": ids(3)}}).says(
            "terms['other']['wide'].shape", "begin with (2, 3) or (2, 1)", "(3,)"
        ),
        call(FUSION, OTHER, terms={"other": {"wide": ids(2, 3)}}).says(
            "terms['wide']", "be a layer of the width unified_dim=8", "(4,)"
        ),
        call(FUSION, X, masked={"text": flags(2, 4)}).says(
            "masked['text'].shape", "be (2, 3)", "(2, 4)"
        ),
        call(FUSION, X, masked={"text": ids(2, 3)}).says(
            "masked['text'].dtype", "be bool, true at the tokens", "int"
        ),
        call(FUSION, {"image": zeros(2, 2, 2, 8)}, masked={"image": flags(2, 4)}).says(
            "masked['image']",
            "be left out, because the configuration has no mask_token",
            "(2, 4)",
        ),
        call(FUSION, {"image": zeros(2, 4, 8)}).says(
            "inputs['image'].shape", "be (batch, height, width, dim)", "(2, 4, 8)"
        ),
    ]
)
