"""Subjects of the sweep: what acts inside attention."""

import functools

import numpy as np
from bad_input_subject import LAYER, Subject, X, bools, floats, ids

import keras_mmembed as mm

HEADS = floats(2, 3, 2, 8)
BIASED = {"rotary": "llama", "relative_bias": "t5"}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
BUCKETS = {
    "num_heads": 2,
    "convention": "t5",
    "num_buckets": 8,
    "max_distance": 16,
    "bidirectional": True,
    "scale": 0.5,
    "embeddings_initializer": "normal",
    **LAYER,
}
GRID = {
    "num_heads": 2,
    "convention": "swin",
    "grid": (2, 3),
    "interpolation": "bilinear",
    "antialias": True,
    "align_corners": False,
}
ATTENTION = {
    "num_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 4,
    "rotary": {"convention": "llama", "max_wavelength": 100.0},
    "bias": {"convention": "t5", "num_buckets": 8},
    "qk_norm": "rms",
    "epsilon": 1e-6,
    "scale": 0.5,
    "soft_cap": 50.0,
    "dropout": 0.5,
    "use_bias": True,
    "use_output_bias": False,
    "flash_attention": False,
    "kernel_initializer": "glorot_uniform",
    "bias_initializer": "zeros",
    "seed": 3,
    **LAYER,
}
OF_BLOCK = {
    "norm_type": "rms",
    "mlp": "gated",
    "num_key_value_heads": 1,
    "head_dim": 4,
    "use_bias": "qkv",
    "scale": 0.5,
    "rotary": {"convention": "llama", "max_wavelength": 100.0},
    "relative_bias": {"convention": "t5", "num_buckets": 8},
    "qk_norm": "rms",
    "layer_scale": 0.5,
    "cross_attention": True,
}
BLOCK = {
    "num_heads": 2,
    "hidden_dim": 8,
    "norm_first": True,
    "activation": "gelu",
    "epsilon": 1e-6,
    "dropout": 0.5,
    "gated": False,
    "remat": False,
    "seed": 3,
    **OF_BLOCK,
    **LAYER,
}
CACHE = [floats(2, 5, 2, 4), floats(2, 5, 2, 4)]
FUSED = {
    "mask": bools(2, 4),
    "modality_ids": np.array([[0, 0, 1, 1]] * 2, "int32"),
    "positions": np.array(
        [[[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]] * 2, "float32"
    ),
}


def attention_subjects():
    fixed = functools.partial
    attention = fixed(mm.MultiModalAttention, 2, head_dim=4, rotary="llama", bias="t5")
    turned = fixed(mm.MultiModalAttention, 2, head_dim=4, rotary="llama")
    positions = fixed(mm.rotary_positions, modalities=["text", "image"])
    mixed = {"modalities": ["text", "image"], "grids": ["image"]}
    return [
        Subject(
            "RotaryEmbedding",
            mm.RotaryEmbedding,
            {
                "convention": "qwen2_vl",
                "sections": [1, 1, 2],
                "max_wavelength": 100.0,
                "fraction": 1.0,
                "scaling": YARN,
                **LAYER,
            },
            {"inputs": HEADS, "positions": ids(2, 3, 3)},
        ),
        Subject(
            "RotaryEmbedding-one",
            mm.RotaryEmbedding,
            {},
            {"inputs": HEADS, "positions": ids(2, 3)},
        ),
        Subject(
            "RotaryEmbedding-grid",
            fixed(mm.RotaryEmbedding, "dinov3"),
            {},
            {"inputs": HEADS, "positions": ids(2, 3, 2), "grid": ids(2, 2) + 2},
        ),
        Subject(
            "RelativePositionBias",
            mm.RelativePositionBias,
            BUCKETS,
            {"positions": ids(2, 3), "key_positions": ids(2, 4)},
        ),
        Subject(
            "RelativePositionBias-grid",
            mm.RelativePositionBias,
            GRID,
            {"positions": ids(3, 2), "key_positions": ids(4, 2), "grid": (2, 4)},
        ),
        Subject(
            "MultiModalAttention",
            mm.MultiModalAttention,
            ATTENTION,
            {"query": X, "value": floats(2, 4, 8), "key": floats(2, 4, 8)},
        ),
        Subject(
            "MultiModalAttention-call",
            attention,
            {},
            {
                "query": X,
                "value": floats(2, 4, 8),
                "attention_mask": bools(2, 3, 4),
                "positions": ids(2, 3),
                "key_positions": ids(2, 4),
                "attention_bias": floats(2, 2, 3, 4),
                "return_attention_scores": True,
                "use_causal_mask": False,
            },
        ),
        Subject(
            "MultiModalAttention-rotations",
            turned,
            {},
            {"query": X, "rotations": [floats(2, 3, 1, 2), floats(2, 3, 1, 2)]},
        ),
        Subject(
            "TransformerBlock",
            mm.TransformerBlock,
            BLOCK,
            {"tokens": X, "encoded": floats(2, 4, 6)},
            calls=False,
        ),
        Subject(
            "TransformerBlock-call",
            fixed(mm.TransformerBlock, 2, gated=True, cross_attention=True, **BIASED),
            {},
            {
                "tokens": X,
                "attention_mask": bools(2, 3, 3),
                "narrow_mask": bools(2, 3, 3),
                "encoded": floats(2, 4, 6),
                "encoded_mask": bools(2, 4),
                "positions": ids(2, 3),
                "attention_bias": floats(2, 2, 3, 3),
                "use_causal_mask": False,
            },
        ),
        Subject(
            "MultiModalAttention-cache",
            fixed(mm.MultiModalAttention, 2, head_dim=4),
            {},
            {"query": X, "cache": CACHE, "cache_index": 1},
            symbolic=False,
        ),
        Subject(
            "TransformerBlock-cache",
            fixed(mm.TransformerBlock, 2, relative_bias="t5"),
            {},
            {
                "tokens": X,
                "key_positions": ids(2, 5),
                "cache": {"attention": CACHE},
                "cache_index": 1,
            },
            symbolic=False,
        ),
        Subject(
            "TransformerBlock-rotations",
            fixed(mm.TransformerBlock, 2, rotary="llama"),
            {},
            {"tokens": X, "rotations": [floats(2, 3, 1, 2), floats(2, 3, 1, 2)]},
        ),
        Subject(
            "rotary_positions",
            mm.rotary_positions,
            {
                "fused": FUSED,
                "rule": "seconds",
                **mixed,
                "audio": ["text"],
                "rate": {"image": 2.0},
                "example_ids": ids(2, 4),
                "repeats": bools(2, 4),
                "start_index": ids(2),
                "return_next": True,
            },
            symbolic=False,
        ),
        Subject(
            "rotary_positions-rate",
            fixed(positions, grids=["image"], rule="seconds"),
            {"fused": FUSED, "rate": floats(2, 4) ** 2, "start_index": 3},
        ),
    ]
