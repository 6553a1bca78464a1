"""Every error says which layer and argument, the rule, the value and the remedy."""

import keras
import numpy as np
import pytest
from messages import assert_message
from reference import TEXT_AND_IMAGE

import keras_mmembed as mm

ONE, TWO, THREE = (
    mm.PositionEmbedding1D,
    mm.PositionEmbedding2D,
    mm.PositionEmbedding3D,
)


def zeros(*shape):
    return np.zeros(shape, "float32")


def ids(*shape, dtype="int32"):
    return np.zeros(shape, dtype)


def fusion(configs=TEXT_AND_IMAGE, width=8, **kwargs):
    return mm.MultiModalFusion(configs, width, **kwargs)


def good():
    return {"text": zeros(2, 5, 8), "image": zeros(2, 12, 6)}


def text(**config):
    return {"text": {"type": "1d", "dim": 8, **config}}


CONSTRUCTORS = [
    # layer, what is made, argument, rule, value received
    ("PositionEmbedding1D", lambda: ONE(0), "max_length", "be at least 1", "0"),
    (
        "PositionEmbedding1D",
        lambda: ONE(2.5),
        "max_length",
        "be an integer or None",
        "2.5",
    ),
    (
        "PositionEmbedding1D",
        lambda: ONE(kind="learned"),
        "max_length",
        "be given with kind='learned'",
        "None",
    ),
    (
        "PositionEmbedding2D",
        lambda: TWO(3, kind="learned"),
        "width",
        "be given with kind='learned'",
        "None",
    ),
    (
        "PositionEmbedding1D",
        lambda: ONE(kind="sine"),
        "kind",
        "be one of 'sinusoidal', 'learned'",
        "'sine'",
    ),
    (
        "PositionEmbedding1D",
        lambda: ONE(convention="bert"),
        "convention",
        "be one of 'transformer', 'whisper', 'mae', 'detr'",
        "'bert'",
    ),
    (
        "PositionEmbedding1D",
        lambda: ONE(convention="roberta"),
        "convention",
        "be one of 'transformer', 'whisper'",
        "'roberta'",
    ),
    (
        "PositionEmbedding2D",
        lambda: TWO(combination="product"),
        "combination",
        "be one of None, 'concat', 'sum'",
        "'product'",
    ),
    (
        "PositionEmbedding1D",
        lambda: ONE(max_wavelength=-1),
        "max_wavelength",
        "be greater than 0",
        "-1",
    ),
    (
        "PositionEmbedding1D",
        lambda: ONE(max_wavelength="long"),
        "max_wavelength",
        "be a number",
        "'long'",
    ),
    (
        "PositionEmbedding1D",
        lambda: ONE(out_of_range="wrap"),
        "out_of_range",
        "be one of 'error', 'clip', 'zero', 'resize'",
        "'wrap'",
    ),
    (
        "PositionEmbedding2D",
        lambda: TWO(2, 2, kind="learned", interpolation="cubic"),
        "interpolation",
        "be one of 'nearest', 'bilinear', 'bicubic'",
        "'cubic'",
    ),
    (
        "PositionEmbedding2D",
        lambda: TWO(2, 2, kind="learned", out_of_range="resize"),
        "interpolation",
        "be one of 'nearest', 'bilinear', 'bicubic'",
        "None",
    ),
    (
        "PositionEmbedding2D",
        lambda: TWO(2, 2, kind="learned", interpolation="nearest", antialias=True),
        "antialias",
        "be False with nearest interpolation",
        "True",
    ),
    (
        "PositionEmbedding2D",
        lambda: TWO(
            2,
            2,
            kind="learned",
            interpolation="bicubic",
            antialias=True,
            align_corners=True,
        ),
        "align_corners",
        "be False with antialias=True",
        "True",
    ),
    (
        "PositionEmbedding1D",
        lambda: ONE(
            9,
            kind="learned",
            convention="roberta",
            interpolation="bilinear",
            out_of_range="resize",
        ),
        "out_of_range",
        "not be 'resize' with convention='roberta'",
        "'resize'",
    ),
    (
        "PositionEmbedding1D",
        lambda: ONE(num_prefix_tokens=-1),
        "num_prefix_tokens",
        "be at least 0",
        "-1",
    ),
    (
        "ModalityEmbedding",
        lambda: mm.ModalityEmbedding([]),
        "modalities",
        "hold at least one name",
        "[]",
    ),
    (
        "ModalityEmbedding",
        lambda: mm.ModalityEmbedding(["a/b"]),
        "modalities",
        "start with a letter and hold only letters, digits and underscores",
        "'a/b'",
    ),
    (
        "ModalityEmbedding",
        lambda: mm.ModalityEmbedding(["Text", "text"]),
        "modalities",
        "differ in more than upper and lower case",
        "'Text' and 'text'",
    ),
    (
        "BoxEmbedding",
        lambda: mm.BoxEmbedding(kind="fixed"),
        "kind",
        "be one of 'learned', 'sinusoidal'",
        "'fixed'",
    ),
    (
        "BoxEmbedding",
        lambda: mm.BoxEmbedding(combination="product"),
        "combination",
        "be one of 'sum', 'concat'",
        "'product'",
    ),
    (
        "BoxEmbedding",
        lambda: mm.BoxEmbedding(num_positions=0),
        "num_positions",
        "be at least 1",
        "0",
    ),
    (
        "BoxEmbedding",
        lambda: mm.BoxEmbedding(coordinate_width=2.5),
        "coordinate_width",
        "be an integer or None",
        "2.5",
    ),
    (
        "BoxEmbedding",
        lambda: mm.BoxEmbedding(max_wavelength=0),
        "max_wavelength",
        "be greater than 0",
        "0",
    ),
    (
        "SegmentEmbedding",
        lambda: mm.SegmentEmbedding(0),
        "num_segments",
        "be at least 1",
        "0",
    ),
    (
        "SegmentEmbedding",
        lambda: mm.SegmentEmbedding("two"),
        "num_segments",
        "be an integer",
        "'two'",
    ),
    (
        "MultiModalFusion",
        lambda: fusion([]),
        "modality_configs",
        "be a dict of a dict for each modality",
        "[]",
    ),
    (
        "MultiModalFusion",
        lambda: fusion({}),
        "modality_configs",
        "hold at least one name",
        "{}",
    ),
    (
        "MultiModalFusion",
        lambda: fusion({"a b": {}}),
        "modality_configs",
        "start with a letter",
        "'a b'",
    ),
    (
        "MultiModalFusion",
        lambda: fusion({"text": 8}),
        "modality_configs['text']",
        "be a dict",
        "8",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(text(type="4d")),
        "modality_configs['text']['type']",
        "be one of '1d', '2d', '3d', 'none'",
        "'4d'",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(text(height=3)),
        "modality_configs['text']",
        "have no keys but type, dim, max_len, position, segments, embedding, ",
        "'height'",
    ),
    (
        "MultiModalFusion",
        lambda: fusion({"text": {"type": "1d"}}),
        "modality_configs['text']",
        "have the key 'dim'",
        "['type']",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(text(dim=0)),
        "modality_configs['text']['dim']",
        "be at least 1",
        "0",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(text(position="rotary")),
        "modality_configs['text']['position']",
        "be 'sinusoidal', 'learned' or a PositionEmbedding1D",
        "'rotary'",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(text(position="learned")),
        "modality_configs['text']['max_len']",
        "be given for a learned position table",
        "None",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(text(position=ONE(4), max_len=4)),
        "modality_configs['text']['max_len']",
        "be given here or in the PositionEmbedding1D, not in both",
        "4",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(text(type="none", position="learned")),
        "modality_configs['text']['position']",
        "be left out with type 'none'",
        "'learned'",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(width=0),
        "unified_dim",
        "be at least 1",
        "0",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(norm_type="batch"),
        "norm_type",
        "be one of 'layer', 'rms'",
        "'batch'",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(normalization="batch"),
        "normalization",
        "be one of 'shared', 'per_modality', 'joint', 'both', None",
        "'batch'",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(epsilon=0),
        "epsilon",
        "be greater than 0",
        "0",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(dropout=1.0),
        "dropout",
        "lie in [0, 1)",
        "1.0",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(modality_dropout={"image": 1.5}),
        "modality_dropout['image']",
        "lie in [0, 1)",
        "1.5",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(modality_dropout={"sound": 0.5}),
        "modality_dropout",
        "name only the modalities ['text', 'image']",
        "'sound'",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(missing="skip"),
        "missing",
        "be one of 'mask', 'token'",
        "'skip'",
    ),
    (
        "MultiModalFusion",
        lambda: fusion(num_registers=-1),
        "num_registers",
        "be at least 0",
        "-1",
    ),
    (
        "PatchEmbedding",
        lambda: mm.PatchEmbedding((4, 4, 4), 8),
        "patch_size",
        "be an integer, or have one for each of ('height', 'width')",
        "(4, 4, 4)",
    ),
    (
        "PatchEmbedding",
        lambda: mm.PatchEmbedding((4, 0), 8),
        "patch_size",
        "be at least 1",
        "0",
    ),
    (
        "PatchEmbedding",
        lambda: mm.PatchEmbedding(4, None),
        "output_dim",
        "be an integer",
        "None",
    ),
    (
        "TubeletEmbedding",
        lambda: mm.TubeletEmbedding((2, 4, 4), 8, strides=4),
        "strides",
        "be at most patch_size=(2, 4, 4), so that nothing is left out",
        "(4, 4, 4)",
    ),
    (
        "PatchEmbedding",
        lambda: mm.PatchEmbedding(4, 8, remainder="same"),
        "remainder",
        "be one of 'error', 'pad', 'crop'",
        "'same'",
    ),
    (
        "PatchEmbedding",
        lambda: mm.PatchEmbedding(4, 8, data_format="NCHW"),
        "data_format",
        "be one of 'channels_last', 'channels_first'",
        "'NCHW'",
    ),
    (
        "PatchEmbedding",
        lambda: mm.PatchEmbedding(4, 8).build((None, 8, 8, None)),
        "inputs.shape",
        "have a known number of channels",
        "(None, 8, 8, None)",
    ),
    (
        "AudioEmbedding",
        lambda: mm.AudioEmbedding(8, convention="kaldi"),
        "convention",
        "be one of 'ast', 'whisper'",
        "'kaldi'",
    ),
    (
        "AudioEmbedding",
        lambda: mm.AudioEmbedding(8, sampling_rate=16e3),
        "sampling_rate",
        "be an integer",
        "16000.0",
    ),
    (
        "AudioEmbedding",
        lambda: mm.AudioEmbedding(8, frame_stride=500),
        "frame_stride",
        "be at most frame_length=400, so that nothing is left out",
        "500",
    ),
    (
        "AudioEmbedding",
        lambda: mm.AudioEmbedding(8, num_mel_bins=0),
        "num_mel_bins",
        "be at least 1",
        "0",
    ),
    (
        "AudioEmbedding",
        lambda: mm.AudioEmbedding(8, num_mel_bins=12, patch_size=16, remainder="crop"),
        "num_mel_bins",
        "be at least 16",
        "12",
    ),
    (
        "AudioEmbedding",
        lambda: mm.AudioEmbedding(8, patch_size=(16, 16, 1)),
        "patch_size",
        "be an integer, or have one for each of ('frequency', 'frames')",
        "(16, 16, 1)",
    ),
    (
        "AudioEmbedding",
        lambda: mm.AudioEmbedding(8, strides=10),
        "strides",
        "be left out without patch_size",
        "10",
    ),
    (
        "AudioEmbedding",
        lambda: mm.AudioEmbedding(8, remainder="error"),
        "remainder",
        "be one of 'pad', 'crop'",
        "'error'",
    ),
]


