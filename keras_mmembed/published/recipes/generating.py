"""Models that write about images: GIT, LLaVA and Qwen2-VL."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common import checks
from keras_mmembed.common.types import Config
from keras_mmembed.inputs.patch import PatchEmbedding
from keras_mmembed.published import defaults, names, settings
from keras_mmembed.published.recipe import Recipe, over_frames, part
from keras_mmembed.published.recipes import bert, clip, llama

PAIRS: dict[str, Any] = {"image": (None, None, None, 3), "text": (None, None)}
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
QWEN_BLOCK = names.inside(
    "visual.blocks.{i}",
    {
        "attention_output": "attn.proj",
        "attention_norm": "norm1",
        "hidden": "mlp.fc1",
        "output": "mlp.fc2",
        "mlp_norm": "norm2",
    },
)
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

QWEN2_VL: Recipe = {
    "weights": {
        # an image is a clip of two frames that are alike
        f"{TOWER}/fusion/image/embedding/projection/kernel": (
            over_frames,
            "visual.patch_embed.proj.weight",
        ),
        **{
            f"{TOWER}/block_{{i}}/attention/{name}/{ours}": (
                part(number),
                f"visual.blocks.{{i}}.attn.qkv.{theirs}",
            )
            for number, name in enumerate(("query", "key", "value"))
            for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
        },
        **names.below(TOWER, names.block(QWEN_BLOCK)),
        **names.norm(f"{TOWER}/norm", "visual.merger.ln_q"),
        **names.dense(f"{TOWER}/head/hidden", "visual.merger.mlp.0"),
        **names.dense(f"{TOWER}/head/output", "visual.merger.mlp.2"),
        **llama.LLAMA["weights"],
    },
    "unused": llama.LLAMA["unused"],
    "prefixes": ("model.", "model.language_model."),
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


def qwen2_vl(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of Qwen2-VL."""
    vision = settings.value_of(config, "vision_config")
    # the first configurations have those of the text beside it
    inner = {**config, **config.get("text_config", {})}
    known = {"spatial_merge_size": 2, "hidden_act": "quick_gelu"}
    settings.check_known(vision, known)
    settings.check_known(inner, {"use_sliding_window": False})
    inner |= {"architectures": ["ForCausalLM"], "attention_bias": False}
    width = settings.size_of(inner, "hidden_size")
    inside = settings.size_of(vision, "embed_dim")
    patch = settings.sizes_of(vision, "patch_size")
    pixels = {
        "type": "2d",
        "dim": inside,
        "embedding": PatchEmbedding(
            patch, inside, use_bias=False, data_format="channels_last"
        ),
        "position": None,
    }
    dense = keras.layers.Dense
    head = keras.Sequential(
        [
            dense(4 * inside, activation="gelu", name="hidden"),
            dense(width, name="output"),
        ],
        name="head",
    )
    tower = {
        "modality_configs": settings.modalities(image=pixels),
        "unified_dim": inside,
        "num_layers": settings.size_of(vision, "depth"),
        "num_heads": settings.size_of(vision, "num_heads"),
        "hidden_dim": int(inside * settings.value_of(vision, "mlp_ratio")),
        "activation": "quick_gelu",
        "rotary": "qwen2_vl_vision",
        "rotary_rule": "image",
        "epsilon": 1e-6,
        "dropout": 0.0,
        "modality_embedding": False,
        "normalization": None,
        "pooling": "merged",
        "head": keras.saving.serialize_keras_object(head),
    }
    image = {
        "type": "2d",
        "dim": width,
        "embedding": settings.tower(tower),
        "position": None,
        "into": "text",
    }
    rotary = llama.rotary_of(inner, "qwen2_vl")
    arguments = llama.llama(inner)
    return {
        **arguments,
        "modality_configs": settings.modalities(
            image=image, text=arguments["modality_configs"]["text"]
        ),
        "use_bias": "qkv",
        "rotary": {**rotary, "sections": llama.sections_of(inner)},
        "rotary_rule": "qwen2_vl",
    }
