"""Which unusual arguments have a result, and what it means."""

import fnmatch

from bad_input_allowed_attention import ATTENTION_ROWS
from bad_input_allowed_fusions import FUSION_ROWS
from bad_input_meanings import (
    ANY,
    ANYTHING,
    BATCHES,
    CAST,
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
    SYMBOLIC,
    TRUTH,
)

# a public name and an argument; labels of bad values; what the result means
ROWS = [
    ("*: name", "string, None", "a name, which Keras chooses if there is none"),
    ("*: dtype", "None", "the policy of the Keras configuration"),
    ("*: trainable", "bool", RIGHT),
    ("*: *", "symbolic, symbolic eager, symbolic unknown sizes", SYMBOLIC),
    ("*: max_wavelength", "one, float, float for int, 2**40", RIGHT),
    ("*: antialias", "bool", RIGHT),
    ("*: align_corners", "bool", RIGHT),
    ("*: use_bias", "bool", RIGHT),
    ("*: num_prefix_tokens", "zero", RIGHT),
    ("PositionEmbedding1D*: num_prefix_tokens", "one", RIGHT),
    ("Position*: combination", "None", DEFAULT),
    ("Position*: axis_order", "None", DEFAULT),
    ("Position*: cosine_first", "None, bool", RIGHT),
    ("Position*: offset", "None, zero, one, float, float for int", RIGHT),
    ("Position*: scale", "one, float, float for int", RIGHT),
    ("set_trainable: patterns", "empty list, too short", "all weights are frozen"),
    ("set_trainable: patterns", "too long", RIGHT),
    ("Position*: interpolation", "None", DEFAULT),
    ("*_initializer", "None", DEFAULT),
    ("Position*: max_length", "None, one", "no limit, or so many positions"),
    ("Position*: frames", "None, one", RIGHT),
    ("Position*: height", "None, one", RIGHT),
    ("Position*: width", "None, one", RIGHT),
    ("*: strides", "None", DEFAULT),
    ("*: data_format", "None", DEFAULT),
    ("BoxEmbedding: coordinate_width", "None, one", RIGHT),
    # features of layers that add to them
    ("*Embedding*: inputs", NUMBERS, FEATURES),
    ("*Embedding*: inputs", "floats", RIGHT),
    ("*Embedding*: inputs", f"integers, bytes, 2**40 values, {DTYPES}", CAST),
    ("*Embedding*: inputs", "width + 1, width 1", SIZES),
    ("*Embedding*: inputs", "symbolic width + 1, symbolic width 1", SIZES),
    *[
        (f"{name}: inputs", f"{BATCHES}", SIZES)
        for name in (
            "PositionEmbedding[123]D",
            "PositionEmbedding[123]D-learned",
            "PositionEmbedding*-none",
            "PositionEmbedding*-number",
            "PositionEmbedding*-grid",
            "PositionEmbedding*-unsized",
        )
    ],
    *[
        (f"{name}: inputs", f"{LENGTHS}, array", SIZES)
        for name in (
            "PositionEmbedding1D",
            "PositionEmbedding[123]D-learned",
            "PositionEmbedding*-none",
            "PositionEmbedding*-number",
            "PositionEmbedding*-start",
        )
    ],
    ("PositionEmbedding*-grids: inputs", LENGTHS, "tokens beyond a grid are padding"),
    ("PositionEmbedding*-table: inputs", LENGTHS, "tokens beyond a grid are padding"),
    *[
        (
            f"PositionEmbedding1D{name}: inputs",
            "rank - 1, rank + 1, symbolic rank - 1, symbolic rank + 1",
            "any number of axes before the length",
        )
        for name in ("", "-learned", "-none", "-number", "-start")
    ],
    # arguments of position layers
    ("Position*: positions", "None, symbolic None", NONE),
    ("Position*: positions", "zeros, integers, bytes, lists", RIGHT),
    ("Position*: positions", "symbolic uint8 dtype", RIGHT),
    ("Position*: positions", "batch 1, rank - 1, symbolic rank - 1", SAME),
    *[
        (f"{name}: positions", "floats, fractions, symbolic float32 dtype", RIGHT)
        for name in ("PositionEmbedding1D-positions", "PositionEmbedding3D-positions")
    ],
    ("PositionEmbedding3D-positions: positions", "negative values", RIGHT),
    ("Position*: start_index", "zero, one, zeros, integers, bytes, lists", RIGHT),
    ("Position*: start_index", "symbolic uint8 dtype", RIGHT),
    ("Position*: start_index", "scalar, rank - 1", SAME),
    ("Position*: start_index", "symbolic scalar, symbolic rank - 1", SAME),
    (
        "PositionEmbedding[23]D-start: start_index",
        "negative, negative values",
        "a formula without a declared size has no first position",
    ),
    ("Position*: mask", "None, symbolic None", NONE),
    ("Position*: mask", "zeros, bools, integers, bytes, lists, floats", TRUTH),
    ("Position*: mask", "negative values, fractions, huge values", TRUTH),
    ("Position*: mask", f"2**40 values, {DTYPES}", TRUTH),
    ("Position*: mask", "batch 1", SAME),
    ("Position*-none: grid", "None", NONE),
    ("Position*-grid: grid", "None", "the declared sizes"),
    ("Position*: grid", "an array of it, integers, bytes, lists, shape", RIGHT),
    ("Position*: grid", "symbolic uint8 dtype", RIGHT),
    ("Position*: grid", "zeros", "an image that a sample does not have"),
    ("Position*: grid", "rank - 1, symbolic rank - 1", SAME),
    ("BoxEmbedding*: boxes", "zeros, integers, bytes, lists", RIGHT),
    ("BoxEmbedding*: boxes", "symbolic uint8 dtype", RIGHT),
    ("BoxEmbedding*: boxes", "batch 1, rank - 1, symbolic rank - 1", SAME),
    ("*-sinusoidal: boxes", "floats, fractions, negative values", RIGHT),
    ("*-sinusoidal: boxes", "symbolic int32 dtype", RIGHT),
    # functions on positions
    ("positions_from_*: *", f"{BATCHES}, {LENGTHS}, array", "any batch and length"),
    ("positions_from_*: *", "zeros, bytes, integers, lists, negative values", RIGHT),
    ("positions_from_*: *", "symbolic uint8 dtype, 2**40 values", RIGHT),
    ("positions_from_mask: first_index", "zero, one", RIGHT),
    ("positions_from_mask: mask", "bools, floats, fractions, huge values", TRUTH),
    ("positions_from_mask: mask", DTYPES, TRUTH),
    (
        "load_published_weights: source*",
        "rank + 1, negative values, zeros, huge values, floats, fractions, lists",
        RIGHT,
    ),
    (
        "load_published_weights: source*",
        "NaN values, infinite values",
        "weights as they were published",
    ),
    (
        "load_published_weights: recipe['*'*]",
        "empty list, too long, too short, of a, one key more",
        "names that neither the source nor the model has",
    ),
    ("load_published_weights: part", "None", DEFAULT),
    ("load_published_weights: only", "None, too long", DEFAULT),
    ("load_published_weights: only", "too short", "the kernel alone"),
    ("MultiModalTransformer: cls_token", "None", DEFAULT),
    ("MultiModalTransformer: final_norm", "None, bool", RIGHT),
    ("MultiModalTransformer: pooler", "bool", RIGHT),
    ("MultiModalTransformer: head", "None", DEFAULT),
    ("resize_positions*: *", "an array of it", RIGHT),
    ("resize_positions*: table", "zeros, negative values, 2**40 values", RIGHT),
    ("resize_positions*: table", "huge values, floats, fractions, lists", RIGHT),
    ("resize_positions*: table", "integers, bytes", "in float32"),
    ("resize_positions: table", "batch + 1, batch 1, length + 1", "a table has a size"),
    ("resize_positions: table", "width + 1, width 1", "and any width"),
    ("resize_positions-grid: table", "length + 1", "any width"),
    ("resize_positions: a*", "bool", RIGHT),
    ("resize_positions-grid: num_prefix_tokens", "one", RIGHT),
    ("export_for_serving: version", "one", RIGHT),
    ("export_for_serving: endpoints", "None, empty dict, without a key", DEFAULT),
    ("export_for_serving: endpoints", "one key more", RIGHT),
    ("export_for_serving: endpoints['more']", "too long", RIGHT),
    ("export_for_serving: warmup", "None, empty list, too short", DEFAULT),
    ("export_for_serving: warmup", "too long, an array of it", RIGHT),
    ("export_for_serving: warmup*words*", f"{BATCHES}, {LENGTHS}", RIGHT),
    ("export_for_serving: warmup*words*", "negative values, zeros, lists", RIGHT),
    ("export_for_serving: warmup*words*", "bools, integers, bytes", CAST),
    ("export_for_serving: tolerance", "None, one, 2**40", RIGHT),
    ("export_for_serving: tolerance", "float, float for int", RIGHT),
    ("BoxEmbedding: num_positions", "one", RIGHT),
    ("SegmentEmbedding: num_segments", "one", RIGHT),
    # raw inputs
    ("PatchEmbedding: inputs", BATCHES, SIZES),
    ("TubeletEmbedding: inputs", BATCHES, SIZES),
    ("AudioEmbedding: inputs", f"{BATCHES}, {LENGTHS}, array", SIZES),
    ("AudioEmbedding-lengths: inputs", LENGTHS, SIZES),
    ("*Embedding*: inputs", "lists", RIGHT),
    ("*Embedding: output_dim", "one", RIGHT),
    ("*Embedding: strides", "one", RIGHT),
    ("AudioEmbedding: frame_stride", "one", RIGHT),
    ("AudioEmbedding: num_mel_bins", "one", RIGHT),
    ("*Embedding-*: mask", "None, symbolic None", NONE),
    ("*Embedding-mask: mask", f"{NUMBERS}, 2**40 values, {DTYPES}", TRUTH),
    ("*Embedding-mask: mask", "bools, floats, integers, bytes, lists", TRUTH),
    ("AudioEmbedding-mask: mask", "shape", "lengths of the samples"),
    ("*Embedding-sizes: mask", "zeros, integers, bytes, lists", RIGHT),
    ("*Embedding-sizes: mask", "symbolic uint8 dtype", RIGHT),
    ("*Embedding-lengths: mask", "zeros, integers, bytes, lists", RIGHT),
    ("*Embedding-lengths: mask", "symbolic uint8 dtype", RIGHT),
    # ids, gates and packing
    ("ModalityEmbedding: inputs", f"{BATCHES}, {LENGTHS}, array", SIZES),
    ("ModalityEmbedding: inputs", "rank - 1, symbolic rank - 1", "any axes"),
    ("ModalityEmbedding: inputs", "rank + 1, symbolic rank + 1", "any axes"),
    *[
        (f"{place}_ids", labels, meaning)
        for place in ("ModalityEmbedding-ids: modality", "SegmentEmbedding: segment")
        for labels, meaning in (
            ("zeros, integers, bytes, lists, symbolic uint8 dtype", RIGHT),
            ("rank - 1, symbolic rank - 1", SAME),
        )
    ],
    ("ZeroGate: *", f"{NUMBERS}, floats, lists", FEATURES),
    ("ZeroGate: *", f"integers, bytes, 2**40 values, {DTYPES}", CAST),
    ("*pack_tokens: tensor", f"{ANY}, rank + 1, width + 1, width 1, width 0", ANYTHING),
    ("*pack_tokens: tensor", "symbolic rank + 1, symbolic width + 1", ANYTHING),
    ("*pack_tokens: tensor", "symbolic width 1, symbolic bool dtype", ANYTHING),
    ("*pack_tokens: tensor", f"{DTYPES}, symbolic complex64 dtype", ANYTHING),
    ("*pack_tokens: tensor", "symbolic string dtype", ANYTHING),
    ("*pack_tokens: mask", f"{NUMBERS}, 2**40 values, {DTYPES}", TRUTH),
    ("*pack_tokens: mask", "bools, floats, integers, bytes, lists", TRUTH),
    # pictures
    ("plot_*: axes", "None", "new axes"),
    ("plot_layout: fused", "one key more, key of a number, key of None", IGNORED),
    ("plot_layout: sample", "zero, one", RIGHT),
    ("plot_layout: fused['modality_ids']", "zeros, integers, bytes, lists", RIGHT),
    ("plot_layout: fused['mask']", "zeros, bools, lists", RIGHT),
    ("plot_layout: fused['mask']", "integers, bytes, negative values", TRUTH),
    ("plot_layout: fused['mask']", f"2**40 values, {NUMBERS}, floats", TRUTH),
    ("plot_layout: fused['positions']", "zeros, lists, floats, fractions", RIGHT),
    ("plot_layout: fused['positions']", "integers, bytes", RIGHT),
    ("plot_layout: fused['positions']", "negative values, huge values", RIGHT),
    ("plot_layout: fused['positions']", "2**40 values", RIGHT),
    ("plot_layout: modalities", "of a", "any names"),
    *FUSION_ROWS,
    *ATTENTION_ROWS,
    ("PositionEmbedding[123]D: block_size", "one", RIGHT),
    ("positions_from_ids: ids", "rank + 1, symbolic rank + 1", "several numbers"),
    ("BoxEmbedding: scale", "2**40, one, float, float for int", RIGHT),
    ("BoxEmbedding: size_width", "None, one", RIGHT),
    ("BoxEmbedding: projection", "bool, empty dict, without a key", RIGHT),
    ("BoxEmbedding: projection['use_bias']", "bool", RIGHT),
    ("BoxEmbedding-linear: boxes", "negative values, fractions, floats", RIGHT),
    ("BoxEmbedding-linear: boxes", "symbolic int32 dtype", RIGHT),
    ("TubeletEmbedding: padding", "zero, one, of 0", RIGHT),
    ("PatchEmbedding: padding", "zero, one, of 0", RIGHT),
    ("PatchEmbedding: inputs", "length 0", "patches of padding alone"),
    # convolutions
    ("ConvPositionEmbedding: kernel_size", "one", RIGHT),
    ("ConvPositionEmbedding: groups", "one", RIGHT),
    ("ConvPositionEmbedding: num_layers", "one", RIGHT),
    ("ConvPositionEmbedding: weight_norm", "bool", RIGHT),
    ("ConvPositionEmbedding: normalize", "bool", RIGHT),
    ("ConvPositionEmbedding: activation", "None", "no activation"),
    ("ConvPositionEmbedding: epsilon", "2**40, one, float, float for int", RIGHT),
    ("ConvPositionEmbedding: mask", "None, symbolic None", NONE),
    ("ConvPositionEmbedding: mask", f"{NUMBERS}, 2**40 values, {DTYPES}", TRUTH),
    ("ConvPositionEmbedding: mask", "bools, floats, integers, bytes, lists", TRUTH),
    # samples of one batch
    ("pad_batch: samples", "too long, too short", "any number of samples"),
    ("pad_batch: samples[[][01]]", "empty dict, without a key, one key more", NONE),
    ("pad_batch: samples[[][01]]*", "None", "a sample lacks the modality"),
    ("pad_batch: samples[[][01]]*", f"{NUMBERS}, 2**40 values", FEATURES),
    ("pad_batch: samples[[][01]]*", "floats, integers, bytes, lists, shape", RIGHT),
    ("pad_batch: samples[[][01]]*", "batch + 1, batch 1, batch 0", "any length"),
    ("pad_batch: samples[[]0]['image']", "length 0, width + 1, width 1", "any size"),
    ("pad_batch: samples[[]0]['image']", "bools", "what the modality accepts"),
    ("pad_batch: sizes", "None, empty dict, without a key", DEFAULT),
    ("pad_batch: sizes['*']", "None", DEFAULT),
    ("pad_batch: padding_values", "None, empty dict, without a key", DEFAULT),
    ("pad_batch: *s", "dict, one key more", "no sample needs to have a modality"),
    ("pad_batch: padding_values['text']", "negative, zero, one, 2**40", RIGHT),
    # a model with lengths
    ("with_lengths-call: inputs['words']", "array, rank + 1", "Keras reshapes inputs"),
    ("with_lengths-call: *", "zeros, integers, bytes, symbolic uint8 dtype", RIGHT),
    ("with_lengths-call: inputs['words']", f"negative values, {LENGTHS}", RIGHT),
    ("with_lengths-call: *", "symbolic rank + 1", "Keras reshapes inputs"),
]


# inputs that are not mended yet, by the same patterns
KNOWN_ROWS = []


def meaning(case, rows):
    """Return what a table says of a case, or `None`."""
    place, _, label = case.rpartition(": ")
    label = label.removeprefix("first ")
    for pattern, labels, reason in rows:
        if (labels == "*" or label in labels.split(", ")) and fnmatch.fnmatchcase(
            place, escape(pattern)
        ):
            return reason
    return None


def escape(pattern):
    """Return a pattern in which the keys of a path stand for themselves."""
    return pattern.replace("['", "[[]'")
