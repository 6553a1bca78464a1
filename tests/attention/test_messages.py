"""What an attention mask refuses, and how it says it."""

from functools import partial

from messages import call, checks, flags, ids, make, wrong, zeros

import keras_mmembed as mm

MASK = partial(mm.AttentionMask, ["text", "image", "audio"])
FUSED = {"mask": flags(2, 8), "modality_ids": ids(2, 8)}
AMONG = "hold only names among ['text', 'image', 'audio']"
FUSES = "be what MultiModalFusion returns"

CONSTRUCTORS = [
    wrong(MASK, "be True or False", causal="yes"),
    wrong(MASK, AMONG, prefix=["sound"]),
    wrong(MASK, AMONG, prefix="image"),
    wrong(MASK, "be a dict of lists of names", hidden=["text"]),
    wrong(MASK, AMONG, "['sound']", hidden={"sound": ["text"]}),
    make(MASK, hidden={"text": ["sound"]}).says("hidden['text']", AMONG, "['sound']"),
]
CALLS = [
    call(MASK(), FUSED["mask"]).says("fused", FUSES, ""),
    call(MASK(), {"mask": FUSED["mask"]}).says("fused", FUSES, "['mask']"),
    call(MASK(), FUSED, example_ids=zeros(2, 8)).says(
        "example_ids.dtype", "be integer", "float32"
    ),
    call(MASK(), FUSED, example_ids=ids(2, 3)).says(
        "example_ids.shape", "have the shape (2, 8) of the fused mask", "(2, 3)"
    ),
]


test_constructor = checks(CONSTRUCTORS)
test_eager_call = checks(CALLS)
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)
