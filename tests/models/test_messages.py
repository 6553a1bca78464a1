"""What the model and its presets refuse, and how they say it."""

from functools import partial

import numpy as np
from messages import checks, make, wrong, zeros

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 16, "vocabulary_size": 30},
    "image": {"type": "2d", "dim": 12},
}
MODEL = partial(mm.MultiModalTransformer, CONFIGS, 16)
BORDERED = {
    **CONFIGS,
    "audio": {"type": "1d", "dim": 8, "end_token": True},
    "rows": {"type": "2d", "dim": 8, "row_token": True},
}

ERRORS = [
    wrong(MODEL, "divide unified_dim=16", num_heads=3),
    wrong(MODEL, "be one of 'cls', 'mean'", pooling="max"),
    wrong(MODEL, "be at least 1", num_layers=0),
    wrong(MODEL, "hold only names among ", gated=["sound"]),
    wrong(MODEL, "be an integer or None", num_outputs=1.5),
    wrong(MODEL, "have each name once", gated=["image", "image"]),
    wrong(MODEL, "be a list of names among ", gated=3),
    wrong(MODEL, "be a list of names among ", prefix=None),
    wrong(MODEL, "be True or False", causal=None),
    wrong(MODEL, "be True or False", remat="no"),
    wrong(MODEL, "be True or False", norm_first=1),
    wrong(MODEL, "be below 2 ** 31", seed=2**33),
    wrong(MODEL, "be an activation of Keras", activation="nope"),
    wrong(MODEL, "be left out without `num_outputs`", output_activation="relu"),
    wrong(
        partial(mm.MultiModalTransformer, BORDERED),
        "hold no modality with a start or end token, which no rule can hide",
        "'audio'",
        gated=["audio"],
    ),
    wrong(
        partial(mm.MultiModalTransformer, BORDERED),
        "hold no modality with a row token, which no rule can hide",
        "'rows'",
        gated=["rows"],
    ),
    wrong(mm.preset, "be one of 'visual_question_answering'", application="chess"),
    wrong(
        partial(mm.preset, "sentiment"),
        "be one of 'tiny', 'small', 'base'",
        size="huge",
    ),
]

ENCODER = mm.MultiModalTransformer(
    {name: {"type": "1d", "dim": 8} for name in ("text", "sound")},
    8,
    num_layers=1,
    num_heads=2,
)
DATA_ERRORS = [
    make(ENCODER.predict, None).says("x", "be a dict of arrays by modality", "None"),
    make(ENCODER.fit, "a").says("x", "be a dict of arrays by modality", "'a'"),
    make(ENCODER.evaluate, {}).says("x", "have at least one modality", "{}"),
    make(ENCODER.predict, {"text": None}).says(
        "x", "have at least one modality", "{'text': None}"
    ),
    make(ENCODER.fit, {"text": "a"}).says(
        "x['text']", "be a tensor or an array of numbers", "'a'"
    ),
    make(ENCODER.predict, {"text": np.float32(1)}).says(
        "x['text'].shape", "begin with the number of samples", "()"
    ),
    make(ENCODER.predict, {"text": zeros(0, 3, 8)}).says(
        "x['text'].shape", "begin with at least one sample", "(0, 3, 8)"
    ),
    make(ENCODER.predict, {"text": zeros(2, 3, 8), "sound": zeros(1, 3, 8)}).says(
        "x['sound'].shape", "begin with 2, as that of 'text'", "(1, 3, 8)"
    ),
]


test_constructor = checks(ERRORS)
test_data = checks(DATA_ERRORS)
