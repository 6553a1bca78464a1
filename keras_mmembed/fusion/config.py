"""The configuration of the modalities of a fusion: its keys, and what they accept."""

import collections
import re
from collections.abc import Mapping
from typing import Any, Literal, Required, TypeAlias, TypedDict

import keras

# Keras has no public function that tells whether it saves a model
from keras.src.backend.common import global_state

from keras_mmembed.common.types import Config, DType, Initializer, Shape
from keras_mmembed.positions.base import PositionEmbedding
from keras_mmembed.positions.conv import ConvPositionEmbedding
from keras_mmembed.positions.layers import (
    PositionEmbedding1D,
    PositionEmbedding2D,
    PositionEmbedding3D,
)

ModalityType: TypeAlias = Literal["1d", "2d", "3d", "none"]
Normalization: TypeAlias = Literal["shared", "per_modality", "both"] | None
NormType: TypeAlias = Literal["layer", "rms"]
Missing: TypeAlias = Literal["mask", "token"]
Gate: TypeAlias = Literal["tanh", "linear"] | None
Place: TypeAlias = Literal["features", "modality", "sum"]
Pooling: TypeAlias = Literal["mean"] | None
DropRates: TypeAlias = float | Mapping[str, float]


class NormConfig(TypedDict, total=False):
    """The norm of one modality, or of one of its terms."""

    type: NormType
    epsilon: float
    place: Place
    special: bool


class TermConfig(TypedDict, total=False):
    """A further term of the sum of one modality."""

    layer: Required[keras.layers.Layer | Config]
    gate: Gate
    normalization: NormConfig | None
    pooling: Pooling


class PositionConfig(TypedDict, total=False):
    """A positional encoding with a gate."""

    layer: Required[
        Literal["sinusoidal", "learned"]
        | PositionEmbedding
        | ConvPositionEmbedding
        | Config
    ]
    gate: Gate


class ModalityConfig(TypedDict, total=False):
    """The configuration of one modality; `MultiModalFusion` says what the keys mean."""

    type: ModalityType
    dim: int
    max_len: int | None
    height: int | None
    width: int | None
    frames: int | None
    position: (
        Literal["sinusoidal", "learned"]
        | PositionEmbedding
        | ConvPositionEmbedding
        | PositionConfig
        | Config
        | None
    )
    modality: bool
    projection: bool | Config
    normalization: NormConfig | None
    terms: Mapping[str, keras.layers.Layer | TermConfig | Config]
    segments: int
    vocabulary_size: int
    padding_id: int
    embedding: keras.layers.Layer | Config
    into: str
    gate: bool
    start_token: bool
    end_token: bool
    count_special: bool
    mask_token: bool
    row_token: bool
    instance_of: str


POSITION_LAYERS: dict[str, Any] = {
    "1d": PositionEmbedding1D,
    "2d": PositionEmbedding2D,
    "3d": PositionEmbedding3D,
    "none": None,
}
SIZE_KEYS: dict[str, tuple[str, ...]] = {
    "1d": ("max_len",),
    "2d": ("height", "width"),
    "3d": ("frames", "height", "width"),
    "none": (),
}
NORMALIZATIONS = ("shared", "per_modality", "both", None)
# arguments of the layer that its configuration holds as they are
OPTIONS = (
    "unified_dim",
    "normalization",
    "norm_type",
    "epsilon",
    "dropout",
    "cls_token",
    "num_registers",
    "modality_embedding",
    "modality_dropout",
    "missing",
    "return_dict",
    "seed",
)
# the weights that two of them make
VECTORS = {"cls_token": "cls_embedding", "num_registers": "register_embeddings"}
FLAGS = (
    "start_token",
    "end_token",
    "count_special",
    "gate",
    "mask_token",
    "row_token",
)
OTHER_KEYS = (
    "position",
    "modality",
    "projection",
    "normalization",
    "terms",
    "segments",
    "embedding",
    "vocabulary_size",
    "padding_id",
    "into",
    *FLAGS,
)


def from_first_files(config: Config) -> Config:
    """Return the arguments of a layer, which the first files name otherwise."""
    is_joint = config.get("normalization") == "joint"
    return {**config, "normalization": "shared"} if is_joint else config


def owner_of(configs: Mapping[str, ModalityConfig], name: str) -> str:
    """Return the modality whose layers `name` uses: its own, or what it repeats."""
    return configs[name].get("instance_of", name)


def owners_shapes(
    configs: Mapping[str, ModalityConfig], shapes: Mapping[str, Shape | None]
) -> dict[str, Shape | None]:
    """Return shapes by the modality whose layers use them, `None` where unknown."""
    owned: dict[str, Shape | None] = {}
    for name in configs:
        owner = owner_of(configs, name)
        owned[owner] = owned.get(owner) or shapes.get(name)
    return owned


