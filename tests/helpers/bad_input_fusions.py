"""Subjects of the sweep: fusions, models of them and their configurations."""

import functools

import keras
import numpy as np
from bad_input_attention import OF_BLOCK
from bad_input_subject import FLAT, GRID, LAYER, Subject, X, bools, floats, ids

import keras_mmembed as mm

CONFIGS = {
    "text": {
        "type": "1d",
        "dim": 8,
        "segments": 2,
        "position": "sinusoidal",
        "terms": {"kind": mm.SegmentEmbedding(3)},
        "mask_token": True,
    },
    "image": {"type": "2d", "dim": 8},
    "page": {"type": "2d", "dim": 8},
    "marks": {"type": "none", "dim": 8, "into": "text"},
}
INPUTS = {"text": X, "image": FLAT, "page": GRID, "marks": floats(2, 1, 8)}
PLACES = np.array([[True, False, False]] * 2)
ARGUMENTS = {
    "segment_ids": {"text": ids(2, 3)},
    "positions": {"page": ids(2, 2, 2, 2)},
    "present": {"image": bools(2)},
    "placeholders": {"marks": PLACES},
    "mask": {"text": bools(2, 3), "image": bools(2, 4)},
    "grids": {"image": np.array([[2, 2], [1, 2]], "int32")},
    "start_index": {"text": ids(2)},
    "terms": {"text": {"kind": ids(2, 3)}},
    "masked": {"text": bools(2, 3)},
}
OTHERS = {
    "positions": {"text": ids(2, 3), "page": ids(2, 2, 2, 2)},
    "mask": {"text": np.array([3, 2], "int32")},
    "grids": {"image": (2, 2)},
    "start_index": {"image": 1},
}
ITEMS = np.array([[[1, 2], [2, 1]], [[1, 1], [0, 0]]], "int32")
SHARED = {
    "normalization": "both",
    "num_registers": 1,
    "modality_embedding": True,
    "modality_dropout": {"image": 0.5},
    "missing": "token",
    "epsilon": 1e-5,
    "dropout": 0.5,
    "seed": 3,
    **LAYER,
}
FUSION = {
    "unified_dim": 8,
    "norm_type": "layer",
    "cls_token": True,
    "return_dict": True,
    "kernel_initializer": "glorot_uniform",
    "embeddings_initializer": "normal",
    **SHARED,
}
MODEL = {
    "unified_dim": 8,
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 8,
    "activation": "gelu",
    "norm_first": True,
    "pooling": "cls",
    "cls_token": True,
    "final_norm": True,
    "pooler": True,
    "head": None,
    "num_outputs": 3,
    "output_activation": "softmax",
    "causal": True,
    "prefix": ["image"],
    "hidden": {"text": ["image"]},
    "gated": ["image"],
    "remat": False,
    **OF_BLOCK,
    "rotary_rule": {"rule": "sequence"},
    **SHARED,
}
TWO = {
    "text": {"type": "1d", "dim": 8, "segments": 2, "position": "sinusoidal"},
    "image": CONFIGS["image"],
}
TWO_INPUTS = {"text": X, "image": GRID}


def _config(inputs, **config):
    """Return a subject that makes a fusion of one modality more."""

    def make(**arguments):
        names = {"text": {"type": "1d", "dim": 8}, "one": arguments}
        fusion = mm.MultiModalFusion(names, 8)
        more = {"placeholders": {"one": PLACES}} if "into" in arguments else {}
        fusion({"text": X, "one": inputs}, **more)
        return fusion.get_config()

    keys = "-".join(config)
    return Subject(f"ModalityConfig-{keys}", make, config, symbolic=False)


