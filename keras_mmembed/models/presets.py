"""Configurations of models for common applications, as plain data."""

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from keras_mmembed.common import checks
from keras_mmembed.common.types import Config
from keras_mmembed.fusion.config import ModalityConfig, serialize_configs
from keras_mmembed.inputs.audio import AudioEmbedding
from keras_mmembed.inputs.patch import PatchEmbedding, TubeletEmbedding
from keras_mmembed.positions.layers import PositionEmbedding2D

Application: TypeAlias = Literal[
    "visual_question_answering", "video_captioning", "sentiment"
]
APPLICATIONS: tuple[Application, ...] = get_args(Application)
Size: TypeAlias = Literal["tiny", "small", "base"]
SIZES: tuple[Size, ...] = get_args(Size)

DIMENSIONS: dict[Size, dict[str, int]] = {
    "tiny": {"unified_dim": 64, "num_layers": 2, "num_heads": 4},
    "small": {"unified_dim": 384, "num_layers": 6, "num_heads": 6},
    "base": {"unified_dim": 768, "num_layers": 12, "num_heads": 12},
}


def _text(width: int) -> ModalityConfig:
    return {"type": "1d", "dim": width, "vocabulary_size": 30522, "padding_id": 0}


def _image(width: int) -> ModalityConfig:
    # a table that is resized to the grid of each image, as in ViLT
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


def _video(width: int) -> ModalityConfig:
    return {"type": "3d", "embedding": TubeletEmbedding((2, 16, 16), width)}


def _audio(width: int) -> ModalityConfig:
    patches = AudioEmbedding(width, patch_size=16)
    return {"type": "2d", "embedding": patches}


MODALITIES: dict[Application, dict[str, Callable[[int], ModalityConfig]]] = {
    "visual_question_answering": {"text": _text, "image": _image},
    "video_captioning": {"text": _text, "video": _video},
    "sentiment": {"text": _text, "image": _image, "audio": _audio},
}


def preset(application: Application, size: Size = "base") -> Config:
    """Return the configuration of a `MultiModalTransformer` for an application.

    The configuration is a new dict of plain data that can be changed, and written to
    a file as JSON. It has no weights.

    Args:
        application: One of

            - `"visual_question_answering"`: text and images
            - `"video_captioning"`: text and videos
            - `"sentiment"`: text, images and audio

            Text is ids of BERT's vocabulary. Images of any size are cut into patches
            of 32x32 pixels, videos into tubelets of 2 frames and 16x16 pixels. Audio
            is a waveform at 16 kHz.
        size: Width, number of blocks and number of heads: `"tiny"` (64, 2, 4),
            `"small"` (384, 6, 6) or `"base"` (768, 12, 12). By default `"base"`.

    Returns:
        A dict of arguments: `MultiModalTransformer(**preset(application))`.

    Raises:
        ValueError: if there is no such application or size.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import MultiModalTransformer, preset
    >>> config = preset("visual_question_answering", "tiny")
    >>> model = MultiModalTransformer(**config, num_outputs=3129)
    >>> words, image = np.array([[101, 2054, 102]]), np.ones((1, 64, 96, 3))
    >>> tuple(model({"text": words, "image": image}).shape)
    (1, 3129)

    References:
        W. Kim et al., "ViLT", 2021, section 4.2, https://arxiv.org/abs/2102.03334:
        text and images of `"base"`; unlike there, text has no segments.
    """
    checks.check_choice("preset", "application", application, APPLICATIONS)
    checks.check_choice("preset", "size", size, SIZES)
    dimensions, modalities = DIMENSIONS[size], MODALITIES[application]
    width = dimensions["unified_dim"]
    configs = {name: make_config(width) for name, make_config in modalities.items()}
    return {"modality_configs": serialize_configs(configs), **dimensions}