class WithoutShape(keras.layers.Layer):
    """An embedding that does not say the shape of what it makes."""


LEARNED_1D = {"kind": "learned", "max_length": 4}
LEARNED_2D = {"kind": "learned", "height": 3, "width": 4}

PLACED = {
    "text": {"type": "1d", "dim": 8},
    "audio": {"type": "1d", "dim": 8, "into": "text"},
}


def placed():
    return {"text": zeros(2, 5, 8), "audio": zeros(2, 2, 8)}


def with_audio(**config):
    return lambda: fusion({**text(), "audio": {"type": "1d", "dim": 8, **config}})


FUSION = "MultiModalFusion"
CONSTRUCTORS += [
    (
        FUSION,
        lambda: fusion({**text(), "other": {"instance_of": "text", "dim": 8}}),
        "modality_configs['other']",
        "have no other keys beside 'instance_of'",
        "['dim', 'instance_of']",
    ),
    (
        FUSION,
        lambda: fusion({**text(), "other": {"instance_of": "image"}}),
        "modality_configs['other']['instance_of']",
        "be one of the other modalities ['text']",
        "'image'",
    ),
    (
        FUSION,
        with_audio(into="audio"),
        "modality_configs['audio']['into']",
        "be one of the other modalities ['text']",
        "'audio'",
    ),
    (
        FUSION,
        with_audio(into="text", start_token=True),
        "modality_configs['audio']['start_token']",
        "be False for a modality that is placed into another",
        "True",
    ),
    (
        FUSION,
        with_audio(gate=True),
        "modality_configs['audio']['gate']",
        "be False for a modality that is not placed into another",
        "True",
    ),
    (
        FUSION,
        with_audio(count_special=True),
        "modality_configs['audio']['count_special']",
        "be False without a start or end token",
        "True",
    ),
    (
        FUSION,
        with_audio(end_token=1),
        "modality_configs['audio']['end_token']",
        "be True or False",
        "1",
    ),
    (
        FUSION,
        with_audio(vocabulary_size=0),
        "modality_configs['audio']['vocabulary_size']",
        "be at least 1",
        "0",
    ),
    (
        FUSION,
        with_audio(embedding="conv"),
        "modality_configs['audio']['embedding']",
        "be a Keras layer that makes features of raw inputs",
        "'conv'",
    ),
    (
        FUSION,
        with_audio(embedding=keras.layers.Embedding(4, 8), vocabulary_size=4),
        "modality_configs['audio']['vocabulary_size']",
        "be left out, because 'embedding' is given",
        "4",
    ),
    (
        FUSION,
        with_audio(embedding=WithoutShape()),
        "modality_configs['audio']['embedding']",
        "be a layer with a compute_output_shape of its own",
        "WithoutShape",
    ),
    (
        FUSION,
        lambda: fusion(
            {
                **PLACED,
                "audio_2": {"instance_of": "audio"},
                "image": {"type": "2d", "dim": 8, "into": "audio_2"},
            }
        ),
        "modality_configs['image']['into']",
        "be a modality that is not placed into another",
        "'audio_2'",
    ),
    (
        "PositionEmbedding1D",
        lambda: ONE().build((None, 5, None)),
        "inputs.shape",
        "have a last axis of known size",
        "(None, 5, None)",
    ),
    (
        "MultiModalTransformer",
        lambda: mm.MultiModalTransformer(
            {**text(), "audio": {"type": "1d", "dim": 8, "end_token": True}},
            8,
            gated=["audio"],
        ),
        "gated",
        "hold no modality with a start or end token, which no rule can hide",
        "'audio'",
    ),
    (
        FUSION,
        lambda: fusion().branch("sound"),
        "name",
        "be one of 'text', 'image'",
        "'sound'",
    ),
    (
        FUSION,
        lambda: fusion(PLACED, modality_dropout={"text": 0.5}),
        "modality_dropout['text']",
        "be left out for a modality that others are placed into",
        "0.5",
    ),
]

