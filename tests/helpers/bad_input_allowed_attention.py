"""Which unusual arguments of what acts inside attention have a result."""

from bad_input_meanings import (
    DEFAULT,
    DTYPES,
    FEATURES,
    IGNORED,
    LENGTHS,
    NONE,
    NUMBERS,
    RIGHT,
    SAME,
    SIZES,
    TRUTH,
)

NUMBER = "2**40, one, float, float for int"
SAMPLES = "rank - 1, batch 1, symbolic rank - 1"
COORDINATES = (
    "negative values, zeros, fractions, floats, integers, bytes, lists, "
    "symbolic float32 dtype, symbolic int32 dtype, symbolic uint8 dtype"
)
INTEGERS = "zeros, integers, bytes, lists, symbolic uint8 dtype"
FIRST_WIDTHS = "width + 1, width 1, symbolic width + 1, symbolic width 1"

# of attention layers, blocks and models
OPTIONS = [
    ("num_key_value_heads", "None, one", RIGHT),
    ("head_dim", "None", DEFAULT),
    ("rotary", "None, empty dict, without a key", DEFAULT),
    ("rotary['max_wavelength']", "None, 2**40, float, float for int", RIGHT),
    ("qk_norm", "None", DEFAULT),
    ("scale", f"None, {NUMBER}", RIGHT),
    ("epsilon", NUMBER, RIGHT),
    ("dropout", "zero", RIGHT),
    ("seed", "None, zero, one", RIGHT),
]
# of blocks and models
OF_BLOCKS = [
    ("hidden_dim", "None, one", RIGHT),
    ("norm_first", "bool", RIGHT),
    ("activation", "None", "no activation"),
    ("remat", "bool", RIGHT),
    ("relative_bias", "None, empty dict, without a key", DEFAULT),
    ("relative_bias['num_buckets']", "None", DEFAULT),
    ("layer_scale", f"None, {NUMBER}", RIGHT),
    ("cross_attention", "bool", RIGHT),
]

OF_CALLS = [
    ("*_mask", "None, symbolic None", NONE),
    ("*_mask", f"{NUMBERS}, 2**40 values, {DTYPES}", TRUTH),
    ("*_mask", "bools, floats, integers, bytes", TRUTH),
    ("*_mask", "lists, batch 1", SAME),
    ("*positions", "None, symbolic None", "counted"),
    ("*positions", COORDINATES, RIGHT),
    ("*positions", SAMPLES, SAME),
    ("*positions", "rank + 1, symbolic rank + 1", SAME),
    ("*_bias", f"{NUMBERS}, floats, lists", FEATURES),
    ("*_bias", "None, batch 1, symbolic None", NONE),
    ("use_causal_mask", "bool", RIGHT),
]

