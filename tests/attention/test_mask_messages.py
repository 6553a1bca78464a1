"""What `AttentionMask` refuses, and how it says it."""

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


def step(query=None, example_ids=None, start_index=5):
    """Return the mistake to make the mask of a step of 3 tokens in this way."""
    query = {"modality_ids": ids(2, 3)} if query is None else query
    named = {"query": query, "start_index": start_index}
    if example_ids is not None:
        named["example_ids"] = example_ids
    return call(MASK(), FUSED, **named)


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
    step({"modality_ids": zeros(2, 3)}).says(
        "query['modality_ids'].dtype", "be integer", "float32"
    ),
    step({"modality_ids": ids(3, 3)}).says(
        "query['modality_ids'].shape", "be (2, query length), as", "(3, 3)"
    ),
    step({"modality_ids": ids(2, 9)}).says(
        "query['modality_ids'].shape", "have at most 8 tokens", "(2, 9)"
    ),
    step({"modality_ids": ids(2, 3), "example_ids": ids(2, 3)}).says(
        "query", "have 'example_ids' if, and only if,", "['example_ids',"
    ),
    step(example_ids=ids(2, 8)).says(
        "query", "have 'example_ids' if, and only if,", "['modality_ids']"
    ),
    step(
        {"modality_ids": ids(2, 3), "example_ids": ids(2, 4)}, example_ids=ids(2, 8)
    ).says("query['example_ids'].shape", "have the shape (2, 3) of query", "(2, 4)"),
    step(start_index=None).says("start_index", "be given with `query`", "None"),
    step(start_index=6).says("start_index", "lie in [0, 6)", "6"),
    step(start_index=-1).says("start_index", "lie in [0, 6)", "-1"),
    step(start_index=ids(3)).says("start_index.shape", "be () or (2,)", "(3,)"),
    step(start_index=zeros(2)).says("start_index.dtype", "be integer", "float32"),
    call(MASK(), FUSED, start_index=3).says(
        "start_index", "be left out without `query`", "3"
    ),
    call(MASK(), {**FUSED, "mask": flags(2, 8, 8)}).says(
        "fused['mask'].shape", "be (batch, length)", "(2, 8, 8)"
    ),
]
NO_TENSORS = [
    make(MASK().__call__).says("fused", FUSES, "NoneType"),
    call(MASK(), None).says("fused", FUSES, "NoneType"),
    call(MASK(), "fused").says("fused", FUSES, "str"),
    call(MASK(), {**FUSED, "mask": np.array(["a"])}).says(
        "fused['mask']", NUMBERS, "array(['a']"
    ),
    call(MASK(), FUSED, example_ids="x").says("example_ids", NUMBERS, "'x'"),
    step("x").says("query", "be a dict of ids by name", "'x'"),
    step({"mask": flags(2, 3)}).says("query", "have 'modality_ids'", "['mask']"),
    step({"modality_ids": "x"}).says("query['modality_ids']", NUMBERS, "'x'"),
    step(start_index=1.5).says("start_index", "be an integer or a tensor", "1.5"),
    step({"modality_ids": ids(2, 3) + 3}).says(
        "query['modality_ids']", "lie in [-1, 3)", "3"
    ),
    step(start_index=ids(2) + 6).says("start_index", "lie in [0, 6)", "6"),
]
VALUES = [
    call(MASK(), {**FUSED, "modality_ids": ids(2, 8) + index}).says(
        "fused['modality_ids']", "lie in [-1, 3)", f"{index}"
    )
    for index in (-2, 3)
]


test_constructor = checks(CONSTRUCTORS)
test_eager_call = checks([*CALLS, *VALUES, *NO_TENSORS])
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)