CALLS = [
    # layer, its inputs and the arguments of the call, argument, rule, value
    (ONE(**LEARNED_1D), zeros(2, 5, 8), {}, "length", "be at most max_length=4", "5"),
    (
        ONE(**LEARNED_1D),
        zeros(2, 3, 8),
        {"start_index": 2},
        "length",
        "be at most max_length=4",
        "5",
    ),
    (ONE(4), zeros(2, 5, 8), {}, "length", "be at most max_length=4", "5"),
    (ONE(), zeros(8), {}, "inputs.shape", "be (..., length, width)", "(8,)"),
    (
        TWO(),
        zeros(2, 2, 3, 4, 8),
        {},
        "inputs.shape",
        "be (batch, tokens, width) or (batch, height, width, width)",
        "(2, 2, 3, 4, 8)",
    ),
    (TWO(), zeros(2, 12, 8), {}, "height", "be given for inputs of shape", "None"),
    (
        TWO(3, 4),
        zeros(2, 11, 8),
        {},
        "inputs.shape[1]",
        "be 12, for 0 prefix tokens and a grid of (3, 4)",
        "11",
    ),
    (
        TWO(3, 4, num_prefix_tokens=1),
        zeros(2, 12, 8),
        {},
        "inputs.shape[1]",
        "be 13, for 1 prefix tokens and a grid of (3, 4)",
        "12",
    ),
    (
        TWO(3, 4, num_prefix_tokens=1),
        zeros(2, 3, 4, 8),
        {},
        "num_prefix_tokens",
        "be 0 for inputs that have a grid of axes",
        "1",
    ),
    (
        TWO(**LEARNED_2D),
        zeros(2, 4, 4, 8),
        {},
        "grid",
        "be that of the layer, (3, 4)",
        "(4, 4)",
    ),
    (
        TWO(),
        zeros(2, 3, 4, 8),
        {"grid": (3, 4)},
        "grid",
        "be None for inputs that have a grid of axes",
        "(3, 4)",
    ),
    (TWO(), zeros(2, 12, 8), {"grid": (12,)}, "grid", "have 2 sizes", "(12,)"),
    (
        TWO(),
        zeros(2, 12, 1),
        {"grid": (3, 4)},
        "inputs.shape[-1]",
        "be at least 2 with convention='transformer'",
        "1",
    ),
    (
        TWO(convention="mae"),
        zeros(2, 3, 4, 6),
        {},
        "inputs.shape[-1]",
        "be divisible by 4 with convention='mae'",
        "6",
    ),
    (
        TWO(convention="perceiver"),
        zeros(2, 3, 4, 8),
        {},
        "inputs.shape[-1]",
        "be 2 * (2 * bands + 1) with convention='perceiver'",
        "8",
    ),
    (
        ONE(**LEARNED_1D),
        zeros(2, 3, 8),
        {"positions": zeros(2, 3)},
        "positions.dtype",
        "be integer, because the table is read without interpolation",
        "float32",
    ),
    (
        ONE(),
        zeros(2, 3, 8),
        {"positions": ids(2, 4)},
        "positions.shape",
        "end with the axes of the tokens, (3,)",
        "(2, 4)",
    ),
    (
        ONE(),
        zeros(2, 3, 8),
        {"positions": ids(3, 3)},
        "positions.shape",
        "have no axis before those of the tokens, or that of 2 samples",
        "(3, 3)",
    ),
    (
        ONE(convention="detr"),
        zeros(2, 3, 8),
        {"positions": ids(2, 3)},
        "max_length",
        "be given, because convention='detr' counts with it",
        "None",
    ),
    (
        THREE(convention="videomae", height=4),
        zeros(2, 3, 8),
        {"positions": ids(2, 3, 3)},
        "width",
        "be given, because convention='videomae' counts with it",
        "None",
    ),
    (
        ONE(num_prefix_tokens=4),
        zeros(2, 3, 8),
        {},
        "inputs.shape[-2]",
        "be at least 4, for 4 prefix tokens",
        "3",
    ),
    (
        TWO(),
        zeros(2, 3, 8),
        {"positions": ids(2, 3, 3)},
        "positions.shape",
        "have a last axis of 2",
        "(2, 3, 3)",
    ),
    (
        mm.BoxEmbedding(combination="concat", coordinate_width=4),
        zeros(2, 3, 16),
        {"boxes": ids(2, 3, 4)},
        "coordinate_width",
        "leave an even number of the 16 channels for height and width",
        "4",
    ),
    (
        mm.BoxEmbedding(),
        zeros(2, 3, 8),
        {"boxes": ids(2, 3, 6)},
        "boxes",
        "have the shape (batch, length, 4) or (length, 4)",
        "(2, 3, 6)",
    ),
    (
        mm.BoxEmbedding(),
        zeros(2, 3, 8),
        {"boxes": ids(2, 5, 4)},
        "boxes",
        "hold one box for each of the 3 tokens",
        "(2, 5, 4)",
    ),
    (
        mm.BoxEmbedding(),
        zeros(2, 3, 8),
        {"boxes": zeros(2, 3, 4)},
        "boxes.dtype",
        "be integer",
        "float32",
    ),
    (
        mm.SegmentEmbedding(2),
        zeros(2, 3, 8),
        {"segment_ids": zeros(2, 3)},
        "segment_ids.dtype",
        "be integer",
        "float32",
    ),
    (
        mm.ModalityEmbedding(["text"]),
        zeros(2, 3, 8),
        {"modality": "image"},
        "modality",
        "be one of 'text'",
        "'image'",
    ),
    (
        mm.ModalityEmbedding(["text"]),
        zeros(2, 3, 8),
        {},
        "modality",
        "be given, or else `modality_ids`, and not both",
        "None",
    ),
    (
        mm.ModalityEmbedding(["text"]),
        zeros(2, 3, 8),
        {"modality_ids": zeros(2, 3)},
        "modality_ids.dtype",
        "be integer",
        "float32",
    ),
    (
        fusion(),
        {**good(), "sound": zeros(2, 3, 8)},
        {},
        "inputs",
        "name only the modalities ['text', 'image']",
        "'sound'",
    ),
    (
        fusion(),
        {**good(), "text": zeros(2, 8)},
        {},
        "inputs['text'].shape",
        "be (batch, length, dim)",
        "(2, 8)",
    ),
    (
        fusion(),
        {**good(), "text": zeros(2, 5, 7)},
        {},
        "inputs['text'].shape",
        "end with dim=8 of the configuration",
        "(2, 5, 7)",
    ),
    (
        fusion(),
        {**good(), "image": zeros(2, 13, 6)},
        {},
        "inputs.shape[1]",
        "be 12, for 0 prefix tokens and a grid of (3, 4)",
        "13",
    ),
    (
        fusion(),
        {**good(), "text": ids(2, 5, 8)},
        {},
        "inputs['text'].dtype",
        "be float",
        "int32",
    ),
    (
        fusion(),
        good(),
        {"segment_ids": {"text": ids(2, 5)}},
        "segment_ids['text']",
        "be left out, because the configuration has no segments",
        "(2, 5)",
    ),
    (
        fusion(),
        good(),
        {"present": {"sound": ids(2, dtype="bool")}},
        "present",
        "name only the modalities ['text', 'image']",
        "'sound'",
    ),
    (
        fusion(),
        {"text": zeros(2, 5, 8)},
        {"present": {"image": ids(2, dtype="bool")}},
        "present['image']",
        "come with inputs['image']",
        "inputs without it",
    ),
    (
        fusion(),
        good(),
        {"mask": {"text": ids(2, 4, dtype="bool")}},
        "mask['text'].shape",
        "be (2,) or (2, 5)",
        "(2, 4)",
    ),
    (
        fusion(),
        good(),
        {"mask": {"text": ids(2, dtype="bool")}},
        "mask['text'].dtype",
        "be a number for each sample, its length",
        "bool",
    ),
    (
        fusion({"text": {"type": "none", "dim": 8}}),
        {"text": zeros(2, 5, 8)},
        {"positions": {"text": ids(2, 5)}},
        "positions['text']",
        "be left out, because the configuration has type 'none'",
        "(2, 5)",
    ),
    (
        fusion(),
        good(),
        {"present": {"text": ids(2, 5, dtype="bool")}},
        "present['text'].shape",
        "be (2,)",
        "(2, 5)",
    ),
    (
        mm.PatchEmbedding(4, 8),
        zeros(2, 8, 8),
        {},
        "inputs.shape",
        "be (batch, height, width, channels)",
        "(2, 8, 8)",
    ),
    (
        mm.TubeletEmbedding(4, 8, data_format="channels_first"),
        zeros(2, 3, 8, 8),
        {},
        "inputs.shape",
        "be (batch, channels, frames, height, width)",
        "(2, 3, 8, 8)",
    ),
    (
        mm.PatchEmbedding(4, 8),
        zeros(2, 8, 9, 3),
        {},
        "width",
        "be a multiple of 4",
        "9",
    ),
    (
        mm.PatchEmbedding(4, 8, strides=3),
        zeros(2, 7, 8, 3),
        {},
        "width",
        "be 4 plus a multiple of 3",
        "8",
    ),
    (
        mm.TubeletEmbedding(4, 8, remainder="crop"),
        zeros(2, 3, 8, 8, 3),
        {},
        "frames",
        "be at least 4",
        "3",
    ),
    (
        mm.PatchEmbedding(4, 8),
        zeros(2, 8, 8, 3),
        {"mask": ids(2, 8)},
        "mask.shape",
        "be (2, 8, 8), or (2, 2) for the sizes ('height', 'width') of each sample",
        "(2, 8)",
    ),
    (
        mm.AudioEmbedding(8),
        zeros(2, 800, 2),
        {},
        "inputs.shape",
        "be (batch, samples), of one channel",
        "(2, 800, 2)",
    ),
    (
        mm.AudioEmbedding(8, remainder="crop"),
        zeros(2, 399),
        {},
        "samples",
        "be at least 400",
        "399",
    ),
    (
        mm.AudioEmbedding(8, remainder="crop", convention="whisper", patch_size=4),
        zeros(2, 639),
        {},
        "samples",
        "be at least 640",
        "639",
    ),
    (
        mm.AudioEmbedding(8),
        zeros(2, 800),
        {"mask": ids(3)},
        "mask.shape",
        "be (2, 800), or (2,) for the sizes ('samples',) of each sample",
        "(3,)",
    ),
]

