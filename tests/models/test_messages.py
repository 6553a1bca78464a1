"""What the model and its presets refuse, and how they say it."""

from functools import partial

import keras
import numpy as np
from messages import call, checks, flags, ids, make, wrong, zeros

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 16, "vocabulary_size": 30},
    "image": {"type": "2d", "dim": 12},
}
MODEL = partial(mm.MultiModalTransformer, CONFIGS, 16)
IMAGE = CONFIGS["image"]
BORDERED = {
    **CONFIGS,
    "audio": {"type": "1d", "dim": 8, "end_token": True},
    "rows": {"type": "2d", "dim": 8, "row_token": True},
}
BLOCK = partial(mm.TransformerBlock, 2)
CROSS = partial(BLOCK, cross_attention=True)
RESAMPLER = partial(BLOCK, cross_attention="only")
TEXT = partial(mm.MultiModalTransformer, {"text": CONFIGS["text"]}, 16, num_heads=2)
PIXTRAL = partial(MODEL, rotary="pixtral")

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
    wrong(
        partial(mm.MultiModalTransformer, BORDERED),
        "hold no modality with a row token, which no rule can hide",
        "'rows'",
        gated=["rows"],
    ),
    *[
        row
        for layer in (BLOCK, MODEL)
        for row in (
            wrong(layer, "be one of 'layer', 'rms'", norm_type="batch"),
            wrong(layer, "be one of 'dense', 'gated'", mlp="glu"),
            wrong(layer, "be one of True, False, 'qkv'", use_bias="q"),
            wrong(layer, "be one of None, 'rms', 'layer'", qk_norm="l2"),
            wrong(layer, "be greater than 0", layer_scale=0),
            wrong(layer, "be a number", scale="1"),
            wrong(layer, "be an integer or None", head_dim=4.0),
        )
    ],
    wrong(BLOCK, "divide num_heads=2", num_key_value_heads=3),
    wrong(MODEL, "divide num_heads=8", num_key_value_heads=3),
    wrong(BLOCK, "be one of False, True, 'only'", cross_attention=1),
    wrong(BLOCK, "be True or False", gated="image"),
    wrong(RESAMPLER, 'be False with cross_attention="only"', gated=True),
    wrong(RESAMPLER, "be None with cross_attention", rotary="llama"),
    wrong(RESAMPLER, "be None with cross_attention", relative_bias="t5"),
    make(BLOCK, relative_bias={"num_heads": 4}).says(
        "relative_bias", "have num_heads=2, as the attention", "a bias for 4 heads"
    ),
    wrong(BLOCK, "be a dict of arguments, the name of a convention", rotary=3),
    make(BLOCK(cross_attention="only").attention_scores, zeros(2, 5, 8)).says(
        "cross_attention", "be False or True for a block whose tokens", "'only'"
    ),
    wrong(MODEL, "be True or False", cross_attention="only"),
    wrong(
        PIXTRAL,
        "have 2 axes, as rotary='pixtral': one of ['image']",
        "'sequence'",
        rotary_rule="sequence",
    ),
    wrong(PIXTRAL, "be one of 'sequence', 'qwen2_vl'", rotary_rule="mrope"),
    wrong(PIXTRAL, "be a dict of arguments, or the name of a rule", rotary_rule=3),
    wrong(PIXTRAL, "have the key `rule`, and of", rotary_rule={"rate": 2}),
    wrong(
        PIXTRAL,
        "have the key `rule`, and of",
        rotary_rule={"rule": "image", "grids": []},
    ),
    wrong(MODEL, 'be "sequence" without `rotary`', "image", rotary_rule="image"),
    wrong(
        MODEL,
        "have positions of a sequence or a grid, which the fused sequence has",
        relative_bias="layoutlmv3",
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


X, OTHER = zeros(2, 5, 8), zeros(2, 7, 6)
WORDS = {"text": ids(2, 5)}
CALLS = [
    call(BLOCK(), zeros(2, 8)).says("tokens.shape", "be (batch, length", "(2, 8)"),
    call(BLOCK(), ids(2, 5, 8)).says("tokens.dtype", "be float", "int32"),
    call(BLOCK(), X, narrow_mask=flags(2, 5, 5)).says(
        "narrow_mask", "be None without `gated`", "(2, 5, 5)"
    ),
    call(BLOCK(gated=True), X).says(
        "narrow_mask", "be passed to a gated block", "None"
    ),
    call(BLOCK(gated=True), X, narrow_mask=flags(2, 5, 4)).says(
        "narrow_mask.shape", "be (2, 5, 5), with an axis of heads", "(2, 5, 4)"
    ),
    call(BLOCK(), X, attention_mask=flags(2, 5, 4)).says(
        "attention_mask.shape", "be (2, 5, 5), with an axis of heads", "(2, 5, 4)"
    ),
    call(BLOCK(rotary="llama"), X, positions=ids(2, 4)).says(
        "positions.shape", "hold a position for each of the 5 tokens", "(2, 4)"
    ),
    call(BLOCK(), X, encoded=OTHER).says("encoded", "be None without it", "(2, 7, 6)"),
    call(BLOCK(), X, encoded_mask=flags(2, 7)).says(
        "encoded_mask", "be None without `encoded`", "(2, 7)"
    ),
    call(CROSS(), X).says("encoded", "be passed with cross-attention", "None"),
    call(CROSS(), X, encoded=zeros(2, 6)).says(
        "encoded.shape", "be (batch, length, width)", "(2, 6)"
    ),
    call(CROSS(), X, encoded=zeros(3, 7, 6)).says(
        "encoded.shape", "be (2, length, width), of the same samples", "(3, 7, 6)"
    ),
    call(CROSS(), X, encoded=ids(2, 7, 6)).says("encoded.dtype", "be float", "int32"),
    call(CROSS(), X, encoded=OTHER, encoded_mask=flags(2, 5)).says(
        "encoded_mask.shape", "be (2, 7)", "(2, 5)"
    ),
    *[
        call(RESAMPLER(), X, encoded=OTHER, **{name: value}).says(
            name, 'be left out with cross_attention="only"', received
        )
        for name, value, received in (
            ("attention_mask", flags(2, 5, 5), "(2, 5, 5)"),
            ("positions", ids(2, 5), "(2, 5)"),
            ("attention_bias", zeros(1, 2, 5, 5), "(1, 2, 5, 5)"),
            ("use_causal_mask", True, "True"),
        )
    ],
    call(TEXT(), WORDS, encoded=OTHER).says(
        "encoded", "be None without it", "(2, 7, 6)"
    ),
    call(TEXT(cross_attention=True), WORDS).says(
        "encoded", "be passed with cross-attention", "None"
    ),
    call(TEXT(cross_attention=True), WORDS, encoded=zeros(3, 7, 6)).says(
        "encoded.shape", "be (2, length, width), of the same samples", "(3, 7, 6)"
    ),
]
EAGER = [
    call(BLOCK(), X, rotations=[zeros(5, 1, 2)]).says(
        "rotations", "be a tensor of cosines and one of sines", "[array("
    ),
    call(TEXT(cross_attention=True), WORDS, encoded=[[1.0], [2.0, 3.0]]).says(
        "encoded", "be numbers, as an array, a tensor or lists", "[[1.0]"
    ),
]

test_constructor = checks(ERRORS)
test_data = checks(DATA_ERRORS)
test_eager_call = checks([*CALLS, *EAGER])
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)


def test_tokens_of_another_width():
    block = BLOCK()
    block(X)
    row = make(block.__call__, zeros(2, 5, 6))
    row.says("tokens.shape[-1]", "be 8, as the layer was built for", "6").check()
