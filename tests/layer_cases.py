"""Cases of layers: how each is made, and what it is called with."""

from dataclasses import dataclass, field

import keras_mmembed as mm


@dataclass
class Case:
    """A layer and what it is called with; shapes leave the batch axis out.

    Attributes:
        make: Makes the layer, from keyword arguments that are passed on.
        shape: The shape of the input, or a dict of shapes by name.
        unknown: The same with `None` for the axes that may be unknown.
        call: Arguments of the call that are no tensors.
        ids: Further tensors of the call, by argument: shape and number of ids, which is
            `None` for floats.
        projects: Whether the layer multiplies its input by a matrix.
        has_tokens: Whether the axes of the input are those of the tokens.
        export_atol: The largest difference of an export, which orders sums anew.
    """

    name: str
    make: object
    shape: object
    unknown: object = None
    call: dict = field(default_factory=dict)
    ids: dict = field(default_factory=dict)
    projects: bool = False
    has_tokens: bool = True
    export_atol: float = 1e-6


FUSION = {
    "text": {"type": "1d", "max_len": 20, "dim": 8, "segments": 2},
    "image": {"type": "2d", "height": 3, "width": 4, "dim": 6, "position": "learned"},
    "video": {"type": "3d", "dim": 8},
    "audio": {"type": "none", "dim": 5},
}
FUSION_SHAPES = {
    "text": (5, 8),
    "image": (12, 6),
    "video": (2, 3, 2, 8),
    "audio": (7, 5),
}
FUSION_UNKNOWN = {
    "text": (None, 8),
    "image": (12, 6),
    "video": (None, None, None, 8),
    "audio": (None, 5),
}


def position_case(layer, shape, unknown=None, **kwargs):
    options = "-".join(f"{value}" for value in kwargs.values())
    name = f"{layer.__name__}-{options}".rstrip("-") + f"-rank{len(shape) + 1}"
    return Case(name, lambda **more: layer(**kwargs, **more), shape, unknown or shape)


MORE_TOKENS = {
    "text": {**FUSION["text"], "start_token": True, "end_token": True},
    "image": FUSION["image"],
    "video": {"instance_of": "image"},
    "audio": {"type": "1d", "dim": 5, "end_token": True, "count_special": True},
}


def open_sum():
    return {
        "text": {
            "type": "1d",
            "dim": 8,
            "segments": 2,
            "modality": False,
            "position": {"layer": "sinusoidal", "gate": "linear"},
            "terms": {"part": {"layer": mm.SegmentEmbedding(3), "gate": "linear"}},
            "start_token": True,
            "projection": {"use_bias": False},
            "normalization": {"type": "rms", "place": "modality", "special": False},
        },
        "image": {**FUSION["image"], "normalization": {"place": "features"}},
        "video": {
            "type": "3d",
            "dim": 8,
            "normalization": None,
            "position": None,
            "row_token": True,
        },
        "audio": {**FUSION["audio"], "terms": {"kind": mm.ModalityEmbedding(["a"])}},
    }


def conv_and_boxes():
    """Return a text with convolutional positions, and boxes as inputs."""
    box = mm.BoxEmbedding(kind="linear", numbers=4)
    return {
        **FUSION,
        "text": {
            "type": "1d",
            "dim": 8,
            "position": mm.ConvPositionEmbedding(3, groups=2),
            "start_token": True,
        },
        "audio": {"type": "none", "dim": 8, "embedding": box},
    }


def fusion_case(name, **kwargs):
    return Case(
        f"MultiModalFusion-{name}",
        lambda **more: mm.MultiModalFusion(
            FUSION, 8, **{"dropout": 0.0, **kwargs, **more}
        ),
        FUSION_SHAPES,
        FUSION_UNKNOWN,
        ids={"segment_ids": {"text": ((5,), 2)}},
        projects=True,
    )


def rotary_case(convention, head_dim, axes=1, export_atol=1e-6, **kwargs):
    return Case(
        f"RotaryEmbedding-{convention}",
        lambda **more: mm.RotaryEmbedding(convention, **kwargs, **more),
        (5, 2, head_dim),
        (None, 2, head_dim),
        ids={"positions": ((5, axes) if axes > 1 else (5,), 9)},
        has_tokens=False,
        export_atol=export_atol,
    )


def bias_case(convention, axes=1, **kwargs):
    shape = (5, axes) if axes > 1 else (5,)
    return Case(
        f"RelativePositionBias-{convention}",
        lambda **more: mm.RelativePositionBias(
            2, convention=convention, **kwargs, **more
        ),
        shape,
        (None, *shape[1:]),
        has_tokens=False,
    )


def attention_case(name, heads=2, axes=1, **kwargs):
    return Case(
        f"MultiModalAttention-{name}",
        lambda **more: mm.MultiModalAttention(heads, **kwargs, **more),
        (5, 16),
        (None, 16),
        ids={"positions": ((5, axes) if axes > 1 else (5,), 3)},
        projects=True,
    )


def block_case(name, **kwargs):
    ids = {"positions": ((5,), 3)}
    if kwargs.get("cross_attention"):
        # as many as tokens: exports of JAX have one size for the same axis of inputs
        ids["encoded"] = ((5, 16), None)
    return Case(
        f"TransformerBlock-{name}",
        lambda **more: mm.TransformerBlock(2, 24, dropout=0.0, **kwargs, **more),
        (5, 16),
        (None, 16),
        ids=ids,
        projects=True,
    )


def model_case(name, **kwargs):
    return Case(
        f"MultiModalTransformer{name}",
        lambda **more: mm.MultiModalTransformer(
            FUSION,
            8,
            num_layers=1,
            num_heads=2,
            pooling="tokens",
            dropout=0.0,
            **kwargs,
            **more,
        ),
        FUSION_SHAPES,
        FUSION_UNKNOWN,
        ids={"segment_ids": {"text": ((5,), 2)}},
        projects=True,
    )


def raw_case(layer, *sizes, shape, unknown=None, **kwargs):
    options = "-".join(f"{value}" for value in kwargs.values())
    return Case(
        f"{layer.__name__}-{options}".rstrip("-"),
        lambda **more: layer(*sizes, 8, **kwargs, **more),
        shape,
        unknown or shape,
        projects=True,
        has_tokens=False,
    )


def boxes_case(name, width=8, **kwargs):
    return Case(
        f"BoxEmbedding-{name}",
        lambda **more: mm.BoxEmbedding(**kwargs, **more),
        (5, width),
        (None, width),
        ids={"boxes": ((5, 4), 9)},
        projects=kwargs.get("kind") == "linear" or "projection" in kwargs,
    )


def conv_case(name, *sizes, **kwargs):
    return Case(
        name,
        lambda **more: mm.ConvPositionEmbedding(*sizes, **kwargs, **more),
        (5, 8),
        (None, 8),
        projects=True,
    )


LEARNED = {"kind": "learned", "embeddings_initializer": "random_normal"}
RESIZE = {**LEARNED, "interpolation": "bicubic", "out_of_range": "resize"}

LLAMA = {
    "norm_type": "rms",
    "mlp": "gated",
    "activation": "silu",
    "num_key_value_heads": 1,
    "use_bias": False,
}
T5 = {"norm_type": "rms", "relative_bias": "t5", "scale": 0.02, "use_bias": False}
SECTIONS = {"convention": "qwen2_vl", "sections": (2, 1, 1)}

SOUND = {"num_mel_bins": 12, "frame_length": 40, "frame_stride": 16}
