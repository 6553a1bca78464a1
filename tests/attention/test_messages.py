"""What the layers that act inside attention refuse, and how they say it."""

from functools import partial

import numpy as np
from messages import call, checks, flags, ids, make, wrong, zeros

import keras_mmembed as mm
from keras_mmembed.attention.rotary_conventions import ROTARY_CONVENTION_NAMES

NUMBERS = "be numbers, as an array, a tensor or lists of one length"

ROTARY = mm.RotaryEmbedding
NAMES = ", ".join(map(repr, ROTARY_CONVENTION_NAMES))
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
LONG = {**YARN, "rope_type": "longrope", "short_factor": [1.0] * 3}
LONG["long_factor"] = [2.0] * 4
LLAMA3 = {**YARN, "rope_type": "llama3", "low_freq_factor": 4, "high_freq_factor": 4}
ATTENTION = partial(mm.MultiModalAttention, 4)
BIAS = partial(mm.RelativePositionBias, 2)
SWIN = partial(BIAS, convention="swin")


def x(*shape):
    """Return queries of 5 tokens, by default of 2 heads of 8 channels."""
    return zeros(*(shape or (2, 5, 2, 8)))


CONSTRUCTORS = [
    wrong(ROTARY, f"be one of {NAMES}", convention="mrope"),
    wrong(ROTARY, "be None with convention='llama'", sections=[4, 4]),
    make(ROTARY, "qwen2_vl", sections=[4, 4]).says(
        "sections", "be a list of 3 integers", "[4, 4]"
    ),
    make(ROTARY, "qwen2_vl", sections=[4, 4, 1.5]).says(
        "sections[2]", "be an integer", "1.5"
    ),
    wrong(ROTARY, "be greater than 1", max_wavelength=1),
    wrong(ROTARY, "lie in [0, 1]", fraction=1.5),
    wrong(ROTARY, "be a dict or None", scaling="yarn"),
    make(ROTARY, scaling={"rope_type": "su"}).says(
        "scaling['rope_type']", "be one of 'linear', 'dynamic', 'ntk_alpha'", "'su'"
    ),
    make(ROTARY, scaling={"rope_type": "linear"}).says(
        "scaling", "have the keys ['factor']", "{'rope_type': 'linear'}"
    ),
    make(ROTARY, scaling={**YARN, "beta": 1}).says(
        "scaling", "have only keys among ['rope_type', 'factor', 'original_max", "{"
    ),
    make(ROTARY, scaling={**YARN, "factor": 0}).says(
        "scaling['factor']", "be greater than 0", "0"
    ),
    make(ROTARY, scaling={**YARN, "truncate": 1}).says(
        "scaling['truncate']", "be True or False", "1"
    ),
    make(ROTARY, scaling={**LONG, "long_factor": 2.0}).says(
        "scaling['long_factor']", "be a list of numbers", "2.0"
    ),
    make(ROTARY, scaling=LLAMA3).says(
        "scaling['high_freq_factor']", "be greater than low_freq_factor", "4.0"
    ),
    make(ROTARY, dtype="int32").says("dtype", "be a float dtype", "'int32'"),
    make(ROTARY().rotations, ids(5)).says(
        "layer", "be built, by a call or by `build`", "an unbuilt layer"
    ),
    make(mm.MultiModalAttention, 0).says("num_heads", "be at least 1", "0"),
    wrong(ATTENTION, "divide num_heads=4", num_key_value_heads=3),
    wrong(ATTENTION, "be an integer or None", head_dim=4.0),
    wrong(ATTENTION, "be one of None, 'rms', 'layer'", qk_norm="batch"),
    wrong(ATTENTION, "be greater than 0", scale=0),
    wrong(ATTENTION, "be a number", soft_cap="50"),
    wrong(ATTENTION, "lie in [0, 1)", dropout=1.0),
    wrong(ATTENTION, "be True or False", use_bias=1),
    wrong(ATTENTION, "be True or False", use_output_bias="no"),
    make(ATTENTION, dtype="int32").says("dtype", "be a float dtype", "'int32'"),
    make(ATTENTION, dropout=0.5, flash_attention=True).says(
        "flash_attention", "be False or None with dropout", "True"
    ),
    wrong(ATTENTION, "be the name, the configuration", kernel_initializer="norml"),
    make(ATTENTION, rotary=3).says(
        "rotary", "be a dict of arguments, the name of a convention, or a layer", "3"
    ),
    make(ATTENTION, bias=mm.RelativePositionBias(2)).says(
        "bias", "have num_heads=4, as the attention layer", "a bias for 2 heads"
    ),
    make(ATTENTION, bias={"num_heads": 8}).says(
        "bias", "have num_heads=4, as the attention layer", "a bias for 8 heads"
    ),
    make(mm.RelativePositionBias, 0).says("num_heads", "be at least 1", "0"),
    wrong(BIAS, "be one of 't5', 'layoutlmv3', 'swin'", convention="deberta"),
    wrong(BIAS, "be None with convention='alibi'", convention="alibi", num_buckets=8),
    wrong(BIAS, "be None with convention='t5'", grid=(3, 3)),
    wrong(BIAS, "be a list of one to three integers", convention="swin", grid=None),
    wrong(BIAS, "be a list of one to three integers", convention="beit", grid=[2] * 4),
    make(SWIN, grid=[3, 0]).says("grid", "be at least 1", "0"),
    make(BIAS, num_buckets=5).says("num_buckets", "be a multiple of 2", "5"),
    make(BIAS, num_buckets=2).says("num_buckets", "at least 4", "2"),
    make(BIAS, bidirectional=False, max_distance=16).says(
        "max_distance", "be greater than 16, the distances with a bucket each", "16"
    ),
    wrong(BIAS, "be an integer, or 1 of them", num_buckets=[8, 8]),
    wrong(BIAS, "be True or False", bidirectional=1),
    wrong(BIAS, "be one of 'nearest', 'bilinear', 'bicubic'", interpolation="cubic"),
    wrong(BIAS, "be greater than 0", scale=0),
    wrong(BIAS, "be the name, the configuration", embeddings_initializer="norml"),
]
CALLS = [
    call(ROTARY(), x(2, 5, 16), positions=ids(5)).says(
        "inputs.shape", "be (batch, length, heads, head_dim)", "(2, 5, 16)"
    ),
    call(ROTARY(), x(2, 5, 2, 7), positions=ids(5)).says(
        "inputs.shape[-1]", "have a multiple of 2 channels that are turned", "7"
    ),
    call(ROTARY("pixtral"), x(2, 5, 2, 6), positions=ids(5, 2)).says(
        "inputs.shape[-1]", "have a multiple of 4 channels that are turned", "6"
    ),
    call(ROTARY("vjepa2"), x(2, 5, 2, 4), positions=ids(5, 3)).says(
        "inputs.shape[-1]", "be at least 6", "4"
    ),
    call(
        ROTARY(scaling={"rope_type": "ntk_alpha", "alpha": 9}),
        x(2, 5, 1, 2),
        positions=ids(5),
    ).says("inputs.shape[-1]", "be at least 4 with scaling of type", "2"),
    call(ROTARY("qwen2_vl", sections=[1, 1, 1]), x(), positions=ids(5, 3)).says(
        "sections", "add up to 4, the pairs of channels that are turned", "[1, 1, 1]"
    ),
    call(ROTARY("qwen2_vl"), x(), positions=ids(5, 3)).says(
        "sections", "those of qwen2_vl, (16, 24, 24), do not scale to it", "None"
    ),
    call(ROTARY(scaling=LONG), x(), positions=ids(5)).says(
        "scaling['short_factor']", "have one number for each of the 4 pairs", "[1.0"
    ),
    call(ROTARY(), x(), positions=ids(2, 5, 3)).says(
        "positions.shape", "be (length,) or (batch, length)", "(2, 5, 3)"
    ),
    call(ROTARY("pixtral"), x(), positions=ids(2, 5)).says(
        "positions.shape", "be (length, 2) or (batch, length, 2)", "(2, 5)"
    ),
    call(ROTARY(), x(), positions=ids(2, 4)).says(
        "positions.shape", "hold a position for each of the 5 tokens", "(2, 4)"
    ),
    call(ROTARY(), x(), positions=ids(3, 5)).says(
        "positions.shape", "hold positions for each of the 2 samples", "(3, 5)"
    ),
    call(ROTARY(), x(), positions=flags(5)).says(
        "positions.dtype", "be an integer or a float", "bool"
    ),
    call(ROTARY(), ids(2, 5, 2, 8), positions=ids(5)).says(
        "inputs.dtype", "be float", "int32"
    ),
    call(ROTARY(), x(), positions=ids(5), grid=ids(1)).says(
        "grid", "be None with a convention whose angles do not depend on it", "(1,)"
    ),
    call(ROTARY("dinov3"), x(), positions=ids(5, 2), grid=ids(3)).says(
        "grid.shape", "be (2,) or (batch, 2)", "(3,)"
    ),
    call(ROTARY("dinov3"), x(), positions=ids(5, 2), grid=zeros(2)).says(
        "grid.dtype", "be integer", "float32"
    ),
    call(ATTENTION(), zeros(2, 5, 6)).says(
        "query.shape[-1]", "be a multiple of num_heads=4", "6"
    ),
    call(ATTENTION(), zeros(2, 5, 5, 8)).says(
        "query.shape", "be (batch, length, width)", "(2, 5, 5, 8)"
    ),
    call(ATTENTION(), zeros(2, 5, 8), value=zeros(2, 8)).says(
        "value.shape", "be (batch, length, width)", "(2, 8)"
    ),
    call(ATTENTION(), ids(2, 5, 8)).says("query.dtype", "be float", "int32"),
    call(ATTENTION(rotary="pixtral"), zeros(2, 5, 16)).says(
        "positions", "be passed for positions of 2 axes", "None"
    ),
    call(ATTENTION(), zeros(2, 5, 8), attention_bias=zeros(1, 2, 5, 5)).says(
        "attention_bias.shape", "be (2, 4, 5, 5), or 1 for the batch", "(1, 2, 5, 5)"
    ),
    call(BIAS(), ids(2, 5, 3)).says(
        "positions.shape", "be (length,) or (batch, length)", "(2, 5, 3)"
    ),
    call(BIAS(), ids(5), key_positions=ids(2, 5, 3)).says(
        "key_positions.shape", "be (length,) or (batch, length)", "(2, 5, 3)"
    ),
    call(SWIN(grid=(3, 4)), ids(2, 5)).says(
        "positions.shape", "be (length, 2) or (batch, length, 2)", "(2, 5)"
    ),
    call(ATTENTION(), None).says("query", NUMBERS, "None"),
    call(ATTENTION(), zeros(2, 5, 8), value=zeros(3, 5, 8)).says(
        "value.shape", "be (2, 5, width)", "(3, 5, 8)"
    ),
    call(ATTENTION(), zeros(2, 5, 8), attention_mask=flags(2, 4, 5)).says(
        "attention_mask.shape", "be (2, 5, 5), with an axis of heads", "(2, 4, 5)"
    ),
    call(ATTENTION(), zeros(2, 5, 8), use_causal_mask=1).says(
        "use_causal_mask", "be True or False", "1"
    ),
    call(ATTENTION(), zeros(2, 5, 8), rotations=3).says(
        "rotations", "be a tensor of cosines and one of sines", "3"
    ),
    call(ATTENTION(rotary="llama"), zeros(2, 5, 8), positions=ids(2, 4)).says(
        "positions.shape", "hold a position for each of the 5 tokens", "(2, 4)"
    ),
    call(ATTENTION(bias="t5"), zeros(2, 5, 8), key_positions=ids(3, 5)).says(
        "key_positions.shape", "hold positions for each of the 2 samples", "(3, 5)"
    ),
    call(BIAS(), ids(2, 5), key_positions=ids(3, 5)).says(
        "key_positions", "be of 2 samples, as positions", "those of 3"
    ),
    call(ROTARY("dinov3"), x(), positions=ids(5, 2), grid=ids(3, 2)).says(
        "grid.shape", "hold sizes for each of the 2 samples", "(3, 2)"
    ),
    call(BIAS(), flags(5)).says("positions.dtype", "be an integer or a float", "bool"),
    call(BIAS(), ids(5), grid=(3, 4)).says(
        "grid", "be None with convention='t5'", "(3, 4)"
    ),
    call(SWIN(grid=(3, 4)), ids(5, 2), grid=(3,)).says(
        "grid", "be 2 integers, as the grid of the layer", "(3,)"
    ),
    call(SWIN(grid=(3, 4)), ids(5, 2), grid=(6, 4)).says(
        "grid", "be (3, 4), the grid of the layer, without interpolation", "(6, 4)"
    ),
]


def test_an_unknown_convention_of_a_part():
    mistake = make(mm.RotaryEmbedding, "mrope")
    mistake.act = partial(ATTENTION, rotary="mrope")
    mistake.says("convention", f"be one of {NAMES}", "'mrope'").check()
    mistake = make(mm.RelativePositionBias, 4)
    mistake.act = partial(ATTENTION, bias="mrope")
    mistake.says("convention", "be one of 't5', 'layoutlmv3'", "'mrope'").check()


test_constructor = checks(CONSTRUCTORS)
test_eager_call = checks(CALLS)
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)


def test_a_position_outside_the_grid_is_an_error():
    row = call(SWIN(grid=(3, 4)), np.array([[2, 3], [0, 4]]))
    row.says("positions[..., 1]", "lie in [-inf, 4)", "4").check()