def fusion_subjects():
    fusion = functools.partial(mm.MultiModalFusion, CONFIGS, 8, return_dict=True)
    model = functools.partial(
        mm.MultiModalTransformer, CONFIGS, 8, num_layers=1, num_heads=2, dropout=0.0
    )
    two = functools.partial(
        mm.MultiModalTransformer, TWO, 8, num_layers=1, num_heads=2, num_outputs=3
    )
    words = {"words": {"type": "1d", "vocabulary_size": 9, "padding_id": 0}}
    raw = {"raw": {"type": "2d", "embedding": mm.PatchEmbedding(2, 8)}}
    return [
        _config(X, type="1d", dim=8, max_len=9, position="learned", segments=2),
        _config(
            X, type="1d", dim=8, start_token=True, end_token=True, count_special=True
        ),
        _config(
            X,
            type="1d",
            dim=8,
            modality=True,
            projection={"use_bias": False},
            normalization={"type": "rms", "epsilon": 1e-5, "place": "sum"},
            terms={"kind": {"layer": mm.SegmentEmbedding(3), "gate": "tanh"}},
            mask_token=True,
        ),
        _config(GRID, type="2d", dim=8, row_token=True),
        _config(ids(2, 3), type="1d", dim=4, vocabulary_size=9, padding_id=0),
        _config(GRID, type="2d", dim=8, height=2, width=2, position="learned"),
        _config(
            GRID[:, None],
            type="3d",
            dim=8,
            frames=1,
            height=2,
            width=2,
            position="learned",
        ),
        _config(floats(2, 1, 8), type="none", dim=8, into="text", gate=True),
        _config(ids(2, 3), type="1d", dim=4, embedding=keras.layers.Embedding(9, 4)),
        _config(X, instance_of="text"),
        Subject(
            "MultiModalFusion",
            mm.MultiModalFusion,
            {"modality_configs": TWO, **FUSION},
            {"inputs": TWO_INPUTS},
            calls=False,
        ),
        Subject("MultiModalFusion-call", fusion, {}, {"inputs": INPUTS, **ARGUMENTS}),
        Subject(
            "MultiModalFusion-others",
            fusion,
            {},
            {"inputs": INPUTS, "placeholders": {"marks": PLACES}, **OTHERS},
        ),
        Subject(
            "MultiModalFusion-items",
            functools.partial(mm.MultiModalFusion, {"image": CONFIGS["image"]}, 8),
            {},
            {"inputs": {"image": FLAT}, "grids": {"image": ITEMS}},
        ),
        Subject(
            "MultiModalFusion-ids",
            functools.partial(mm.MultiModalFusion, words),
            {},
            {"inputs": {"words": ids(2, 3, of=9)}},
        ),
        Subject(
            "MultiModalFusion-raw",
            functools.partial(mm.MultiModalFusion, raw, 8),
            {},
            {"inputs": {"raw": floats(2, 4, 4, 3)}},
        ),
        Subject(
            "MultiModalTransformer",
            mm.MultiModalTransformer,
            {"modality_configs": TWO, **MODEL},
            {"inputs": TWO_INPUTS, "encoded": floats(2, 4, 6)},
            calls=False,
        ),
        Subject(
            "MultiModalTransformer-tied",
            functools.partial(
                mm.MultiModalTransformer,
                {"text": {"type": "1d", "vocabulary_size": 9}},
                8,
                num_heads=2,
                pooling="tokens",
            ),
            {"tie_embeddings": True},
            calls=False,
        ),
        Subject(
            "MultiModalTransformer-call", model, {}, {"inputs": INPUTS, **ARGUMENTS}
        ),
        Subject(
            "MultiModalTransformer-encoded",
            functools.partial(two, cross_attention=True),
            {},
            {
                "inputs": TWO_INPUTS,
                "encoded": floats(2, 4, 6),
                "encoded_mask": bools(2, 4),
            },
        ),
        Subject(
            "MultiModalTransformer-scores",
            lambda **named: two().attention_scores(**named)[0],
            {"inputs": TWO_INPUTS, "present": {"image": bools(2)}},
            symbolic=False,
        ),
    ]
