"""The branches of a fusion, and the layout that follows from them."""

from collections.abc import Mapping
from typing import Any

from keras_mmembed.common.types import DType
from keras_mmembed.fusion.branch import ModalityBranch
from keras_mmembed.fusion.config import ModalityConfig, has_vector
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.modality import ModalityEmbedding
from keras_mmembed.positions.tables import clone_initializer


def make_branches(
    configs: Mapping[str, ModalityConfig], unified_dim: int, **options: Any
) -> dict[str, ModalityBranch]:
    """Return a branch for each modality that is no instance of another, by name."""
    return {
        name: ModalityBranch(config, unified_dim, name=name, **options)
        for name, config in configs.items()
        if "instance_of" not in config
    }


def make_modality_embedding(
    configs: Mapping[str, ModalityConfig], initializer: Any, dtype: DType
) -> ModalityEmbedding | None:
    """Return the vectors of the modalities, `None` if none has one."""
    named = [name for name in configs if has_vector(configs, name)]
    if not named:
        return None
    return ModalityEmbedding(
        named,
        embeddings_initializer=clone_initializer(initializer),
        dtype=dtype,
        name="modality",
    )


def make_layout(
    branches: Mapping[str, ModalityBranch], num_special: int, stands_in: bool
) -> Layout:
    """Return the order of the tokens of modalities.

    Args:
        branches: The branch of each modality, in the order of the configuration.
        num_special: How many class and register tokens come first.
        stands_in: Whether a stand-in token takes the place of an absent modality.
    """
    configs = {name: branch.config for name, branch in branches.items()}
    hosts = {name: one["into"] for name, one in configs.items() if "into" in one}
    borders = {name: branch.borders for name, branch in branches.items()}
    rows = tuple(name for name, one in configs.items() if one.get("row_token"))
    return Layout(tuple(branches), num_special, stands_in, hosts, borders, rows)
