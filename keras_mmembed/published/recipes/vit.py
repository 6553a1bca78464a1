"""Vision transformers: ViT, DINOv2, AST for spectrograms and VideoMAE for clips."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common.types import Config
from keras_mmembed.inputs.patch import PatchEmbedding, TubeletEmbedding
from keras_mmembed.positions.layers import PositionEmbedding2D, PositionEmbedding3D
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe, at_row, rows, scaled

PATCHES = "fusion/image/embedding/projection"
PIXELS = {"image": (None, None, None, "num_channels")}
CLIPS = {"video": (None, None, None, None, "num_channels")}
SPECTROGRAMS = {"audio": (None, None, "num_mel_bins")}
TABLE = "embeddings.position_embeddings"
# the class token stands at the first row of the table
TOKENS = {
    "fusion/cls_embedding": (at_row(0), "embeddings.cls_token", TABLE),
    "fusion/image/position/embeddings": (rows(1), TABLE),
    **names.dense(PATCHES, "embeddings.patch_embeddings.projection"),
}
VIT: Recipe = {
    "weights": {
        **TOKENS,
        **names.block(names.VIT_BLOCK),
        **names.norm("norm", "layernorm"),
        **names.dense("pooler", "pooler.dense"),
        **names.dense("head", "classifier"),
    },
    "unused": ("pooler.dense.*", "embeddings.mask_token"),
    "prefixes": ("vit.",),
}
DINO_BLOCK = {
    **names.VIT_BLOCK,
    **names.inside(
        "encoder.layer.{i}",
        {
            "attention_norm": "norm1",
            "mlp_norm": "norm2",
            "hidden": "mlp.fc1",
            "output": "mlp.fc2",
        },
    ),
}


def with_scales(entries: names.Entries, scales: Mapping[str, str]) -> names.Entries:
    """Return entries of a block in which layer scales are part of a dense layer.

    Args:
        entries: The entries of a block.
        scales: By path of a dense layer, the name of the factors of its outputs.
    """
    return {
        path: (scaled, scales[path.rsplit("/", 1)[0]], origin)
        if path.rsplit("/", 1)[0] in scales
        else origin
        for path, origin in entries.items()
    }


DINOV2: Recipe = {
    "weights": {
        **TOKENS,
        "fusion/register_embeddings": "embeddings.register_tokens",
        **with_scales(
            names.block(DINO_BLOCK),
            {
                "block_{i}/attention/attention_output": (
                    "encoder.layer.{i}.layer_scale1.lambda1"
                ),
                "block_{i}/output": "encoder.layer.{i}.layer_scale2.lambda1",
            },
        ),
        **names.norm("norm", "layernorm"),
    },
    # its classifier reads the class token and the mean of the patches
    "unused": ("embeddings.mask_token", "classifier.*"),
    "prefixes": ("dinov2.", "dinov2_with_registers."),
}
AST: Recipe = {
    "weights": {
        "fusion/cls_embedding": (at_row(0), "embeddings.cls_token", TABLE),
        "fusion/register_embeddings": (
            at_row(1),
            "embeddings.distillation_token",
            TABLE,
        ),
        "fusion/audio/position/embeddings": (rows(2), TABLE),
        **names.dense(
            "fusion/audio/embedding/patches/projection",
            "embeddings.patch_embeddings.projection",
        ),
        **names.block(names.VIT_BLOCK),
        **names.norm("norm", "layernorm"),
        **names.norm("head/norm", "classifier.layernorm"),
        **names.dense("head/dense", "classifier.dense"),
    },
    "prefixes": ("audio_spectrogram_transformer.",),
}
VIDEOMAE: Recipe = {
    "weights": {
        **names.dense(
            "fusion/video/embedding/projection",
            "embeddings.patch_embeddings.projection",
        ),
        **names.block(names.VIT_BLOCK),
        # biases of queries and values, none of keys
        "block_{i}/attention/query/bias": (
            "encoder.layer.{i}.attention.attention.q_bias"
        ),
        "block_{i}/attention/key/bias": 0.0,
        "block_{i}/attention/value/bias": (
            "encoder.layer.{i}.attention.attention.v_bias"
        ),
        "norm/gamma": ["fc_norm.weight", "layernorm.weight"],
        "norm/beta": ["fc_norm.bias", "layernorm.bias"],
        **names.dense("head", "classifier"),
    },
    "unused": ("decoder.*", "encoder_to_decoder.*", "mask_token"),
    "prefixes": ("videomae.",),
}


def image_of(
    config: Mapping[str, Any], *, use_bias: bool = True, **position: Any
) -> Config:
    """Return the configuration of the modality `image`.

    Args:
        config: A published configuration.
        use_bias: Whether the patches have a bias.
        **position: Further arguments of the position layer.
    """
    width = settings.size_of(config, "hidden_size")
    sizes = settings.sizes_of(config, "image_size")
    patch = settings.sizes_of(config, "patch_size")
    grid = [size // one for size, one in zip(sizes, patch, strict=True)]
    embedding = PatchEmbedding(
        patch, width, use_bias=use_bias, data_format="channels_last"
    )
    options = {"out_of_range": "resize", "interpolation": "bicubic", **position}
    return {
        "type": "2d",
        "dim": width,
        "embedding": embedding,
        "position": PositionEmbedding2D(*grid, kind="learned", **options),
    }


def vit(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of ViT."""
    settings.check_known(config, {"qkv_bias": True, "pooler_act": "tanh"})
    return settings.encoder_of(
        config,
        modality_configs=settings.modalities(image=image_of(config)),
        normalization=None,
        cls_token=True,
        pooling="cls",
        pooler=settings.has_part(config, ("Model",)),
        num_outputs=settings.labels_of(config, ("ForImageClassification",)),
    )


