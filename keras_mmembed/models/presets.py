"""Configurations of models for the usual applications, as plain data."""

from keras_mmembed.common import checks
from keras_mmembed.fusion.config import serialize_configs
from keras_mmembed.inputs.audio import AudioEmbedding
from keras_mmembed.inputs.patch import PatchEmbedding, TubeletEmbedding
from keras_mmembed.positions.layers import PositionEmbedding2D

SIZES = {
    "tiny": {"unified_dim": 64, "num_layers": 2, "num_heads": 4},
    "small": {"unified_dim": 384, "num_layers": 6, "num_heads": 6},
    "base": {"unified_dim": 768, "num_layers": 12, "num_heads": 12},
}


def _text(width):
    return {"type": "1d", "dim": width, "vocabulary_size": 30522}


def _image(width):
    # read at the size of each image, as in ViLT
    position = PositionEmbedding2D(
        12,
        12,
        kind="learned",
        interpolation="bilinear",
        align_corners=True,
        out_of_range="resize",
    )
    patches = PatchEmbedding(32, width, remainder="pad")
    return {"type": "2d", "embedding": patches, "position": position}


def _video(width):
    return {"type": "3d", "embedding": TubeletEmbedding((2, 16, 16), width)}


def _audio(width):
    patches = AudioEmbedding(width, patch_size=16)
    return {"type": "2d", "embedding": patches}


APPLICATIONS = {
    "visual_question_answering": {"text": _text, "image": _image},
    "video_captioning": {"text": _text, "video": _video},
    "sentiment": {"text": _text, "image": _image, "audio": _audio},
}


def preset(application, size="base"):
    """Return the arguments of a `MultiModalTransformer` for an application.

    The result is plain data, new at every call: change what should be different, and
    write it to a file as JSON if you like. No weights come with it.

    Args:
        application: `"visual_question_answering"`: text and images;
            `"video_captioning"`: text and videos; `"sentiment"`: text, images and
            waveforms. Texts are ids of BERT's vocabulary, images any that patches of
            32x32 pixels cover, videos tubelets of 2x16x16, sounds 16 kHz.
        size: `"tiny"`, `"small"` or `"base"`: the width, blocks and heads.

    Raises:
        ValueError: if there is no such application or size.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import (MultiModalTransformer, preset)
    >>> config = preset("visual_question_answering", "tiny")
    >>> model = MultiModalTransformer(**config, num_outputs=3129)
    >>> words, image = np.array([[101, 2054, 102]]), np.ones((1, 64, 96, 3))
    >>> tuple(model({"text": words, "image": image}).shape)
    (1, 3129)

    References:
        W. Kim et al., "ViLT", 2021, section 4.2, https://arxiv.org/abs/2102.03334:
        the text and images of `"base"`, but with a text that has no segments.
    """
    checks.check_choice("preset", "application", application, tuple(APPLICATIONS))
    checks.check_choice("preset", "size", size, tuple(SIZES))
    width = SIZES[size]["unified_dim"]
    configs = {n: make(width) for n, make in APPLICATIONS[application].items()}
    return {"modality_configs": serialize_configs(configs), **SIZES[size]}
