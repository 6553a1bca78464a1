"""What calls of the fusion and its parts refuse, and how they say it."""

from functools import partial

import keras
import numpy as np
import pytest
from messages import call, checks, flags, ids, make, zeros
from reference import TEXT_AND_IMAGE

import keras_mmembed as mm

FUSION, NAMES, SEGMENTS = mm.MultiModalFusion, mm.ModalityEmbedding, mm.SegmentEmbedding
TEXT = {"type": "1d", "dim": 8}
PLACED = {"text": TEXT, "audio": {**TEXT, "into": "text"}}
X = zeros(2, 3, 8)
FIVE = {"text": zeros(2, 5, 8)}
BOTH = {**FIVE, "image": zeros(2, 12, 6)}
GRID = {**FIVE, "image": zeros(2, 3, 4, 6)}
MIXED = {**FIVE, "audio": zeros(2, 2, 8)}
PATCHES = {"type": "2d", "embedding": mm.PatchEmbedding(2, 8)}
FUSED, PLACING = FUSION(TEXT_AND_IMAGE, 8), FUSION(PLACED, 8)
WORDS = FUSION({"text": {**TEXT, "vocabulary_size": 9}}, 8)
ONLY = "name only the modalities ['text', 'image']"

CALLS = [
    call(SEGMENTS(2), X, segment_ids=zeros(2, 3)).says(
        "segment_ids.dtype", "be integer", "float32"
    ),
    call(NAMES(["text"]), X, modality="image").says(
        "modality", "be one of 'text'", "'image'"
    ),
    call(NAMES(["text"]), X).says(
        "modality", "be given, or else `modality_ids`, and not both", "None"
    ),
    call(NAMES(["text"]), X, modality_ids=zeros(2, 3)).says(
        "modality_ids.dtype", "be integer", "float32"
    ),
    call(FUSED, {**BOTH, "sound": X}).says("inputs", ONLY, "'sound'"),
    call(FUSED, {**BOTH, "text": zeros(2, 8)}).says(
        "inputs['text'].shape", "be (batch, length, dim)", "(2, 8)"
    ),
    call(FUSED, {**BOTH, "text": zeros(2, 5, 7)}).says(
        "inputs['text'].shape", "end with dim=8 of the configuration", "(2, 5, 7)"
    ),
    call(FUSED, {**BOTH, "image": zeros(2, 13, 6)}).says(
        "inputs.shape[1]", "be 12, for 0 prefix tokens and a grid of (3, 4)", "13"
    ),
    call(FUSED, {**BOTH, "text": ids(2, 5, 8)}).says(
        "inputs['text'].dtype", "be float", "int32"
    ),
    call(FUSED, BOTH, segment_ids={"text": ids(2, 5)}).says(
        "segment_ids['text']",
        "be left out, because the configuration has no segments",
        "(2, 5)",
    ),
    call(FUSED, BOTH, present={"sound": flags(2)}).says("present", ONLY, "'sound'"),
    call(FUSED, FIVE, present={"image": flags(2)}).says(
        "present['image']", "come with inputs['image']", "inputs without it"
    ),
    call(FUSED, BOTH, mask={"text": flags(2, 4)}).says(
        "mask['text'].shape", "be (2,) or (2, 5)", "(2, 4)"
    ),
    call(FUSED, BOTH, mask={"text": zeros(2)}).says(
        "mask['text'].dtype", "be integer", "float32"
    ),
    call(FUSED, BOTH, present={"text": zeros(2)}).says(
        "present['text'].dtype", "be bool, true where a sample has", "float32"
    ),
    call(
        FUSION({"text": {**TEXT, "segments": 2}}, 8),
        FIVE,
        segment_ids={"text": zeros(2, 5)},
    ).says("segment_ids['text'].dtype", "be integer", "float32"),
    call(FUSED, BOTH, grids={"text": (1, 5)}).says(
        "grids['text']", "be left out for a modality without a grid", "(1, 5)"
    ),
    call(FUSED, BOTH, grids={"image": (3, 4, 1)}).says(
        "grids['image']",
        "be 2 integers, or have the shape (2,) or (batch, 2)",
        "(3, 4, 1)",
    ),
    call(FUSED, BOTH, grids={"image": ids(3, 2)}).says(
        "grids['image'].shape", "be 2 integers, or have the shape (2,)", "(3, 2)"
    ),
    call(FUSED, BOTH, grids={"image": ids(2, 1, 3)}).says(
        "grids['image'].shape", "or (batch, items, 2)", "(2, 1, 3)"
    ),
    call(FUSED, GRID, grids={"image": ids(2, 1, 2)}).says(
        "grids['image'].shape",
        "be (batch, 2) for inputs with an axis for each of a grid",
        "(2, 1, 2)",
    ),
    call(FUSED, BOTH, grids={"image": ids(2, 1, 2)}, start_index={"image": 1}).says(
        "start_index", "be 0 beside grids of several items", "1"
    ),
    call(FUSED, BOTH, grids={"image": zeros(2, 2)}).says(
        "grids['image'].dtype", "be integer", "float32"
    ),
    call(FUSED, BOTH, start_index={"text": -1}).says(
        "start_index['text']", "be at least 0", "-1"
    ),
    call(FUSED, BOTH, start_index={"text": ids(3)}).says(
        "start_index['text'].shape", "be an integer, or have the shape (batch,)", "(3,)"
    ),
    call(FUSED, BOTH, mask={"text": flags(2)}).says(
        "mask['text'].dtype", "be a number for each sample, its length", "bool"
    ),
    call(
        FUSION({"text": {**TEXT, "type": "none"}}, 8),
        FIVE,
        positions={"text": ids(2, 5)},
    ).says(
        "positions['text']",
        "be left out, because the configuration has type 'none'",
        "(2, 5)",
    ),
    call(FUSED, BOTH, present={"text": flags(2, 5)}).says(
        "present['text'].shape", "be (2,)", "(2, 5)"
    ),
    call(FUSION({"text": TEXT, "image": PATCHES}, 8), FIVE).says(
        "inputs['image']",
        "be given in the first call, because its embedding is not built",
        "None",
    ),
    call(PLACING, MIXED).says(
        "placeholders['audio']", "say where the tokens of inputs['audio'] go", "None"
    ),
    call(PLACING, {"audio": MIXED["audio"]}).says(
        "inputs['audio']",
        "come with inputs['text'], where its tokens are placed",
        "only ['audio']",
    ),
    call(PLACING, MIXED, placeholders={"text": flags(2, 5)}).says(
        "placeholders['text']",
        "be left out, because the configuration has no 'into'",
        "text",
    ),
    call(PLACING, MIXED, placeholders={"audio": ids(2, 5)}).says(
        "placeholders['audio'].dtype", "be bool, true at the places in 'text'", "int32"
    ),
    call(PLACING, MIXED, placeholders={"audio": flags(2, 4)}).says(
        "placeholders['audio'].shape", "be (2, 5)", "(2, 4)"
    ),
    call(WORDS, {"text": zeros(2, 5)}).says(
        "inputs['text'].dtype", "be integer", "float32"
    ),
    call(WORDS, {"text": ids(2, 5, 8)}).says(
        "inputs['text'].shape", "be (batch, length)", "(2, 5, 8)"
    ),
]

