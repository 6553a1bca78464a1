"""Towers for images and texts: CLIP and SigLIP."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common.types import Config
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe, at_row, part, rows
from keras_mmembed.published.recipes.vit import PATCHES, image_of

TABLE = "embeddings.position_embedding.weight"
# what a file of both towers has besides one of them
BOTH = ("logit_scale", "logit_bias", "embeddings.position_ids")
CLIP_VISION: Recipe = {
    "weights": {
        "fusion/cls_embedding": (at_row(0), "embeddings.class_embedding", TABLE),
        "fusion/image/position/embeddings": (rows(1), TABLE),
        f"{PATCHES}/kernel": "embeddings.patch_embedding.weight",
        **names.norm("fusion/norm", "pre_layrnorm"),
        **names.block(names.CLIP_BLOCK),
        **names.norm("norm", "post_layernorm"),
        **names.dense("head", "visual_projection", bias=False),
    },
    "unused": (*BOTH, "text_model.*", "text_projection.*"),
    "prefixes": ("vision_model.",),
}
CLIP_TEXT: Recipe = {
    "weights": {
        **names.table("fusion/text/embedding", "embeddings.token_embedding"),
        **names.table("fusion/text/position", "embeddings.position_embedding"),
        **names.block(names.CLIP_BLOCK),
        **names.norm("norm", "final_layer_norm"),
        **names.dense("head", "text_projection", bias=False),
    },
    "unused": (*BOTH, "vision_model.*", "visual_projection.*"),
    "prefixes": ("text_model.",),
}
SIGLIP_VISION: Recipe = {
    "weights": {
        "fusion/image/position/embeddings": TABLE,
        **names.dense(PATCHES, "embeddings.patch_embedding"),
        **names.block(names.CLIP_BLOCK),
        **names.norm("norm", "post_layernorm"),
        "attention_pooling/probe": "head.probe",
        **{
            f"attention_pooling/attention/{name}/{ours}": (
                part(number),
                f"head.attention.in_proj_{theirs}",
            )
            for number, name in enumerate(("query", "key", "value"))
            for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
        },
        **names.dense(
            "attention_pooling/attention/attention_output", "head.attention.out_proj"
        ),
        **names.norm("attention_pooling/norm", "head.layernorm"),
        **names.dense("attention_pooling/hidden", "head.mlp.fc1"),
        **names.dense("attention_pooling/output", "head.mlp.fc2"),
    },
    "unused": (*BOTH, "text_model.*"),
    "prefixes": ("vision_model.",),
}
SIGLIP_TEXT: Recipe = {
    "weights": {
        **CLIP_TEXT["weights"],
        **names.dense("head", "head"),
    },
    "unused": (*BOTH, "vision_model.*"),
    "prefixes": ("text_model.",),
}


def projection_of(config: Mapping[str, Any], endings: tuple[str, ...]) -> Config | None:
    """Return the projection of a tower to the width of both, which has no bias."""
    if not settings.has_part(config, endings):
        return None
    head = keras.layers.Dense(
        settings.size_of(config, "projection_dim"), use_bias=False, name="head"
    )
    return keras.saving.serialize_keras_object(head)


def clip_vision(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of CLIP for images."""
    return settings.encoder_of(
        config,
        modality_configs=settings.modalities(image=image_of(config, use_bias=False)),
        cls_token=True,
        pooling="cls",
        final_norm="pooled",
        head=projection_of(config, ("CLIPModel", "VisionModelWithProjection")),
    )


def clip_text(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of CLIP for texts."""
    return settings.encoder_of(
        config,
        modality_configs=text_of(config),
        normalization=None,
        causal=True,
        pooling="last",
        head=projection_of(config, ("CLIPModel", "TextModelWithProjection")),
    )


def siglip_vision(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of SigLIP for images."""
    return settings.encoder_of(
        config,
        modality_configs=settings.modalities(image=image_of(config)),
        normalization=None,
        pooling="attention" if config.get("vision_use_head", True) else "tokens",
    )


def siglip_text(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of SigLIP for texts."""
    outputs = config.get("projection_size") or settings.size_of(config, "hidden_size")
    return settings.encoder_of(
        config,
        modality_configs=text_of(config),
        normalization=None,
        pooling="last",
        num_outputs=outputs,
    )


def text_of(config: Mapping[str, Any]) -> Config:
    """Return the configuration of the modality `text`.

    It has no id of padding: CLIP pads with the end of a text, which it reads, and
    SigLIP reads its padding.
    """
    return {
        "text": {
            "type": "1d",
            "max_len": settings.size_of(config, "max_position_embeddings"),
            "position": "learned",
            "vocabulary_size": settings.size_of(config, "vocab_size"),
        }
    }
