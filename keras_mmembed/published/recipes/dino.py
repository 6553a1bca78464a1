"""DINOv2 and DINOv3: towers for images."""

from collections.abc import Mapping
from typing import Any

from keras_mmembed.common.types import Config
from keras_mmembed.inputs.patch import PatchEmbedding
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe, part
from keras_mmembed.published.recipes.vit import PATCHES, TOKENS, image_of

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


DINOV2: Recipe = {
    "weights": {
        **TOKENS,
        "fusion/register_embeddings": "embeddings.register_tokens",
        **names.block(DINO_BLOCK),
        # both halves of a gated network come from one layer
        **{
            f"block_{{i}}/{ours}/{weight}": [
                (part(number, 2), f"encoder.layer.{{i}}.mlp.weights_in.{theirs}"),
                f"encoder.layer.{{i}}.mlp.fc1.{theirs}",
            ]
            for number, ours in enumerate(("hidden", "up"))
            for weight, theirs in (("kernel", "weight"), ("bias", "bias"))
        },
        **{
            f"block_{{i}}/output/{weight}": [
                f"encoder.layer.{{i}}.mlp.weights_out.{theirs}",
                f"encoder.layer.{{i}}.mlp.fc2.{theirs}",
            ]
            for weight, theirs in (("kernel", "weight"), ("bias", "bias"))
        },
        "block_{i}/attention_scale/scale": "encoder.layer.{i}.layer_scale1.lambda1",
        "block_{i}/mlp_scale/scale": "encoder.layer.{i}.layer_scale2.lambda1",
        **names.norm("norm", "layernorm"),
    },
    # its classifier reads the class token and the mean of the patches
    "unused": ("embeddings.mask_token", "classifier.*"),
    "prefixes": ("dinov2.", "dinov2_with_registers."),
}
DINOV3_BLOCK = names.inside(
    "layer.{i}",
    {
        "query": "attention.q_proj",
        "key": "attention.k_proj",
        "value": "attention.v_proj",
        "attention_output": "attention.o_proj",
        "attention_norm": "norm1",
        "output": "mlp.down_proj",
        "mlp_norm": "norm2",
    },
)
DINOV3: Recipe = {
    "weights": {
        "fusion/cls_embedding": "embeddings.cls_token",
        "fusion/register_embeddings": "embeddings.register_tokens",
        **names.dense(PATCHES, "embeddings.patch_embeddings"),
        **names.block(DINOV3_BLOCK),
        "block_{i}/attention/key/bias": 0.0,
        **{
            f"block_{{i}}/hidden/{ours}": [
                f"layer.{{i}}.mlp.gate_proj.{theirs}",
                f"layer.{{i}}.mlp.up_proj.{theirs}",
            ]
            for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
        },
        **names.dense("block_{i}/up", "layer.{i}.mlp.up_proj"),
        "block_{i}/attention_scale/scale": "layer.{i}.layer_scale1.lambda1",
        "block_{i}/mlp_scale/scale": "layer.{i}.layer_scale2.lambda1",
        **names.norm("norm", "norm"),
    },
    "unused": ("embeddings.mask_token",),
}


def dinov2(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of DINOv2."""
    settings.check_known(config, {"qkv_bias": True, "apply_layernorm": True})
    registers = config.get("num_register_tokens", 0)
    image = image_of(config, antialias=registers > 0)
    width = settings.size_of(config, "hidden_size")
    hidden = int(width * settings.value_of(config, "mlp_ratio"))
    gated: Config = {}
    if config.get("use_swiglu_ffn"):
        hidden = (hidden * 2 // 3 + 7) // 8 * 8
        gated = {"mlp": "gated", "activation": "silu"}
    return settings.encoder_of(
        {**config, "intermediate_size": hidden},
        modality_configs=settings.modalities(image=image),
        normalization=None,
        layer_scale=float(settings.value_of(config, "layerscale_value")),
        cls_token=True,
        num_registers=registers,
        pooling="cls",
        **gated,
    )


def dinov3(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of DINOv3."""
    known = {"query_bias": True, "key_bias": False, "value_bias": True}
    known |= {"proj_bias": True, "mlp_bias": True, "apply_layernorm": True}
    settings.check_known(config, known)
    width = settings.size_of(config, "hidden_size")
    patch = settings.sizes_of(config, "patch_size")
    image = {
        "type": "2d",
        "dim": width,
        "embedding": PatchEmbedding(patch, width, data_format="channels_last"),
        # turned in attention
        "position": None,
    }
    wavelength = float(settings.value_of(config, "rope_theta"))
    return settings.encoder_of(
        config,
        modality_configs=settings.modalities(image=image),
        normalization=None,
        rotary={"convention": "dinov3", "max_wavelength": wavelength},
        rotary_rule="image",
        mlp="gated" if config.get("use_gated_mlp") else "dense",
        layer_scale=float(settings.value_of(config, "layerscale_value")),
        cls_token=True,
        num_registers=config.get("num_register_tokens", 0),
        pooling="cls",
    )
