"""AST, a classifier of spectrograms, and VideoMAE, one of clips."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common.types import Config
from keras_mmembed.inputs.patch import PatchEmbedding, TubeletEmbedding
from keras_mmembed.positions.layers import PositionEmbedding2D, PositionEmbedding3D
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe, at_row, rows
from keras_mmembed.published.recipes.vit import TABLE

CLIPS = {"video": (None, None, None, None, "num_channels")}
SPECTROGRAMS = {"audio": (None, None, "num_mel_bins")}
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
