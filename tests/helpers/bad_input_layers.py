"""Subjects of the sweep: the layers."""

import functools

import numpy as np
from bad_input_subject import LAYER, Subject, X, bools, floats, ids

import keras_mmembed as mm


def layer_subjects():
    patches = {
        "patch_size": (2, 2),
        "output_dim": 4,
        "strides": (2, 2),
        "remainder": "error",
        "padding": (1, 1),
        "data_format": "channels_last",
        "use_bias": True,
        "kernel_initializer": "glorot_uniform",
        **LAYER,
    }
    sound = {
        "output_dim": 4,
        "convention": "ast",
        "sampling_rate": 16000,
        "frame_length": 40,
        "frame_stride": 16,
        "num_mel_bins": 4,
        "patch_size": (2, 2),
        "strides": (2, 2),
        "remainder": "pad",
        "use_bias": True,
        "kernel_initializer": "glorot_uniform",
        **LAYER,
    }
    box = {
        "kind": "learned",
        "combination": "concat",
        "numbers": 6,
        "num_positions": 9,
        "scale": 1.0,
        "coordinate_width": 1,
        "size_width": 2,
        "convention": "transformer",
        "projection": {"use_bias": True},
        "max_wavelength": 100.0,
        "embeddings_initializer": "normal",
        **LAYER,
    }
    fused = {"mask": bools(2, 3), "modality_ids": ids(2, 3)}
    fixed = functools.partial
    sizes = np.array([[4, 2], [2, 4]], "int32")
    patch = fixed(mm.PatchEmbedding, 2, 4)
    tubelet = fixed(mm.TubeletEmbedding, 2, 4)
    audio = fixed(
        mm.AudioEmbedding, 4, frame_length=40, frame_stride=16, num_mel_bins=4
    )
    names = ["text", "image"]
    return [
        Subject(
            "PatchEmbedding", mm.PatchEmbedding, patches, {"inputs": floats(2, 4, 4, 3)}
        ),
        Subject(
            "PatchEmbedding-mask",
            patch,
            {},
            {"inputs": floats(2, 4, 4, 3), "mask": bools(2, 4, 4)},
        ),
        Subject(
            "PatchEmbedding-sizes",
            patch,
            {},
            {"inputs": floats(2, 4, 4, 3), "mask": sizes},
        ),
        Subject(
            "TubeletEmbedding",
            mm.TubeletEmbedding,
            {
                **patches,
                "patch_size": (2, 2, 2),
                "strides": (2, 2, 2),
                "padding": (0, 1, 1),
            },
            {"inputs": floats(2, 2, 4, 2, 3)},
        ),
        Subject(
            "TubeletEmbedding-mask",
            tubelet,
            {},
            {"inputs": floats(2, 2, 4, 2, 3), "mask": bools(2, 2, 4, 2)},
        ),
        Subject(
            "TubeletEmbedding-sizes",
            tubelet,
            {},
            {
                "inputs": floats(2, 2, 4, 2, 3),
                "mask": np.array([[2, 4, 2], [2, 2, 2]], "int32"),
            },
        ),
        Subject("AudioEmbedding", mm.AudioEmbedding, sound, {"inputs": floats(2, 90)}),
        Subject(
            "AudioEmbedding-mask",
            audio,
            {},
            {"inputs": floats(2, 90), "mask": bools(2, 90)},
        ),
        Subject(
            "AudioEmbedding-lengths",
            audio,
            {},
            {"inputs": floats(2, 90), "mask": np.array([90, 50], "int32")},
        ),
        Subject(
            "BoxEmbedding",
            mm.BoxEmbedding,
            box,
            {"inputs": X, "boxes": ids(2, 3, 4, of=1)},
        ),
        Subject(
            "BoxEmbedding-sinusoidal",
            fixed(mm.BoxEmbedding, kind="sinusoidal"),
            {},
            {"inputs": X, "boxes": floats(2, 3, 4)},
        ),
        Subject(
            "BoxEmbedding-linear",
            fixed(mm.BoxEmbedding, kind="linear", numbers=8, scale=0.5),
            {},
            {"inputs": X, "boxes": floats(2, 3, 8)},
        ),
        Subject(
            "ConvPositionEmbedding",
            mm.ConvPositionEmbedding,
            {
                "kernel_size": 3,
                "groups": 2,
                "num_layers": 2,
                "weight_norm": True,
                "normalize": True,
                "epsilon": 1e-5,
                "activation": "gelu",
                "kernel_initializer": "glorot_uniform",
                **LAYER,
            },
            {"inputs": X, "mask": bools(2, 3)},
        ),
        Subject(
            "ModalityEmbedding",
            mm.ModalityEmbedding,
            {"modalities": names, "embeddings_initializer": "normal", **LAYER},
            {"inputs": X, "modality": "text"},
        ),
        Subject(
            "ModalityEmbedding-ids",
            fixed(mm.ModalityEmbedding, names),
            {},
            {"inputs": X, "modality_ids": ids(2, 3)},
        ),
        Subject(
            "SegmentEmbedding",
            mm.SegmentEmbedding,
            {"num_segments": 2, "embeddings_initializer": "normal", **LAYER},
            {"inputs": X, "segment_ids": ids(2, 3, of=1)},
        ),
        Subject("ZeroGate", mm.ZeroGate, LAYER, {"inputs": [X, X + 1]}),
        Subject(
            "AttentionMask",
            mm.AttentionMask,
            {
                "modalities": names,
                "causal": True,
                "prefix": ["image"],
                "hidden": {"text": ["image"]},
                **LAYER,
            },
            {"fused": fused, "example_ids": ids(2, 3)},
        ),
        Subject(
            "AttentionMask-step",
            fixed(mm.AttentionMask, names, causal=True, hidden={"text": ["image"]}),
            {},
            {
                "fused": fused,
                "example_ids": ids(2, 3),
                "query": {"modality_ids": ids(2, 2), "example_ids": ids(2, 2)},
                "start_index": ids(2),
            },
        ),
    ]