CALLS += [
    (
        fusion(
            {**text(), "image": {"type": "2d", "embedding": mm.PatchEmbedding(2, 8)}}
        ),
        {"text": zeros(2, 5, 8)},
        {},
        "inputs['image']",
        "be given in the first call, because its embedding is not built",
        "None",
    ),
    (
        fusion(PLACED),
        placed(),
        {},
        "placeholders['audio']",
        "say where the tokens of inputs['audio'] go",
        "None",
    ),
    (
        fusion(PLACED),
        {"audio": zeros(2, 2, 8)},
        {},
        "inputs['audio']",
        "come with inputs['text'], where its tokens are placed",
        "only ['audio']",
    ),
    (
        fusion(PLACED),
        placed(),
        {"placeholders": {"text": ids(2, 5, dtype="bool")}},
        "placeholders['text']",
        "be left out, because the configuration has no 'into'",
        "text",
    ),
    (
        fusion(PLACED),
        placed(),
        {"placeholders": {"audio": ids(2, 5)}},
        "placeholders['audio'].dtype",
        "be bool, true at the places in 'text'",
        "int32",
    ),
    (
        fusion(PLACED),
        placed(),
        {"placeholders": {"audio": ids(2, 4, dtype="bool")}},
        "placeholders['audio'].shape",
        "be (2, 5)",
        "(2, 4)",
    ),
    (
        fusion(text(vocabulary_size=9)),
        {"text": zeros(2, 5)},
        {},
        "inputs['text'].dtype",
        "be integer",
        "float32",
    ),
    (
        fusion(text(vocabulary_size=9)),
        {"text": ids(2, 5, 8)},
        {},
        "inputs['text'].shape",
        "be (batch, length)",
        "(2, 5, 8)",
    ),
]

