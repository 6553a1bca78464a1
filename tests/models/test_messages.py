"""What the model and its presets refuse, and how they say it."""

from functools import partial

import keras
from messages import checks, wrong

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 16, "vocabulary_size": 30},
    "image": {"type": "2d", "dim": 12},
}
MODEL = partial(mm.MultiModalTransformer, CONFIGS, 16)
IMAGE = CONFIGS["image"]
BORDERED = {**CONFIGS, "audio": {"type": "1d", "dim": 8, "end_token": True}}

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
    wrong(MODEL, "be True or None with pooling='cls'", cls_token=False),
    wrong(MODEL, "be True or False", cls_token=1),
    wrong(MODEL, "be True or False", pooler="tanh"),
    wrong(MODEL, "be one of True, False, 'pooled'", final_norm="last"),
    wrong(
        partial(MODEL, pooling="tokens"),
        "be another with pooling='tokens', which leaves all tokens",
        final_norm="pooled",
    ),
    wrong(
        partial(MODEL, pooling="modalities"),
        "be False with pooling='modalities', which leaves all tokens",
        pooler=True,
    ),
    wrong(MODEL, "be another without class token and registers", pooling="special"),
    wrong(
        MODEL, "be another than 'merged' for modalities", "['text'", pooling="merged"
    ),
    wrong(
        partial(mm.MultiModalTransformer, {"image": {**IMAGE, "end_token": True}}, 16),
        "be another than 'merged' with a start or an end token",
        "image",
        pooling="merged",
    ),
    wrong(MODEL, "be a Keras layer, or the conf", head="dense"),
    wrong(MODEL, "be a Keras layer, or the conf", head={"class_name": "x"}),
    wrong(MODEL, "be a Keras layer, or the conf", head={"class_name": 3, "config": {}}),
    wrong(
        partial(MODEL, num_outputs=3),
        "be left out with `num_outputs`, which makes a head",
        "<Dense",
        head=keras.layers.Dense(2),
    ),
    wrong(MODEL, "be left out without `num_outputs`", output_activation="relu"),
    wrong(
        partial(mm.MultiModalTransformer, BORDERED),
        "hold no modality with a start or end token, which no rule can hide",
        "'audio'",
        gated=["audio"],
    ),
    wrong(mm.preset, "be one of 'visual_question_answering'", application="chess"),
    wrong(
        partial(mm.preset, "sentiment"),
        "be one of 'tiny', 'small', 'base'",
        size="huge",
    ),
]


test_constructor = checks(ERRORS)
