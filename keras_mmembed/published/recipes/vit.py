"""ViT, and what other models of images share with it."""

from collections.abc import Mapping
from typing import Any

from keras_mmembed.common.types import Config
from keras_mmembed.inputs.patch import PatchEmbedding
from keras_mmembed.positions.layers import PositionEmbedding2D
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe, at_row, rows

PATCHES = "fusion/image/embedding/projection"
PIXELS = {"image": (None, None, None, "num_channels")}
TABLE = "embeddings.position_embeddings"
# the class token stands at the first row of the table
TOKENS: dict[str, Any] = {
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
