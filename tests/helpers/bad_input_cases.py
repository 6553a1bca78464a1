"""Every public name with right arguments, which the sweep of bad inputs replaces."""

import functools
from dataclasses import dataclass, field

import keras
import numpy as np

import keras_mmembed as mm


@dataclass
class Subject:
    """A public name, and right arguments of it.

    Attributes:
        name: The public name, and what sets this subject apart from others of it.
        make: Makes the layer, or calls the function.
        arguments: Arguments of the constructor or function that are replaced.
        call: Arguments of the call that are replaced; the first is the inputs.
        before: Makes new arguments of a function that would change them.
        symbolic: Whether it can be called on symbolic tensors.
    """

    name: str
    make: object
    arguments: dict = field(default_factory=dict)
    call: dict = field(default_factory=dict)
    symbolic: bool = True

    @property
    def public(self):
        return self.name.split("-")[0].split(".")[0]


def floats(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def ids(*shape, of=2):
    return np.random.default_rng(1).integers(0, of, size=shape).astype("int32")


def bools(*shape):
    return np.ones(shape, bool)


LAYER = {"name": "layer", "dtype": "float32", "trainable": True}
POSITIONS = {
    "kind": "sinusoidal",
    "convention": "transformer",
    "combination": None,
    "max_wavelength": 100.0,
    "interpolation": None,
    "antialias": False,
    "align_corners": False,
    "out_of_range": "error",
    "num_prefix_tokens": 0,
    "embeddings_initializer": "normal",
    **LAYER,
}
LEARNED = {"kind": "learned", "interpolation": "bilinear"}
X = floats(2, 3, 8)
FLAT, GRID = floats(2, 4, 8), floats(2, 2, 2, 8)


def _position_subjects():
    one, two, three = (
        mm.PositionEmbedding1D,
        mm.PositionEmbedding2D,
        mm.PositionEmbedding3D,
    )

    def subject(name, layer, call, arguments=None, **fixed):
        name = f"{layer.__name__}{name}"
        make = functools.partial(layer, **fixed)
        return Subject(name, make, arguments or {}, call)

    table = {**LEARNED, "out_of_range": "resize", "embeddings_initializer": "normal"}
    clip = {**table, "out_of_range": "resize"}
    return [
        subject("", one, {"inputs": X}, {"max_length": 9, **POSITIONS}),
        subject(
            "-learned",
            one,
            {"inputs": X},
            {**POSITIONS, "max_length": 3, **table, "antialias": True},
        ),
        subject("-positions", one, {"inputs": X, "positions": ids(2, 3)}, max_length=9),
        subject(
            "-rows",
            one,
            {"inputs": X, "positions": ids(2, 3)},
            max_length=9,
            kind="learned",
        ),
        subject("-start", one, {"inputs": X, "start_index": ids(2)}, max_length=9),
        subject("-number", one, {"inputs": X, "start_index": 3}, max_length=9),
        subject(
            "-mask",
            one,
            {"inputs": X, "mask": bools(2, 3)},
            max_length=9,
            kind="learned",
            convention="roberta",
        ),
        subject(
            "-extent",
            one,
            {"inputs": X, "mask": bools(2, 3)},
            None,
            max_length=4,
            **clip,
        ),
        subject("-none", one, {"inputs": X, "grid": None}),
        subject("", two, {"inputs": FLAT}, {"height": 2, "width": 2, **POSITIONS}),
        subject(
            "-learned",
            two,
            {"inputs": GRID},
            {**POSITIONS, "height": 2, "width": 3, **table, "combination": "sum"},
        ),
        subject("-grid", two, {"inputs": FLAT, "grid": (2, 2)}, height=2, width=2),
        subject("-unsized", two, {"inputs": FLAT, "grid": (2, 2)}),
        subject("-grids", two, {"inputs": FLAT, "grid": ids(2, 2) + 1}),
        subject(
            "-table",
            two,
            {"inputs": FLAT, "grid": ids(2, 2) + 1},
            height=3,
            width=3,
            **table,
        ),
        subject(
            "-positions",
            two,
            {"inputs": GRID, "positions": ids(2, 2, 2, 2)},
            height=2,
            width=2,
            kind="learned",
        ),
        subject(
            "-mask", two, {"inputs": GRID, "mask": bools(2, 2, 2)}, convention="detr"
        ),
        subject("-start", two, {"inputs": GRID, "start_index": ids(2)}),
        subject(
            "",
            three,
            {"inputs": floats(2, 8, 8)},
            {"frames": 2, "height": 2, "width": 2, **POSITIONS},
        ),
        subject(
            "-learned",
            three,
            {"inputs": floats(2, 1, 2, 2, 8)},
            {**POSITIONS, "frames": 2, "height": 2, "width": 2, **table},
        ),
        subject("-grid", three, {"inputs": floats(2, 8, 8), "grid": (2, 2, 2)}),
        subject("-grids", three, {"inputs": floats(2, 8, 8), "grid": ids(2, 3) + 1}),
        subject("-positions", three, {"inputs": FLAT, "positions": ids(2, 4, 3)}),
        subject(
            "-mask",
            three,
            {"inputs": floats(2, 2, 1, 2, 8), "mask": bools(2, 2, 1, 2)},
            convention="detr",
        ),
        subject(
            "-start",
            three,
            {"inputs": floats(2, 2, 1, 2, 8), "start_index": ids(2)},
        ),
    ]


def _layer_subjects():
    patches = {
        "patch_size": (2, 2),
        "output_dim": 4,
        "strides": (2, 2),
        "remainder": "error",
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
        "num_positions": 9,
        "coordinate_width": 1,
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
            {**patches, "patch_size": (2, 2, 2), "strides": (2, 2, 2)},
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
            {"inputs": X, "boxes": ids(2, 3, 4, of=9)},
        ),
        Subject(
            "BoxEmbedding-sinusoidal",
            fixed(mm.BoxEmbedding, kind="sinusoidal"),
            {},
            {"inputs": X, "boxes": floats(2, 3, 4)},
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
            {"inputs": X, "segment_ids": ids(2, 3)},
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
    ]


CONFIGS = {
    "text": {"type": "1d", "dim": 8, "segments": 2, "position": "sinusoidal"},
    "image": {"type": "2d", "dim": 8},
    "page": {"type": "2d", "dim": 8},
    "marks": {"type": "none", "dim": 8, "into": "text"},
}
INPUTS = {"text": X, "image": FLAT, "page": GRID, "marks": floats(2, 1, 8)}
PLACES = np.array([[True, False, False]] * 2)
ARGUMENTS = {
    "segment_ids": {"text": ids(2, 3)},
    "present": {"image": bools(2)},
    "placeholders": {"marks": PLACES},
    "mask": {"text": bools(2, 3), "image": bools(2, 4)},
    "grids": {"image": np.array([[2, 2], [1, 2]], "int32")},
    "start_index": {"text": ids(2)},
}
OTHERS = {
    "positions": {"text": ids(2, 3), "page": ids(2, 2, 2, 2)},
    "mask": {"text": np.array([3, 2], "int32")},
    "grids": {"image": (2, 2)},
    "start_index": {"page": 1},
}
SHARED = {
    "normalization": "both",
    "num_registers": 1,
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
    "num_outputs": 3,
    "output_activation": "softmax",
    "causal": True,
    "prefix": ["image"],
    "hidden": {"text": ["image"]},
    "gated": ["image"],
    "remat": False,
    **SHARED,
}
TWO = {"text": CONFIGS["text"], "image": CONFIGS["image"]}
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


def _fusion_subjects():
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
        ),
        Subject("MultiModalFusion-call", fusion, {}, {"inputs": INPUTS, **ARGUMENTS}),
        Subject(
            "MultiModalFusion-others",
            fusion,
            {},
            {"inputs": INPUTS, "placeholders": {"marks": PLACES}, **OTHERS},
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
            {"inputs": TWO_INPUTS},
        ),
        Subject(
            "MultiModalTransformer-call", model, {}, {"inputs": INPUTS, **ARGUMENTS}
        ),
        Subject(
            "MultiModalTransformer-scores",
            lambda **named: two().attention_scores(**named)[0],
            {"inputs": TWO_INPUTS, "present": {"image": bools(2)}},
            symbolic=False,
        ),
    ]


def _served():
    words = keras.Input((None,), dtype="int32", name="words")
    x = keras.layers.Embedding(9, 4, name="embedding")(words)
    outputs = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model({"words": words}, {"y": outputs}, name="served")


def _function_subjects(folder):
    fusion = mm.MultiModalFusion(TWO, 8, return_dict=True)
    fused = fusion(TWO_INPUTS)
    seen = {
        key: np.asarray(keras.ops.convert_to_numpy(fused[key]))
        for key in ("modality_ids", "mask", "positions")
    }
    served = _served()
    samples = [{"text": np.arange(3), "image": GRID[0]}, {"text": np.arange(2)}]
    position = mm.PositionEmbedding2D()

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
                "directory": str(folder),
                "version": 1,
                "endpoints": {"more": ["words"]},
                "warmup": [{"words": ids(2, 3)}],
                "tolerance": 0.1,
            },
            symbolic=False,
        ),
    ]


@functools.cache
def subjects(folder="models"):
    """Return all subjects by name."""
    every = [
        *_position_subjects(),
        *_layer_subjects(),
        *_fusion_subjects(),
        *_function_subjects(folder),
    ]
    return {subject.name: subject for subject in every}