TWICE = {"placeholders": {n: np.eye(2, 5, dtype=bool) for n in ("audio", "image")}}

VALUES = [
    # what only values tell; symbolic tensors do not have them
    (
        fusion({**PLACED, "image": {"type": "1d", "dim": 8, "into": "text"}}),
        {"text": zeros(2, 5, 8), "audio": zeros(2, 1, 8), "image": zeros(2, 1, 8)},
        TWICE,
        "placeholders['image']",
        "mark other places in 'text' than those of other modalities",
        "place 0 of sample 0, which is taken",
    ),
    (
        ONE(**LEARNED_1D),
        zeros(2, 3, 8),
        {"positions": [0.0, 0.5, 1.0]},
        "positions.dtype",
        "be integer, because the table is read without interpolation",
        "float",
    ),
    (
        fusion(PLACED),
        placed(),
        {"placeholders": {"audio": np.eye(2, 5, dtype=bool)}},
        "placeholders['audio']",
        "mark a place for each valid token, 2 in sample 0",
        "1 places",
    ),
    (
        fusion(text(vocabulary_size=9)),
        {"text": ids(2, 5) + 9},
        {},
        "inputs['text']",
        "lie in [0, 9)",
        "9",
    ),
    (
        mm.PatchEmbedding(4, 8),
        zeros(2, 8, 8, 3),
        {"mask": np.array([[8, 4], [6, 8]])},
        "height",
        "be a multiple of 4",
        "6",
    ),
    (
        mm.PatchEmbedding(4, 8, remainder="pad"),
        zeros(2, 8, 12, 3),
        {"mask": np.array([[8, 4], [12, 8]])},
        "mask (height)",
        "lie in [0, 9)",
        "12",
    ),
    (
        mm.AudioEmbedding(8),
        zeros(2, 800),
        {"mask": np.array([800, 801])},
        "mask (samples)",
        "lie in [0, 801)",
        "801",
    ),
    (
        mm.BoxEmbedding(num_positions=9),
        zeros(2, 3, 8),
        {"boxes": ids(2, 3, 4) + 9},
        "boxes",
        "lie in [0, 9)",
        "9",
    ),
    (
        mm.SegmentEmbedding(2),
        zeros(2, 3, 8),
        {"segment_ids": ids(2, 3) + 2},
        "segment_ids",
        "lie in [0, 2)",
        "2",
    ),
    (
        mm.ModalityEmbedding(["text"]),
        zeros(2, 3, 8),
        {"modality_ids": ids(2, 3) - 2},
        "modality_ids",
        "lie in [-1, 1)",
        "-2",
    ),
    (
        ONE(**LEARNED_1D),
        zeros(2, 3, 8),
        {"positions": ids(2, 3) - 1},
        "positions",
        "lie in [0, 4)",
        "-1",
    ),
    (
        ONE(**LEARNED_1D),
        zeros(2, 3, 8),
        {"start_index": np.array([0, 2], "int32")},
        "start_index",
        "lie in [0, 2)",
        "2",
    ),
    (
        fusion({"text": {"type": "1d", "dim": 8, "segments": 2}}),
        {"text": zeros(2, 3, 8)},
        {"segment_ids": {"text": ids(2, 3) - 1}},
        "segment_ids",
        "lie in [0, 2)",
        "-1",
    ),
    (
        fusion(),
        {**good(), "text": zeros(3, 5, 8)},
        {},
        "inputs",
        "have one batch size for all modalities",
        "{'text': 3, 'image': 2}",
    ),
    (
        fusion(),
        {},
        {},
        "inputs",
        "have at least one of the modalities ['text', 'image']",
        "{}",
    ),
    (fusion(), [zeros(2, 5, 8)], {}, "inputs", "be a dict of a tensor", "list"),
    (
        fusion(),
        good(),
        {"segment_ids": ids(2, 5)},
        "segment_ids",
        "be a dict of a tensor for each modality",
        "",
    ),
]


