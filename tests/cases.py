"""One entry for every public layer, and for its variants that differ in kind."""

import numpy as np
from layer_cases import (
    FUSION_SHAPES,
    FUSION_UNKNOWN,
    LEARNED,
    LLAMA,
    MORE_TOKENS,
    RESIZE,
    SECTIONS,
    SOUND,
    T5,
    Case,
    attention_case,
    bias_case,
    block_case,
    boxes_case,
    conv_and_boxes,
    conv_case,
    fusion_case,
    model_case,
    open_sum,
    position_case,
    raw_case,
    rotary_case,
)

import keras_mmembed as mm

CASES = [
    position_case(mm.PositionEmbedding1D, (5, 8), (None, 8)),
    position_case(mm.PositionEmbedding1D, (5, 7), (None, 7)),
    position_case(mm.PositionEmbedding1D, (3, 5, 8), (3, None, 8)),
    position_case(mm.PositionEmbedding1D, (5, 8), (None, 8), max_length=6, **LEARNED),
    position_case(mm.PositionEmbedding1D, (9, 8), (None, 8), max_length=6, **RESIZE),
    position_case(mm.PositionEmbedding2D, (3, 4, 8), (None, None, 8)),
    position_case(mm.PositionEmbedding2D, (12, 7), (None, 7), height=3, width=4),
    position_case(
        mm.PositionEmbedding2D, (12, 8), (None, 8), height=3, width=4, **LEARNED
    ),
    position_case(
        mm.PositionEmbedding2D, (5, 6, 8), (None, None, 8), height=3, width=4, **RESIZE
    ),
    position_case(
        mm.PositionEmbedding2D,
        (14, 8),
        (None, 8),
        height=3,
        width=4,
        num_prefix_tokens=2,
        **LEARNED,
    ),
    position_case(
        mm.PositionEmbedding2D,
        (16, 8),
        (None, 8),
        height=4,
        width=4,
        block_size=2,
        **LEARNED,
    ),
    position_case(mm.PositionEmbedding3D, (2, 3, 4, 8), (None, None, None, 8)),
    position_case(
        mm.PositionEmbedding3D,
        (24, 8),
        (None, 8),
        frames=2,
        height=3,
        width=4,
        **LEARNED,
    ),
    *[
        position_case(
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
    position_case(mm.PositionEmbedding1D, (5, 9), (None, 9), convention="whisper"),
    position_case(
        mm.PositionEmbedding2D,
        (3, 4, 8),
        (None, None, 8),
        convention="mae",
        axis_order=("height", "width"),
        cosine_first=True,
        offset=0.5,
        scale=(2, 0.5),
    ),
    position_case(
        mm.PositionEmbedding3D,
        (2, 3, 5, 8),
        (None, None, None, 8),
        height=3,
        width=4,
        convention="florence2",
        **{**RESIZE, "kind": ("sinusoidal", "learned", "learned")},
    ),
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
    boxes_case("sum", num_positions=9),
    boxes_case(
        "concat", 16, kind="sinusoidal", combination="concat", coordinate_width=3
    ),
    boxes_case(
        "fractions", numbers=4, num_positions=9, scale=0.5, combination="concat"
    ),
    boxes_case("linear", kind="linear", numbers=8, scale=0.1),
    boxes_case(
        "projected",
        combination="concat",
        num_positions=9,
        coordinate_width=2,
        size_width=3,
        projection={"use_bias": False},
    ),
    conv_case("ConvPositionEmbedding", 4, groups=2, weight_norm=True),
    conv_case(
        "ConvPositionEmbedding-stacked", 3, groups=1, num_layers=2, normalize=True
    ),
    rotary_case("llama", 8, fraction=0.5),
    rotary_case("gptj", 8, scaling={"rope_type": "linear", "factor": 2.0}),
    rotary_case("qwen2_vl", 8, 3, sections=(2, 1, 1)),
    # its positions are fractions: a whole turn rounds at 4e-7 with each operation
    rotary_case("dinov3", 8, 2, export_atol=2e-6),
    bias_case("t5"),
    bias_case("layoutlmv3", 3, num_buckets=[8, 16, 16], scale=0.5),
    bias_case("beit", 2, grid=(3, 4), interpolation="bilinear"),
    bias_case("alibi"),
    attention_case(
        "groups", 4, 2, num_key_value_heads=2, rotary="pixtral", qk_norm="rms"
    ),
    attention_case("bias", bias="t5", scale=0.25, head_dim=2, use_bias=False),
    attention_case("cap", bias="alibi", soft_cap=5.0, qk_norm="layer", use_bias=False),
    fusion_case("shared"),
    fusion_case("per_modality", normalization="per_modality", cls_token=True),
    fusion_case("both", normalization="both", num_registers=2, missing="token"),
    fusion_case("rms", norm_type="rms"),
    fusion_case("none", normalization=None),
    # post-norm, whose outputs random weights make no larger than their norm
    block_case("llama", norm_first=False, rotary="llama", qk_norm="rms", **LLAMA),
    block_case("t5", norm_first=False, activation="relu", cross_attention=True, **T5),
    model_case(""),
    model_case("-rotary", rotary=SECTIONS, rotary_rule="qwen2_vl", head_dim=8, **LLAMA),
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
    Case(
        "MultiModalFusion-open",
        lambda **more: mm.MultiModalFusion(open_sum(), 8, **{"dropout": 0.0, **more}),
        FUSION_SHAPES,
        FUSION_UNKNOWN,
        ids={"segment_ids": {"text": ((5,), 2)}},
        projects=True,
    ),
    Case(
        "MultiModalFusion-conv-boxes",
        lambda **more: mm.MultiModalFusion(
            conv_and_boxes(), 8, **{"dropout": 0.0, **more}
        ),
        {**FUSION_SHAPES, "audio": (7, 4)},
        {**FUSION_UNKNOWN, "audio": (None, 4)},
        projects=True,
    ),
    raw_case(mm.PatchEmbedding, 4, shape=(8, 12, 3)),
    raw_case(
        mm.PatchEmbedding,
        4,
        shape=(3, 9, 14),
        unknown=(3, None, None),
        strides=3,
        remainder="crop",
        data_format="channels_first",
    ),
    raw_case(
        mm.PatchEmbedding,
        4,
        shape=(9, 14, 3),
        unknown=(None, None, 3),
        strides=3,
        padding=2,
        remainder="crop",
    ),
    raw_case(
        mm.TubeletEmbedding,
        (2, 4, 4),
        shape=(3, 9, 14, 3),
        unknown=(None, None, None, 3),
        remainder="pad",
        use_bias=False,
    ),
    raw_case(mm.AudioEmbedding, shape=(200,), unknown=(None,), **SOUND),
    raw_case(
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
        if count is None:
            return normal(shape)
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
