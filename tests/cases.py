"""One entry for every public layer, and for its variants that differ in kind."""

from dataclasses import dataclass, field

import numpy as np

import keras_mmembed as mm


@dataclass
class Case:
    """A layer and what it is called with; shapes leave the batch axis out.

    Attributes:
        make: Makes the layer, from keyword arguments that are passed on.
        shape: The shape of the input, or a dict of shapes by name.
        unknown: The same with `None` for the axes that may be unknown.
        call: Arguments of the call that are no tensors.
        ids: Integer tensors of the call, by argument: shape and number of ids.
        projects: Whether the layer multiplies its input by a matrix.
        has_tokens: Whether the axes of the input are those of the tokens.
    """

    name: str
    make: object
    shape: object
    unknown: object = None
    call: dict = field(default_factory=dict)
    ids: dict = field(default_factory=dict)
    projects: bool = False
    has_tokens: bool = True


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


def _position(layer, shape, unknown=None, **kwargs):
    options = "-".join(f"{value}" for value in kwargs.values())
    name = f"{layer.__name__}-{options}".rstrip("-") + f"-rank{len(shape) + 1}"
    return Case(name, lambda **more: layer(**kwargs, **more), shape, unknown or shape)


MORE_TOKENS = {
    "text": {**FUSION["text"], "start_token": True, "end_token": True},
    "image": FUSION["image"],
    "video": {"instance_of": "image"},
    "audio": {"type": "1d", "dim": 5, "end_token": True, "count_special": True},
}


def _fusion(name, **kwargs):
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


def _rotary(convention, head_dim, axes=1, **kwargs):
    return Case(
        f"RotaryEmbedding-{convention}",
        lambda **more: mm.RotaryEmbedding(convention, **kwargs, **more),
        (5, 2, head_dim),
        (None, 2, head_dim),
        ids={"positions": ((5, axes) if axes > 1 else (5,), 9)},
        has_tokens=False,
    )


def _bias(convention, axes=1, **kwargs):
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


def _attention(name, heads=2, axes=1, **kwargs):
    return Case(
        f"MultiModalAttention-{name}",
        lambda **more: mm.MultiModalAttention(heads, **kwargs, **more),
        (5, 16),
        (None, 16),
        ids={"positions": ((5, axes) if axes > 1 else (5,), 3)},
        projects=True,
    )


def _raw(layer, *sizes, shape, unknown=None, **kwargs):
    options = "-".join(f"{value}" for value in kwargs.values())
    return Case(
        f"{layer.__name__}-{options}".rstrip("-"),
        lambda **more: layer(*sizes, 8, **kwargs, **more),
        shape,
        unknown or shape,
        projects=True,
        has_tokens=False,
    )


LEARNED = {"kind": "learned", "embeddings_initializer": "random_normal"}
RESIZE = {**LEARNED, "interpolation": "bicubic", "out_of_range": "resize"}

SOUND = {"num_mel_bins": 12, "frame_length": 40, "frame_stride": 16}

