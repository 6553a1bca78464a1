"""What `rotary_positions` refuses, and how it says it."""

from functools import partial

import numpy as np
from messages import checks, flags, ids, make, wrong, zeros

import keras_mmembed as mm

FUSED = {"mask": flags(2, 8), "modality_ids": ids(2, 8)}
FUSES = "be what MultiModalFusion returns"
TOKENS = {**FUSED, "positions": zeros(2, 8, 3)}
IDS = partial(mm.rotary_positions, TOKENS)
MIXED = {"modalities": ["text", "image"], "grids": ["image"]}
QWEN = partial(IDS, "qwen2_vl", **MIXED)
TIMED = partial(IDS, "qwen2_5_vl", **MIXED)


def fused(**changed):
    """Return the mistake to pass another dict than that of a fusion."""
    return make(mm.rotary_positions, {**TOKENS, **changed}, "qwen2_vl", **MIXED)


test_function = checks(
    [
        make(mm.rotary_positions, FUSED).says(
            "fused", FUSES, "['mask', 'modality_ids']"
        ),
        wrong(IDS, "be one of 'sequence', 'qwen2_vl'", rule="mrope"),
        make(IDS, "qwen2_vl").says(
            "grids", "name the modalities that are images or clips", "None"
        ),
        wrong(IDS, "be None with rule='sequence'", grids=["image"]),
        make(IDS, "clip", grids=["image"]).says(
            "grids", "hold only names among []", "['image']"
        ),
        wrong(QWEN, "be empty with rule='qwen2_vl'", audio=["audio"]),
        make(IDS, "seconds", **MIXED, audio=["image"]).says(
            "audio", "not hold ['image'], which are grids", "['image']"
        ),
        make(IDS, "seconds", **MIXED, audio=["sound"]).says(
            "audio", "hold only names among ['text', 'image']", "['sound']"
        ),
        wrong(QWEN, "be None with a rule that does not use time", rate=2.0),
        wrong(TIMED, "be greater than 0", rate=0),
        make(TIMED, rate={"video": 2.0}).says(
            "rate", "hold only names among ['text', 'image']", "['video']"
        ),
        make(TIMED, rate=zeros(3)).says("rate.shape", "be (2,) or (2, 8)", "(3,)"),
        make(TIMED, rate={"image": flags(2)}).says(
            "rate['image'].dtype", "be an integer or a float", "bool"
        ),
        make(QWEN, example_ids=zeros(2, 8)).says(
            "example_ids.dtype", "be integer", "float32"
        ),
        make(QWEN, repeats=flags(2, 3)).says(
            "repeats.shape", "have the shape (2, 8) of the fused mask", "(2, 3)"
        ),
        make(IDS, "image", example_ids=ids(2, 8)).says(
            "example_ids", "be None with rule='image'", "ndarray"
        ),
        make(IDS, "clip", return_next=True).says(
            "return_next", "be False with rule='clip'", "True"
        ),
        wrong(QWEN, "be True or False", return_next=1),
        make(QWEN, start_index=1.5).says(
            "start_index", "be an integer or a tensor", "1.5"
        ),
        make(QWEN, start_index=ids(3)).says(
            "start_index.shape", "be () or (2,)", "(3,)"
        ),
        fused(mask=flags(2, 8, 1)).says(
            "fused['mask'].shape", "be (batch, length)", "(2, 8, 1)"
        ),
        fused(modality_ids=ids(2, 7)).says(
            "fused['modality_ids'].shape", "be (2, 8)", "(2, 7)"
        ),
        fused(modality_ids=ids(2, 8) + 2).says(
            "fused['modality_ids']", "lie in [-1, 2)", "2"
        ),
        fused(positions=zeros(2, 8, 2)).says(
            "fused['positions'].shape", "be (2, 8, 3)", "(2, 8, 2)"
        ),
        fused(positions=np.full((2, 8, 3), np.nan)).says(
            "fused['positions']", "lie in [-2147483648, 2147483648)", "nan"
        ),
        make(IDS, modalities="text").says("modalities", "be a list of names", "'text'"),
        make(IDS, modalities=["a", "a"]).says(
            "modalities", "have each name once", "['a"
        ),
        make(TIMED, rate=np.full(2, np.inf)).says("rate", "lie in [0, inf)", "inf"),
        make(IDS, start_index=2**40).says("start_index", "lie in [", "1099511627776"),
    ]
)
