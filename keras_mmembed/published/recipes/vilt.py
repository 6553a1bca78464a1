"""Models of texts and images in one sequence: ViLT and VisualBERT."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common.types import Config
from keras_mmembed.inputs.patch import PatchEmbedding
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe, row_sum, rows
from keras_mmembed.published.recipes import bert
from keras_mmembed.published.recipes.vit import PATCHES, PIXELS, image_of

WORDS = {"text": (None, None)}
PAIRS: dict[str, Any] = {**WORDS, **PIXELS}
REGIONS: dict[str, Any] = {**WORDS, "image": (None, None, "visual_embedding_dim")}
TEXT = "embeddings.text_embeddings"
TABLE = "embeddings.position_embeddings"
TYPES = "embeddings.token_type_embeddings.weight"
VILT: Recipe = {
    "weights": {
        **{
            f"fusion/text/{ours}/embeddings": f"{TEXT}.{name}.weight"
            for ours, name in (
                ("embedding", "word_embeddings"),
                ("position", "position_embeddings"),
                ("segment", "token_type_embeddings"),
            )
        },
        **names.norm("fusion/text/norm", f"{TEXT}.LayerNorm"),
        "fusion/modality/text": (rows(0, 1), TYPES),
        "fusion/modality/image": (rows(1, 2), TYPES),
        "fusion/image/start": "embeddings.cls_token",
        "fusion/image/start_position": (rows(0, 1), TABLE),
        "fusion/image/position/embeddings": (rows(1), TABLE),
        **names.dense(PATCHES, "embeddings.patch_embeddings.projection"),
        **names.block(names.VIT_BLOCK),
        **names.norm("norm", "layernorm"),
        **names.dense("pooler", "pooler.dense"),
        **names.dense("head/hidden", "classifier.0"),
        **names.norm("head/norm", "classifier.1"),
        **names.dense("head/output", "classifier.3"),
    },
    "unused": (
        f"{TEXT}.position_ids",
        "mlm_score.*",
        "rank_output.*",
        "classifier.*",
    ),
    "prefixes": ("vilt.",),
}
# image features have the first position and the second type of their own tables
VISUAL_BERT: Recipe = {
    "weights": {
        **bert.ENCODER,
        **names.dense("fusion/image/projection", "embeddings.visual_projection"),
        "fusion/modality/image": (
            row_sum(0, 1),
            "embeddings.visual_position_embeddings.weight",
            "embeddings.visual_token_type_embeddings.weight",
        ),
    },
    "unused": (*bert.UNUSED, "pooler.dense.*", "classifier.*"),
    "prefixes": ("visual_bert.", "bert."),
}


def vilt(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of ViLT."""
    settings.check_known(config, {"qkv_bias": True, "max_image_length": -1})
    epsilon = float(settings.value_of(config, "layer_norm_eps"))
    text = {
        **bert.text_of(config),
        # its words are those of BERT
        "padding_id": config.get("pad_token_id") or 0,
        "normalization": {"place": "modality", "epsilon": epsilon},
    }
    patch = settings.sizes_of(config, "patch_size")
    width = settings.size_of(config, "hidden_size")
    image = {
        **image_of(config, interpolation="bilinear", align_corners=True),
        # a patch is valid if any of its pixels is
        "embedding": PatchEmbedding(
            patch, width, remainder="pad", data_format="channels_last"
        ),
        "start_token": True,
        "count_special": True,
    }
    outputs = settings.labels_of(config, ("ForQuestionAnswering",))
    head = None
    if outputs is not None:
        layers = keras.layers
        head = keras.Sequential(
            [
                layers.Dense(2 * width, name="hidden"),
                layers.LayerNormalization(epsilon=1e-5, name="norm"),
                layers.Activation("gelu", name="activation"),
                layers.Dense(outputs, name="output"),
            ],
            name="head",
        )
    return settings.encoder_of(
        config,
        modality_configs=settings.modalities(text=text, image=image),
        modality_embedding=True,
        normalization=None,
        pooling="first",
        pooler=settings.has_part(config, ("Model", "ForQuestionAnswering")),
        head=None if head is None else keras.saving.serialize_keras_object(head),
    )


def visual_bert(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of VisualBERT."""
    settings.check_known(config, {"bypass_transformer": False})
    arguments = bert.bert(config)
    text = {**arguments["modality_configs"]["text"], "modality": False}
    image = {
        "type": "none",
        "dim": settings.size_of(config, "visual_embedding_dim"),
        "projection": True,
    }
    return {
        **arguments,
        "modality_configs": settings.modalities(text=text, image=image),
        "modality_embedding": True,
    }