def config_of(configs: Mapping[str, ModalityConfig], name: str) -> ModalityConfig:
    """Return the configuration of a modality, or of what it is an instance of."""
    return configs[owner_of(configs, name)]


def make_position(config: ModalityConfig, dtype: DType) -> PositionEmbedding | None:
    """Return the position layer of a modality, or `None` for type `"none"`."""
    position = position_of(config)[0]
    layer_class = POSITION_LAYERS[config["type"]]
    if layer_class is None or isinstance(position, PositionEmbedding):
        return position if layer_class else None
    sizes = [config.get(key) for key in SIZE_KEYS[config["type"]]]
    # beside another encoding or none, it only tells the coordinates of the tokens
    kind = position if isinstance(position, str) else "sinusoidal"
    return layer_class(*sizes, kind=kind, dtype=dtype, name="position")


def conv_position_of(config: ModalityConfig) -> ConvPositionEmbedding | None:
    """Return the convolutional positional encoding of a modality, if it has one."""
    position = position_of(config)[0]
    return position if isinstance(position, ConvPositionEmbedding) else None


def make_projection(
    config: ModalityConfig, unified_dim: int, initializer: Initializer, dtype: DType
) -> keras.layers.Dense | None:
    """Return the projection of features to the common width, `None` for none."""
    projection = config.get("projection", config["dim"] != unified_dim)
    if projection is False:
        return None
    options: Config = projection if isinstance(projection, dict) else {}
    options = {"kernel_initializer": initializer, **options}
    return keras.layers.Dense(unified_dim, **options, dtype=dtype, name="projection")


def position_of(config: Mapping[str, Any]) -> tuple[Any, Gate]:
    """Return the kind or layer of the positional encoding, and its gate."""
    position: Any = config.get("position", "sinusoidal")
    if isinstance(position, dict):
        return position["layer"], position.get("gate")
    return position, None


def has_learned_position(config: Mapping[str, Any]) -> bool:
    """Whether the positional encoding of a modality has a learned table."""
    position = position_of(config)[0]
    kind = getattr(position, "kind", position)
    return "learned" in (kind if isinstance(kind, tuple) else (kind,))


def has_vector(configs: Mapping[str, ModalityConfig], name: str) -> bool:
    """Whether a modality has a vector of its own."""
    return configs[name].get("modality", True)


def name_layers(configs: Mapping[str, ModalityConfig]) -> None:
    """Name the layers of a configuration by their roles, as those made here are.

    The paths of their weights then do not depend on a counter of names. A layer keeps
    its name if the user chose it, if it is built, or if it has several roles.
    """
    roles = [role for config in configs.values() for role in _roles(config)]
    uses = collections.Counter(id(layer) for _, layer in roles)
    for role, layer in roles:
        automatic = rf"{type(layer).__name__.lower()}\d*"
        has_own_name = not re.fullmatch(automatic, layer.name.replace("_", ""))
        if not layer.built and not has_own_name and uses[id(layer)] == 1:
            layer.name = role


def configured_layers(
    configs: Mapping[str, ModalityConfig],
) -> list[keras.layers.Layer]:
    """Return the layers that a configuration holds."""
    return [layer for config in configs.values() for _, layer in _roles(config)]


def serialize_configs(configs: Mapping[str, ModalityConfig]) -> dict[str, Config]:
    """Return the configuration with its layers in serialized form."""
    return {name: _serialize_all(config) for name, config in configs.items()}


def _roles(config: ModalityConfig) -> list[tuple[str, keras.layers.Layer]]:
    """Return the layers of a configuration, each with its role."""
    terms = {name: term["layer"] for name, term in config.get("terms", {}).items()}
    position, embedding = position_of(config)[0], config.get("embedding")
    roles = {"embedding": embedding, "position": position, **terms}
    return [(k, v) for k, v in roles.items() if isinstance(v, keras.layers.Layer)]


def _serialize_all(value: Any) -> Any:
    """Return a part of a configuration with its layers in serialized form."""
    if isinstance(value, dict):
        return {key: _serialize_all(one) for key, one in value.items()}
    return _serialize(value) if isinstance(value, keras.layers.Layer) else value


def _serialize(layer: keras.layers.Layer) -> Config:
    """Return a layer in serialized form, which may stand elsewhere in a model, too.

    Keras marks what it meets twice while it saves a model, but loses the first mark in
    the copy that it makes of our configuration; a tied head would not be tied.
    """
    config = keras.saving.serialize_keras_object(layer)
    builds_by_shape = keras.layers.Layer.get_build_config
    if "/" in (layer.path or "") and type(layer).get_build_config is builds_by_shape:
        # the fusion builds it again, so that the paths of its weights are the same
        config.pop("build_config", None)
    if global_state.get_global_attribute("shared_objects/id_to_config_map") is not None:
        config["shared_object_id"] = id(layer)
    return config