TWO_PLACES = np.eye(2, 5, dtype=bool)
VALUES = [
    # what only values tell; symbolic tensors do not have them
    call(
        FUSION({**PLACED, "image": PLACED["audio"]}, 8),
        {**FIVE, "audio": zeros(2, 1, 8), "image": zeros(2, 1, 8)},
        placeholders={"audio": TWO_PLACES, "image": TWO_PLACES},
    ).says(
        "placeholders['image']",
        "mark other places in 'text' than those of other modalities",
        "place 0 of sample 0, which is taken",
    ),
    call(PLACING, MIXED, placeholders={"audio": TWO_PLACES}).says(
        "placeholders['audio']",
        "mark a place for each valid token, 2 in sample 0",
        "1 places",
    ),
    call(WORDS, {"text": ids(2, 5) + 9}).says("inputs['text']", "lie in [0, 9)", "9"),
    call(SEGMENTS(2), X, segment_ids=ids(2, 3) + 2).says(
        "segment_ids", "lie in [0, 2)", "2"
    ),
    call(NAMES(["text"]), X, modality_ids=ids(2, 3) - 2).says(
        "modality_ids", "lie in [-1, 1)", "-2"
    ),
    call(
        FUSION({"text": {**TEXT, "segments": 2}}, 8),
        {"text": X},
        segment_ids={"text": ids(2, 3) - 1},
    ).says("segment_ids", "lie in [0, 2)", "-1"),
    call(FUSED, {**BOTH, "text": [zeros(5, 8), zeros(3, 8)]}).says(
        "inputs['text']", "be a tensor or an array with one shape", "list"
    ),
    call(FUSED, BOTH, mask={"text": ids(2) + 9}).says(
        "mask['text']", "lie in [0, 6)", "9"
    ),
    call(FUSED, BOTH, mask={"text": ids(2) - 3}).says(
        "mask['text']", "lie in [0, 6)", "-3"
    ),
    call(FUSED, BOTH, present={"text": flags(2), "image": flags(2)}).says(
        "present", "leave every sample at least one modality", "none in sample 0"
    ),
    call(FUSED, BOTH, grids={"image": ids(2, 2) + 4}).says(
        "grids['image']", "have at most 12 cells", "16 cells"
    ),
    call(FUSED, BOTH, grids={"image": ids(2, 4, 2) + 2}).says(
        "grids['image']", "have at most 12 cells", "16 cells"
    ),
    call(FUSED, BOTH, grids={"image": ids(2, 1, 2) - 1}).says(
        "grids['image']", "lie in [0, inf)", "-1"
    ),
    call(FUSED, BOTH, grids={"image": ids(2, 2) - 1}).says(
        "grids['image']", "lie in [0, inf)", "-1"
    ),
    call(FUSED, {**BOTH, "text": zeros(3, 5, 8)}).says(
        "inputs",
        "have one batch size for all modalities",
        "{'text': 3, 'image': 2}",
    ),
    call(FUSED, {}).says(
        "inputs", "have at least one of the modalities ['text', 'image']", "{}"
    ),
    call(FUSED, [zeros(2, 5, 8)]).says("inputs", "be a dict of a tensor", "list"),
    call(FUSED, BOTH, segment_ids=ids(2, 5)).says(
        "segment_ids", "be a dict of a tensor for each modality", ""
    ),
]