@pytest.mark.parametrize(
    "layer, make, argument, rule, value",
    CONSTRUCTORS,
    ids=[f"{c[0]}-{c[2]}-{c[4]}" for c in CONSTRUCTORS],
)
def test_constructor(layer, make, argument, rule, value):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert_message(error, argument, rule, value)
    assert str(error.value).startswith(f"{layer}: ")


def names_of(cases):
    return [f"{c[0].__class__.__name__}-{c[3]}-{c[5]}" for c in cases]


@pytest.mark.parametrize(
    "layer, inputs, call, argument, rule, value",
    [*CALLS, *VALUES],
    ids=names_of([*CALLS, *VALUES]),
)
def test_eager_call(layer, inputs, call, argument, rule, value):
    layer = type(layer).from_config(layer.get_config())
    with pytest.raises((TypeError, ValueError)) as error:
        layer(inputs, **call)
    assert_message(error, argument, rule, value)


@pytest.mark.parametrize(
    "layer, inputs, call, argument, rule, value", CALLS, ids=names_of(CALLS)
)
def test_a_functional_model_cannot_be_built(layer, inputs, call, argument, rule, value):
    def symbolic(x):
        if isinstance(x, dict):
            return {name: symbolic(one) for name, one in x.items()}
        if not isinstance(x, np.ndarray):
            return x
        return keras.Input(batch_shape=x.shape, dtype=str(x.dtype))

    layer = type(layer).from_config(layer.get_config())
    with pytest.raises((TypeError, ValueError)) as error:
        layer(symbolic(inputs), **symbolic(call))
    assert_message(error, argument, rule, value)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_another_number_of_channels(data_format):
    layer = mm.PatchEmbedding(4, 8, data_format=data_format)
    layer.build((None, 8, 8, 8))
    for inputs in (zeros(2, 4, 4, 4), keras.Input(batch_shape=(2, 4, 4, 4))):
        with pytest.raises(ValueError) as error:
            layer(inputs)
        rule = "have 8 channels, as in the first call"
        assert_message(error, "inputs.shape", rule, "(2, 4, 4, 4)")
        assert f"The data_format is '{data_format}'." in str(error.value)


