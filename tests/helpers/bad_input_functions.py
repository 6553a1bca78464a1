"""Subjects of the sweep: the functions."""

import keras
import numpy as np
from bad_input_fusions import TWO, TWO_INPUTS
from bad_input_subject import GRID, Subject, X, bools, floats, ids

import keras_mmembed as mm


def _served():
    words = keras.Input((None,), dtype="int32", name="words")
    x = keras.layers.Embedding(9, 4, name="embedding")(words)
    outputs = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model({"words": words}, {"y": outputs}, name="served")


def function_subjects(folder):
    (folder / "models" / "1").mkdir(parents=True, exist_ok=True)
    fusion = mm.MultiModalFusion(TWO, 8, return_dict=True)
    fused = fusion(TWO_INPUTS)
    seen = {
        key: np.asarray(keras.ops.convert_to_numpy(fused[key]))
        for key in ("modality_ids", "mask", "positions")
    }
    served = _served()
    samples = [{"text": np.arange(3), "image": GRID[0]}, {"text": np.arange(2)}]
    position, dense = mm.PositionEmbedding2D(), keras.layers.Dense(3)
    dense.build((None, 4))

    def lengths():
        return mm.with_lengths(served, ["words"])

    def split(**named):
        return fusion.split(**named)

    tokens = floats(2, 7, 8)
    return [
        Subject(
            "MultiModalFusion.split",
            split,
            {
                "tensor": tokens,
                "like": TWO_INPUTS,
                "grids": True,
                "modality_ids": seen["modality_ids"],
                "mask": {"text": bools(2, 3)},
            },
            symbolic=False,
        ),
        Subject(
            "MultiModalFusion.split_attention",
            lambda **named: fusion.split_attention(**named),
            {
                "scores": floats(2, 2, 7, 7),
                "like": TWO_INPUTS,
                "modality_ids": seen["modality_ids"],
                "mask": {"text": bools(2, 3)},
            },
            symbolic=False,
        ),
        Subject(
            "MultiModalFusion.branch",
            lambda **named: fusion.branch(**named),
            {"name": "text"},
            symbolic=False,
        ),
        Subject("pack_tokens", mm.pack_tokens, {"tensor": X, "mask": bools(2, 3)}),
        Subject("unpack_tokens", mm.unpack_tokens, {"tensor": X, "mask": bools(2, 3)}),
        Subject(
            "positions_from_mask",
            mm.positions_from_mask,
            {"mask": bools(2, 3), "first_index": 2},
        ),
        Subject("positions_from_ids", mm.positions_from_ids, {"ids": ids(2, 3)}),
        Subject(
            "resize_positions",
            mm.resize_positions,
            {
                "table": floats(2, 3, 4),
                "sizes": (3, 2),
                "interpolation": "bilinear",
                "antialias": True,
                "align_corners": False,
            },
            symbolic=False,
        ),
        Subject(
            "resize_positions-grid",
            mm.resize_positions,
            {
                "table": floats(5, 4),
                "sizes": (3, 2),
                "grid": (2, 2),
                "num_prefix_tokens": 1,
            },
            symbolic=False,
        ),
        Subject(
            "pad_batch",
            mm.pad_batch,
            {
                "samples": samples,
                "sizes": {"text": 4, "image": (3, 2)},
                "padding_values": {"text": 1},
            },
            symbolic=False,
        ),
        Subject(
            "preset",
            mm.preset,
            {"application": "sentiment", "size": "tiny"},
            symbolic=False,
        ),
        Subject(
            "weights_without_decay",
            mm.weights_without_decay,
            {"model": served},
            symbolic=False,
        ),
        Subject(
            "set_trainable",
            mm.set_trainable,
            {"model": served, "patterns": ["embedding"]},
            symbolic=False,
        ),
        Subject(
            "load_published_weights",
            mm.load_published_weights,
            {
                "model": dense,
                "source": {"weight": floats(3, 4), "bias": floats(3)},
                "recipe": {
                    "weights": {"kernel": "weight", "bias": "bias"},
                    "unused": ["more"],
                    "prefixes": ["model."],
                },
                "part": None,
                "only": ["kernel", "bias"],
            },
            symbolic=False,
        ),
        Subject(
            "with_lengths",
            mm.with_lengths,
            {"model": served, "sequences": ["words"]},
            symbolic=False,
        ),
        Subject(
            "with_lengths-call",
            lengths,
            {},
            {"inputs": {"words": ids(2, 3), "words_lengths": ids(2)}},
        ),
        Subject(
            "plot_encoding",
            mm.plot_encoding,
            {"layer": position, "shape": (2, 2, 8), "axes": None},
            symbolic=False,
        ),
        Subject(
            "plot_similarity",
            mm.plot_similarity,
            {"layer": position, "shape": (2, 2, 8), "axes": None},
            symbolic=False,
        ),
        Subject(
            "plot_layout",
            mm.plot_layout,
            {"fused": seen, "modalities": ("text", "image"), "sample": 1, "axes": None},
            symbolic=False,
        ),
        Subject(
            "export_for_serving",
            mm.export_for_serving,
            {
                "model": served,
                "directory": str(folder / "models"),
                "version": 1,
                "endpoints": {"more": ["words"]},
                "warmup": [{"words": ids(2, 3)}],
                "tolerance": 0.1,
            },
            symbolic=False,
            accepted="`version` must not be in",
            # tests/serving/test_export.py writes models
            skipped=("directory: string", "version: None", "version: 2**40"),
        ),
    ]
