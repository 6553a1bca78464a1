"""What an attention mask refuses, and how it says it."""

from functools import partial

import numpy as np
from messages import call, checks, flags, ids, make, wrong, zeros

import keras_mmembed as mm

MASK = partial(mm.AttentionMask, ["text", "image", "audio"])
FUSED = {"mask": flags(2, 8), "modality_ids": ids(2, 8)}
NUMBERS = "be numbers, as an array, a tensor or lists of one length"
OF_MASK = "have the shape (2, 8) of the fused mask"
AMONG = "hold only names among ['text', 'image', 'audio']"
FUSES = "be what MultiModalFusion returns"

CONSTRUCTORS = [
    wrong(MASK, "be True or False", causal="yes"),
    wrong(MASK, AMONG, prefix=["sound"]),
    wrong(MASK, AMONG, prefix="image"),
    wrong(MASK, "be a dict of lists of names", hidden=["text"]),
    wrong(MASK, AMONG, "['sound']", hidden={"sound": ["text"]}),
    wrong(MASK, "be True or False", causal=1),
    wrong(MASK, "be left out: it is no argument", foo=1),
    wrong(
        MASK,
        "be left out without causal=True, where all tokens see each other",
        prefix=["image"],
    ),
    wrong(partial(MASK, causal=True), "have each name once", prefix=["image", "image"]),
    make(MASK, hidden={"text": ["sound"]}).says("hidden['text']", AMONG, "['sound']"),
]
CALLS = [
    call(MASK(), FUSED["mask"]).says("fused", FUSES, ""),
    call(MASK(), {"mask": FUSED["mask"]}).says("fused", FUSES, "['mask']"),
    call(MASK(), FUSED, example_ids=zeros(2, 8)).says(
        "example_ids.dtype", "be integer", "float32"
    ),
    call(MASK(), FUSED, example_ids=ids(2, 3)).says(
        "example_ids.shape", OF_MASK, "(2, 3)"
    ),
    call(MASK(), {**FUSED, "modality_ids": ids(2, 3)}).says(
        "fused['modality_ids'].shape", OF_MASK, "(2, 3)"
    ),
    call(MASK(), {**FUSED, "modality_ids": zeros(2, 8)}).says(
        "fused['modality_ids'].dtype", "be integer", "float32"
    ),
    call(MASK(), {**FUSED, "mask": flags(2, 8, 8)}).says(
        "fused['mask'].shape", "be (batch, length)", "(2, 8, 8)"
    ),
]
VALUES = [
    call(MASK(), {**FUSED, "modality_ids": ids(2, 8) + index}).says(
        "fused['modality_ids']", "lie in [-1, 3)", f"{index}"
    )
    for index in (-2, 3)
]
NO_TENSORS = [
    make(MASK().__call__).says("fused", FUSES, "NoneType"),
    call(MASK(), None).says("fused", FUSES, "NoneType"),
    call(MASK(), "fused").says("fused", FUSES, "str"),
    call(MASK(), {**FUSED, "mask": np.array(["a"])}).says(
        "fused['mask']", NUMBERS, "array(['a']"
    ),
    call(MASK(), FUSED, example_ids="x").says("example_ids", NUMBERS, "'x'"),
]


test_constructor = checks(CONSTRUCTORS)
test_eager_call = checks([*CALLS, *VALUES, *NO_TENSORS])
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)