def dinov2(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of DINOv2."""
    known = {"qkv_bias": True, "use_swiglu_ffn": False, "apply_layernorm": True}
    settings.check_known(config, known)
    registers = config.get("num_register_tokens", 0)
    image = image_of(config, antialias=registers > 0)
    hidden = settings.size_of(config, "hidden_size")
    return settings.encoder_of(
        {**config, "intermediate_size": hidden * settings.size_of(config, "mlp_ratio")},
        modality_configs=settings.modalities(image=image),
        normalization=None,
        cls_token=True,
        num_registers=registers,
        pooling="cls",
    )


def ast(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of AST."""
    settings.check_known(config, {"qkv_bias": True})
    width, bins = (
        settings.size_of(config, key) for key in ("hidden_size", "num_mel_bins")
    )
    frames, patch = (
        settings.size_of(config, key) for key in ("max_length", "patch_size")
    )
    strides = [
        settings.size_of(config, key) for key in ("frequency_stride", "time_stride")
    ]
    grid = [
        (size - patch) // one + 1
        for size, one in zip((bins, frames), strides, strict=True)
    ]
    patches = PatchEmbedding(
        patch,
        width,
        strides=strides,
        remainder="crop",
        data_format="channels_last",
        name="patches",
    )
    # frames by bins, as feature extractors give them; patches are bins by frames
    stem = keras.Sequential(
        [keras.layers.Permute((2, 1)), keras.layers.Reshape((bins, -1, 1)), patches],
        name="embedding",
    )
    audio = {
        "type": "2d",
        "dim": width,
        "embedding": stem,
        "position": PositionEmbedding2D(*grid, kind="learned"),
    }
    outputs = settings.labels_of(config, ("ForAudioClassification",))
    head = None
    if outputs is not None:
        norm = keras.layers.LayerNormalization(
            epsilon=settings.value_of(config, "layer_norm_eps"), name="norm"
        )
        head = keras.Sequential(
            [norm, keras.layers.Dense(outputs, name="dense")], name="head"
        )
    return settings.encoder_of(
        config,
        modality_configs=settings.modalities(audio=audio),
        normalization=None,
        cls_token=True,
        num_registers=1,
        pooling="special",
        head=None if head is None else keras.saving.serialize_keras_object(head),
    )


def videomae(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of VideoMAE."""
    settings.check_known(config, {"qkv_bias": True})
    width = settings.size_of(config, "hidden_size")
    frames = settings.size_of(config, "num_frames")
    sizes = (frames, *settings.sizes_of(config, "image_size"))
    tubelet = (
        settings.size_of(config, "tubelet_size"),
        *settings.sizes_of(config, "patch_size"),
    )
    grid = [size // one for size, one in zip(sizes, tubelet, strict=True)]
    embedding = TubeletEmbedding(tubelet, width, data_format="channels_last")
    video = {
        "type": "3d",
        "dim": width,
        "embedding": embedding,
        "position": PositionEmbedding3D(*grid, convention="videomae"),
    }
    outputs = settings.labels_of(config, ("ForVideoClassification",))
    is_mean = bool(config.get("use_mean_pooling", True))
    return settings.encoder_of(
        config,
        modality_configs=settings.modalities(video=video),
        normalization=None,
        pooling="mean" if is_mean else "first",
        # the norm of a mean belongs to the classifier
        final_norm=(outputs is not None and "pooled") if is_mean else True,
        num_outputs=outputs,
    )
