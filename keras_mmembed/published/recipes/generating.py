"""Models that write about images: GIT and LLaVA."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common import checks
from keras_mmembed.common.types import Config
from keras_mmembed.published import defaults, names, settings
from keras_mmembed.published.recipe import Recipe
from keras_mmembed.published.recipes import bert, clip, llama

PAIRS = {"image": (None, None, None, 3), "text": (None, None)}
TOWER = "fusion/image/embedding"
GIT: Recipe = {
    "weights": {
        **names.below(
            TOWER, clip.CLIP_VISION["weights"], "image_encoder.vision_model."
        ),
        **names.dense(
            "fusion/image/projection", "visual_projection.visual_projection.0"
        ),
        **names.norm("fusion/image/norm", "visual_projection.visual_projection.1"),
        **names.table("fusion/text/embedding", "embeddings.word_embeddings"),
        **names.table("fusion/text/position", "embeddings.position_embeddings"),
        **names.norm("fusion/text/norm", "embeddings.LayerNorm"),
        **names.block(names.BERT_BLOCK),
        **names.dense("head", "output"),
    },
    "unused": (
        "embeddings.position_ids",
        "image_encoder.vision_model.embeddings.position_ids",
    ),
    "prefixes": ("git.",),
}
LLAVA: Recipe = {
    "weights": {
        **names.below(TOWER, clip.CLIP_VISION["weights"]),
        **names.dense(f"{TOWER}/head/linear_1", "linear_1"),
        **names.dense(f"{TOWER}/head/linear_2", "linear_2"),
        **llama.LLAMA["weights"],
    },
    # the blocks behind those that are read
    "unused": (
        *llama.LLAMA["unused"],
        "embeddings.position_ids",
        "encoder.layers.*",
        "post_layernorm.*",
    ),
    "prefixes": (
        "vision_tower.",
        "vision_tower.vision_model.",
        "model.vision_tower.",
        "model.vision_tower.vision_model.",
        "multi_modal_projector.",
        "model.multi_modal_projector.",
        "language_model.",
        "language_model.model.",
        "model.language_model.",
    ),
}


def git(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of GIT."""
    known = {"num_image_with_embedding": None, "tie_word_embeddings": False}
    settings.check_known(config, known)
    vision = {**defaults.GIT_VISION, **settings.value_of(config, "vision_config")}
    tower = {**clip.clip_vision(vision), "pooling": "tokens", "final_norm": True}
    image = {
        "type": "none",
        "dim": settings.size_of(vision, "hidden_size"),
        "embedding": settings.tower(tower),
        "projection": True,
        "normalization": {
            "place": "features",
            "epsilon": float(settings.value_of(vision, "layer_norm_eps")),
        },
    }
    epsilon = float(settings.value_of(config, "layer_norm_eps"))
    text = {
        **bert.text_of({**config, "type_vocab_size": 1}),
        "normalization": {"epsilon": epsilon},
    }
    del text["segments"]
    return settings.encoder_of(
        config,
        modality_configs=settings.modalities(image=image, text=text),
        normalization=None,
        norm_first=False,
        causal=True,
        prefix=["image"],
        pooling="tokens",
        num_outputs=settings.size_of(config, "vocab_size"),
    )


def llava(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of LLaVA."""
    vision = {**defaults.CLIP_VISION, **settings.value_of(config, "vision_config")}
    inner = {**defaults.LLAMA, **settings.value_of(config, "text_config")}
    kinds = {"model_type": "clip_vision_model"}
    settings.check_known(vision, kinds)
    settings.check_known(inner, {"model_type": "llama"})
    # what was read with a head is read with one
    inner["architectures"] = ["LlamaForCausalLM"]
    width = settings.size_of(inner, "hidden_size")
    place = settings.value_of(config, "vision_feature_layer")
    rule, key = "be an integer", "source['config.json']['vision_feature_layer']"
    checks.check(isinstance(place, int), settings.WHO, key, rule, repr(place))
    layers = settings.size_of(vision, "num_hidden_layers")
    layers = layers + 1 + place if place < 0 else place
    strategy = settings.value_of(config, "vision_feature_select_strategy")
    act = settings.activation_of(config, "projector_hidden_act")
    use_bias = bool(config.get("multimodal_projector_bias", True))
    dense = keras.layers.Dense
    projector = keras.Sequential(
        [
            dense(width, activation=act, use_bias=use_bias, name="linear_1"),
            dense(width, use_bias=use_bias, name="linear_2"),
        ],
        name="head",
    )
    tower = {
        **clip.clip_vision(vision),
        "num_layers": layers,
        # without the class token, or with it
        "pooling": "modalities" if strategy == "default" else "tokens",
        "final_norm": False,
        "head": keras.saving.serialize_keras_object(projector),
    }
    image = {
        "type": "none",
        "dim": width,
        "embedding": settings.tower(tower),
        "into": "text",
    }
    arguments = llama.llama(inner)
    text = arguments["modality_configs"]["text"]
    return {
        **arguments,
        "modality_configs": settings.modalities(image=image, text=text),
    }
