"""Vision transformers: ViT, DINOv2, AST for spectrograms and VideoMAE for clips."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common.types import Config
from keras_mmembed.inputs.patch import PatchEmbedding, TubeletEmbedding
from keras_mmembed.positions.layers import PositionEmbedding2D, PositionEmbedding3D
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe, at_row, part, rows

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