@pytest.mark.parametrize("argument", ["inputs", "segment_ids"])
def test_errors_of_a_sublayer_name_the_modality(argument):
    layer = fusion({"text": {"type": "1d", "dim": 8, "max_len": 4, "segments": 2}})
    inputs = {"text": zeros(2, 5 if argument == "inputs" else 4, 8)}
    call = {} if argument == "inputs" else {"segment_ids": {"text": ids(2, 4) + 7}}
    with pytest.raises(ValueError, match="This is modality 'text' of MultiModalFusion"):
        layer(inputs, **call)


def test_a_length_that_only_a_compiled_step_knows_warns_and_keeps_the_weights():
    inputs = keras.Input((None, 8))
    model = keras.Model(inputs, ONE(**LEARNED_1D)(inputs))
    before = model.get_weights()[0]
    x = zeros(2, 6, 8)
    if keras.backend.backend() == "torch":
        with pytest.raises(ValueError, match="be at most max_length=4"):
            model.predict(x, verbose=0)
    else:
        with pytest.warns(UserWarning, match="be at most max_length=4.*nearest"):
            outputs = model.predict(x, verbose=0)
        np.testing.assert_array_equal(outputs[0, 4:], before[[3, 3]])
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_a_formula_goes_on_in_a_compiled_step():
    if keras.backend.backend() == "torch":
        pytest.skip("sizes are known, so that it is an error")
    inputs = keras.Input((None, 8))
    model = keras.Model(inputs, ONE(4)(inputs))
    with pytest.warns(UserWarning, match="be at most max_length=4.*formula goes on"):
        outputs = model.predict(zeros(1, 6, 8), verbose=0)
    expected = keras.ops.convert_to_numpy(ONE()(zeros(1, 6, 8)))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, argument, rule, value",
    [
        ({"sizes": (3,)}, "sizes", "have one integer for each axis", "(3,)"),
        ({"sizes": 3}, "sizes", "be a list of integers", "3"),
        (
            {"sizes": (3, 3), "num_prefix_tokens": 1},
            "num_prefix_tokens",
            "be 0 without `grid`",
            "1",
        ),
        (
            {"sizes": (3, 3), "grid": (2, 2), "table": zeros(2, 2, 8)},
            "table.shape",
            "be (tokens, channels)",
            "(2, 2, 8)",
        ),
        ({"sizes": (3, 0)}, "sizes", "be at least 1", "0"),
        (
            {"sizes": (3, 3), "interpolation": "area"},
            "interpolation",
            "be one of 'nearest', 'bilinear', 'bicubic'",
            "'area'",
        ),
        (
            {
                "sizes": (3, 3),
                "grid": (2, 2),
                "num_prefix_tokens": 1,
                "table": zeros(4, 8),
            },
            "table.shape",
            "have 5 rows",
            "(4, 8)",
        ),
    ],
)
def test_resize_positions(arguments, argument, rule, value):
    with pytest.raises((TypeError, ValueError)) as error:
        mm.resize_positions(**{"table": zeros(2, 2, 8), **arguments})
    assert_message(error, argument, rule, value)