ATTENTION_ROWS = [
    ("*-cache: query", LENGTHS, SIZES),
    ("*-cache: tokens", LENGTHS, SIZES),
    ("*-cache: tokens", f"{NUMBERS}, floats, lists", FEATURES),
    ("*-cache: cache*", f"{NUMBERS}, floats", FEATURES),
    ("*-cache: cache_index", "None, zero, one", RIGHT),
    ("*-cache: key_positions", COORDINATES, RIGHT),
    ("*-cache: key_positions", SAMPLES, SAME),
    ("*-cache: key_positions", "rank + 1", SAME),
    ("MultiModalTransformer-tied: tie_embeddings", "bool", RIGHT),
    ("RotaryEmbedding*: inputs", f"{NUMBERS}, floats, lists", FEATURES),
    ("RotaryEmbedding: max_wavelength", "None", DEFAULT),
    ("RotaryEmbedding: fraction", "None, one", DEFAULT),
    ("RotaryEmbedding: scaling", "None", DEFAULT),
    ("RotaryEmbedding: scaling['factor']", NUMBER, RIGHT),
    ("RotaryEmbedding*: positions", COORDINATES, RIGHT),
    ("RotaryEmbedding*: positions", SAMPLES, SAME),
    ("*-one: positions", "rank + 1, symbolic rank + 1", "an axis of one coordinate"),
    ("RotaryEmbedding-grid: grid", "None, symbolic None", "the largest positions"),
    ("RotaryEmbedding-grid: grid", f"{INTEGERS}, shape", RIGHT),
    ("RotaryEmbedding-grid: grid", SAMPLES, SAME),
    ("RelativePositionBias*: num_heads", "one", RIGHT),
    ("RelativePositionBias: num_buckets", "None", DEFAULT),
    ("RelativePositionBias: max_distance", "None", DEFAULT),
    ("RelativePositionBias: bidirectional", "bool", RIGHT),
    ("RelativePositionBias: scale", NUMBER, RIGHT),
    ("RelativePositionBias*: *positions", COORDINATES, RIGHT),
    ("RelativePositionBias*: *positions", SAMPLES, SAME),
    ("RelativePositionBias*: key_positions", "None, symbolic None", DEFAULT),
    ("RelativePositionBias: *positions", f"{LENGTHS}, array, empty list, shape", SIZES),
    ("RelativePositionBias: *positions", "rank + 1, symbolic rank + 1", SAME),
    ("RelativePositionBias-grid: *positions", "batch + 1, batch 0, array", SIZES),
    ("RelativePositionBias-grid: *positions", "symbolic batch + 1", SIZES),
    ("RelativePositionBias-grid: grid", "None", DEFAULT),
    *[
        (f"{layer}: {argument}", labels, meaning)
        for layer, options in (
            ("MultiModalAttention", OPTIONS),
            ("TransformerBlock", [*OPTIONS, *OF_BLOCKS]),
            ("MultiModalTransformer", [*OPTIONS[:6], *OF_BLOCKS[4:]]),
        )
        for argument, labels, meaning in options
    ],
    ("MultiModalTransformer: final_norm", "None, bool", RIGHT),
    ("MultiModalAttention: bias", "None, empty dict, without a key", DEFAULT),
    ("MultiModalAttention: soft_cap", f"None, {NUMBER}", RIGHT),
    ("TransformerBlock: num_heads", "one", RIGHT),
    ("MultiModalAttention: use_output_bias", "None, bool", RIGHT),
    ("MultiModalAttention: flash_attention", "None", DEFAULT),
    ("MultiModalAttention: key", "None, symbolic None", DEFAULT),
    *[
        (f"MultiModalAttention*: {name}", labels, meaning)
        for name in ("query", "value", "key")
        for labels, meaning in (
            (f"{NUMBERS}, floats, lists", FEATURES),
            (FIRST_WIDTHS, SIZES),
        )
    ],
    ("MultiModalAttention: query", LENGTHS, SIZES),
    *[
        (f"{layer}-call: {argument}", labels, meaning)
        for layer in ("MultiModalAttention", "TransformerBlock")
        for argument, labels, meaning in OF_CALLS
    ],
    ("MultiModalAttention-call: return_attention_scores", "bool", RIGHT),
    ("TransformerBlock-*: tokens", f"{NUMBERS}, floats, lists", FEATURES),
    ("*: encoded", f"{NUMBERS}, floats, lists", FEATURES),
    ("*: encoded", "symbolic width + 1, symbolic width 1", SIZES),
    ("*-encoded: encoded_mask", "None, symbolic None", NONE),
    ("*-encoded: encoded_mask", f"{NUMBERS}, 2**40 values, {DTYPES}", TRUTH),
    ("*-encoded: encoded_mask", "bools, floats, integers, bytes", TRUTH),
    ("*-encoded: encoded_mask", "lists, batch 1", SAME),
    ("*-rotations: rotations", "None", DEFAULT),
    ("*-rotations: rotations*", f"{NUMBERS}, floats", FEATURES),
    ("*-rotations: rotations*", SAMPLES, SAME),
    ("rotary_positions*: fused", "one key more, key of a number, key of None", IGNORED),
    ("rotary_positions*: fused['mask']", f"{NUMBERS}, 2**40 values, {DTYPES}", TRUTH),
    ("rotary_positions*: fused['mask']", "bools, floats, integers, bytes", TRUTH),
    ("rotary_positions*: fused['mask']", "lists", RIGHT),
    ("rotary_positions*: fused['modality_ids']", INTEGERS, RIGHT),
    ("rotary_positions*: fused['positions']", COORDINATES, RIGHT),
    ("rotary_positions*: rate", f"None, {NUMBER}, symbolic None", RIGHT),
    ("rotary_positions*: rate", "empty dict, without a key", DEFAULT),
    ("rotary_positions*: rate", f"{INTEGERS}, 2**40 values, shape", RIGHT),
    ("rotary_positions*: rate", "huge values, fractions, floats", RIGHT),
    ("rotary_positions*: rate", "symbolic int32 dtype", RIGHT),
    ("rotary_positions: rate['image']", NUMBER, RIGHT),
    ("rotary_positions*: start_index", f"zero, one, {INTEGERS}, shape", RIGHT),
    ("rotary_positions*: start_index", "negative, negative values", RIGHT),
    ("rotary_positions: start_index", "scalar, rank - 1, batch 1", SAME),
    ("rotary_positions: audio", "empty list, too short", DEFAULT),
    ("rotary_positions: grids", "empty list, too short", "no grids"),
    ("rotary_positions: example_ids", f"{INTEGERS}, negative values", RIGHT),
    ("rotary_positions: example_ids", "None, 2**40 values", RIGHT),
    ("rotary_positions: repeats", "None, zeros, bools, lists", RIGHT),
    ("rotary_positions: return_next", "bool", RIGHT),
]