SPLIT, ROWS = partial(FUSED.split, zeros(2, 17, 8)), zeros(2, 16, 8)
RAW = FUSION({"image": PATCHES}, 8)
METHODS = [
    make(FUSED.branch, "sound").says("name", "be one of 'text', 'image'", "'sound'"),
    make(FUSED.split, zeros(5), BOTH).says("tensor", "be (batch, fused", "(5,)"),
    make(FUSED.split, ROWS, BOTH).says(
        "tensor", "have the fused length 17 on its second axis", "(2, 16, 8)"
    ),
    make(SPLIT, []).says("like", "be a dict of a tensor", "list"),
    make(SPLIT, {**BOTH, "text": zeros(3, 5, 8)}).says(
        "like['text'].shape", "have the batch size 2 of the tensor", "(3, 5, 8)"
    ),
    make(PLACING.split, zeros(2, 5, 8), MIXED, modality_ids=ids(2, 4)).says(
        "modality_ids.shape", "be (2, 5), as the tensor", "(2, 4)"
    ),
    make(SPLIT, {"sound": X}).says("like", ONLY, "'sound'"),
    make(PLACING.split, zeros(2, 5, 8), MIXED).says(
        "modality_ids", "be given, because modalities are placed into others", "None"
    ),
    make(RAW.split, zeros(2, 17, 8), {"image": keras.Input((None, None, 3))}).says(
        "like['image'].shape",
        "be features, or give features of a known size that are not placed",
        "(None, None, None, 3)",
    ),
    make(FUSED.split_attention, zeros(2, 17, 17), BOTH).says(
        "scores.shape", "be (batch, heads, fused length, fused length)", "(2, 17, 17)"
    ),
    make(mm.pack_tokens, zeros(2, 5, 3), flags(2, 4)).says(
        "tensor.shape", "have the batch and length (2, 4) of the mask", "(2, 5, 3)"
    ),
]


test_eager_call = checks([*CALLS, *VALUES])
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)
test_methods_and_functions = checks(METHODS)


def test_a_list_of_arrays_is_told_by_a_layer_that_is_built():
    layer = FUSION({"text": TEXT}, 8)
    layer({"text": zeros(1, 5, 8)})
    with pytest.raises(
        TypeError, match="Pad samples of different sizes with pad_batch"
    ):
        layer({"text": [zeros(5, 8), zeros(3, 8)]})


@pytest.mark.parametrize("argument", ["inputs", "segment_ids"])
def test_errors_of_a_sublayer_name_the_modality(argument):
    layer = FUSION({"text": {**TEXT, "max_len": 4, "segments": 2}}, 8)
    inputs = {"text": zeros(2, 5 if argument == "inputs" else 4, 8)}
    call = {} if argument == "inputs" else {"segment_ids": {"text": ids(2, 4) + 7}}
    with pytest.raises(ValueError, match="This is modality 'text' of MultiModalFusion"):
        layer(inputs, **call)