SPLITS = [
    # configuration, arguments of the split, argument, rule, value received
    (TEXT_AND_IMAGE, {"tensor": zeros(5)}, "tensor", "be (batch, fused", "(5,)"),
    (
        TEXT_AND_IMAGE,
        {"tensor": zeros(2, 16, 8)},
        "tensor",
        "have the fused length 17 on its second axis",
        "(2, 16, 8)",
    ),
    (TEXT_AND_IMAGE, {"like": []}, "like", "be a dict of a tensor", "list"),
    (
        TEXT_AND_IMAGE,
        {"like": {"sound": zeros(2, 3, 8)}},
        "like",
        "name only the modalities ['text', 'image']",
        "'sound'",
    ),
    (
        PLACED,
        {"tensor": zeros(2, 5, 8), "like": placed()},
        "modality_ids",
        "be given, because modalities are placed into others",
        "None",
    ),
    (
        {"image": {"type": "2d", "embedding": mm.PatchEmbedding(2, 8)}},
        {"like": {"image": keras.Input((None, None, 3))}},
        "like['image'].shape",
        "be features, or give features of a known size that are not placed",
        "(None, None, None, 3)",
    ),
]


@pytest.mark.parametrize(
    "configs, arguments, argument, rule, value",
    SPLITS,
    ids=[f"{c[2]}-{c[4]}" for c in SPLITS],
)
def test_split(configs, arguments, argument, rule, value):
    arguments = {"tensor": zeros(2, 17, 8), "like": good(), **arguments}
    with pytest.raises((TypeError, ValueError)) as error:
        fusion(configs).split(**arguments)
    assert_message(error, argument, rule, value)


def test_split_attention():
    with pytest.raises(ValueError) as error:
        fusion().split_attention(zeros(2, 17, 17), like=good())
    axes = "be (batch, heads, fused length, fused length)"
    assert_message(error, "scores.shape", axes, "(2, 17, 17)")