CASES = [
    _position(mm.PositionEmbedding1D, (5, 8), (None, 8)),
    _position(mm.PositionEmbedding1D, (5, 7), (None, 7)),
    _position(mm.PositionEmbedding1D, (3, 5, 8), (3, None, 8)),
    _position(mm.PositionEmbedding1D, (5, 8), (None, 8), max_length=6, **LEARNED),
    _position(mm.PositionEmbedding1D, (9, 8), (None, 8), max_length=6, **RESIZE),
    _position(mm.PositionEmbedding2D, (3, 4, 8), (None, None, 8)),
    _position(mm.PositionEmbedding2D, (12, 7), (None, 7), height=3, width=4),
    _position(mm.PositionEmbedding2D, (12, 8), (None, 8), height=3, width=4, **LEARNED),
    _position(
        mm.PositionEmbedding2D, (5, 6, 8), (None, None, 8), height=3, width=4, **RESIZE
    ),
    _position(
        mm.PositionEmbedding2D,
        (14, 8),
        (None, 8),
        height=3,
        width=4,
        num_prefix_tokens=2,
        **LEARNED,
    ),
    _position(mm.PositionEmbedding3D, (2, 3, 4, 8), (None, None, None, 8)),
    _position(
        mm.PositionEmbedding3D,
        (24, 8),
        (None, 8),
        frames=2,
        height=3,
        width=4,
        **LEARNED,
    ),
    *[
        _position(
            mm.PositionEmbedding3D,
            (3, 3, 5, 8),
            (None, None, None, 8),
            frames=2,
            height=3,
            width=4,
            combination=combination,
            **RESIZE,
        )
        for combination in ("space_time", "concat", "sum", "joint")
    ],
    Case(
        "ModalityEmbedding-name",
        lambda **more: mm.ModalityEmbedding(["text", "image"], **more),
        (5, 8),
        (None, 8),
        call={"modality": "image"},
    ),
    Case(
        "ModalityEmbedding-ids",
        lambda **more: mm.ModalityEmbedding(["text", "image"], **more),
        (5, 8),
        (None, 8),
        ids={"modality_ids": ((5,), 2)},
    ),
    Case(
        "SegmentEmbedding",
        lambda **more: mm.SegmentEmbedding(3, **more),
        (5, 8),
        (None, 8),
        ids={"segment_ids": ((5,), 3)},
    ),
    Case(
        "BoxEmbedding-sum",
        lambda **more: mm.BoxEmbedding(num_positions=9, **more),
        (5, 8),
        (None, 8),
        ids={"boxes": ((5, 4), 9)},
    ),
    Case(
        "BoxEmbedding-concat",
        lambda **more: mm.BoxEmbedding(
            kind="sinusoidal", combination="concat", coordinate_width=3, **more
        ),
        (5, 16),
        (None, 16),
        ids={"boxes": ((5, 4), 9)},
    ),
    _rotary("llama", 8, fraction=0.5),
    _rotary("gptj", 8, scaling={"rope_type": "linear", "factor": 2.0}),
    _rotary("qwen2_vl", 8, 3, sections=(2, 1, 1)),
    _rotary("dinov3", 8, 2),
    _bias("t5"),
    _bias("layoutlmv3", 3, num_buckets=[8, 16, 16], scale=0.5),
    _bias("beit", 2, grid=(3, 4), interpolation="bilinear"),
    _bias("alibi"),
    _attention("groups", 4, 2, num_key_value_heads=2, rotary="pixtral", qk_norm="rms"),
    _attention("bias", bias="t5", scale=1.0, use_bias=False),
    _attention("cap", bias="alibi", soft_cap=5.0, qk_norm="layer", use_bias=False),
    _fusion("shared"),
    _fusion("per_modality", normalization="per_modality", cls_token=True),
    _fusion("both", normalization="both", num_registers=2, missing="token"),
    _fusion("joint", normalization="joint"),
    _fusion("rms", norm_type="rms"),
    _fusion("none", normalization=None),
    Case(
        "MultiModalTransformer",
        lambda **more: mm.MultiModalTransformer(
            FUSION,
            8,
            num_layers=1,
            num_heads=2,
            pooling="tokens",
            dropout=0.0,
            **more,
        ),
        FUSION_SHAPES,
        FUSION_UNKNOWN,
        ids={"segment_ids": {"text": ((5,), 2)}},
        projects=True,
    ),
    Case(
        "MultiModalFusion-tokens",
        lambda **more: mm.MultiModalFusion(
            MORE_TOKENS, 8, **{"dropout": 0.0, "normalization": "both", **more}
        ),
        {**FUSION_SHAPES, "video": (12, 6)},
        {**FUSION_UNKNOWN, "video": (12, 6)},
        ids={"segment_ids": {"text": ((5,), 2)}},
        projects=True,
    ),
    _raw(mm.PatchEmbedding, 4, shape=(8, 12, 3)),
    _raw(
        mm.PatchEmbedding,
        4,
        shape=(3, 9, 14),
        unknown=(3, None, None),
        strides=3,
        remainder="crop",
        data_format="channels_first",
    ),
    _raw(
        mm.TubeletEmbedding,
        (2, 4, 4),
        shape=(3, 9, 14, 3),
        unknown=(None, None, None, 3),
        remainder="pad",
        use_bias=False,
    ),
    _raw(mm.AudioEmbedding, shape=(200,), unknown=(None,), **SOUND),
    _raw(
        mm.AudioEmbedding,
        shape=(200,),
        unknown=(None,),
        convention="whisper",
        patch_size=(4, 3),
        strides=(4, 2),
        remainder="crop",
        **SOUND,
    ),
]


def inputs_of(case, batch=2, seed=0, dtype="float32"):
    """Return the input of a case and the tensors among its other arguments."""
    rng = np.random.default_rng(seed)

    def normal(shape):
        return rng.normal(size=(batch, *shape)).astype(dtype)

    def integers(shape, count):
        return rng.integers(0, count, size=(batch, *shape)).astype("int32")

    x = case.shape
    x = {k: normal(s) for k, s in x.items()} if isinstance(x, dict) else normal(x)
    extra = {}
    for argument, spec in case.ids.items():
        if isinstance(spec, dict):
            extra[argument] = {name: integers(*one) for name, one in spec.items()}
        else:
            extra[argument] = integers(*spec)
    return x, extra
