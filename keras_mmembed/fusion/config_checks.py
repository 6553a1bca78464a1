"""What a fusion layer demands of the configuration of its modalities."""

import types
from collections.abc import Mapping
from typing import Any, get_args

import keras

from keras_mmembed.common import checks
from keras_mmembed.common.types import Config
from keras_mmembed.fusion import term_checks
from keras_mmembed.fusion.config import (
    FLAGS,
    OTHER_KEYS,
    POSITION_LAYERS,
    SIZE_KEYS,
    ModalityConfig,
    ModalityType,
    has_learned_position,
)
from keras_mmembed.fusion.features import modalities_of_tower
from keras_mmembed.positions.conv import ConvPositionEmbedding
from keras_mmembed.positions.conventions import KINDS


def check_configs(
    who: str, configs: Mapping[str, ModalityConfig], unified_dim: int
) -> Mapping[str, ModalityConfig]:
    """Return a copy of the configuration; raise for what is wrong in it."""
    is_dict = isinstance(configs, dict)
    rule = "be a dict of a dict for each modality"
    checks.check(is_dict, who, "modality_configs", rule, repr(configs), error=TypeError)
    names = checks.check_names(who, "modality_configs", configs)
    checked = {
        name: _check_config(who, name, config, unified_dim)
        for name, config in zip(names, configs.values(), strict=True)
    }
    for name, config in checked.items():
        for key in ("instance_of", "into"):
            if key in config:
                _check_relation(who, name, key, checked)
    # of a dict, Keras would list the layers before the branches that use them
    return types.MappingProxyType(checked)


def _check_config(who: str, name: str, config: Any, unified_dim: int) -> Any:
    place = f"modality_configs[{name!r}]"
    is_dict = isinstance(config, dict)
    checks.check(is_dict, who, place, "be a dict", repr(config), error=TypeError)
    config = dict(config)
    if "instance_of" in config:
        rule = "have no other keys beside 'instance_of'"
        checks.check(len(config) == 1, who, place, rule, sorted(config))
        return config
    kind = config.get("type")
    checks.check_choice(who, f"{place}['type']", kind, get_args(ModalityType))
    known = ("type", "dim", *SIZE_KEYS[kind], *OTHER_KEYS)
    for key in config:
        rule = f"have no keys but {', '.join(known)} with type {kind!r}"
        checks.check(key in known, who, place, rule, repr(key))
    if "embedding" in config:
        config["embedding"] = _check_embedding(who, place, config)
        width = getattr(config["embedding"], "output_dim", None)
        config.setdefault("dim", width) if width else None
    if "vocabulary_size" in config:
        config.setdefault("dim", unified_dim)
    checks.check("dim" in config, who, place, "have the key 'dim'", list(config))
    for key in ("dim", *SIZE_KEYS[kind], "segments", "vocabulary_size"):
        if key in config:
            is_optional = key in SIZE_KEYS[kind]
            place_of_key = f"{place}[{key!r}]"
            config[key] = checks.check_integer(
                who, place_of_key, config[key], optional=is_optional
            )
    if "padding_id" in config:
        _check_padding_id(who, f"{place}['padding_id']", config)
    _check_flags(who, place, config)
    if "position" in config:
        config["position"] = _check_position(who, place, kind, config)
    if config.get("count_special") and kind != "1d":
        rule = f"be False with type {kind!r} and no learned position table"
        fits = has_learned_position(config)
        checks.check(fits, who, f"{place}['count_special']", rule, True)
    if "projection" in config:
        config["projection"] = term_checks.check_projection(
            who, f"{place}['projection']", config, unified_dim
        )
    if config.get("normalization") is not None:
        config["normalization"] = term_checks.check_norm(
            who, f"{place}['normalization']", config["normalization"]
        )
    if "terms" in config:
        config["terms"] = term_checks.check_terms(
            who, f"{place}['terms']", config, unified_dim
        )
    return config


def _check_embedding(who: str, place: str, config: Config) -> keras.layers.Layer:
    embedding = config["embedding"]
    if isinstance(embedding, dict):
        embedding = keras.saving.deserialize_keras_object(embedding)
    rule = "be a Keras layer that makes features of raw inputs"
    is_layer = isinstance(embedding, keras.layers.Layer)
    place_of_key = f"{place}['embedding']"
    checks.check(is_layer, who, place_of_key, rule, repr(embedding), error=TypeError)
    rule = "be a layer with a compute_output_shape of its own"
    default = keras.layers.Layer.compute_output_shape
    says_shape = type(embedding).compute_output_shape is not default
    received = type(embedding).__name__
    checks.check(says_shape, who, place_of_key, rule, received, error=TypeError)
    rule = "be a layer of one input, so as a model have one modality"
    names = modalities_of_tower(embedding)
    checks.check(len(names) < 2, who, place_of_key, rule, list(names))
    rule = "be left out, because 'embedding' is given"
    size = config.get("vocabulary_size")
    checks.check(size is None, who, f"{place}['vocabulary_size']", rule, size)
    return embedding


def _check_padding_id(who: str, place: str, config: Config) -> None:
    padding_id = checks.check_integer(who, place, config["padding_id"], minimum=0)
    size = config.get("vocabulary_size")
    rule = "be left out without 'vocabulary_size'"
    checks.check(size is not None, who, place, rule, padding_id)
    rule = f"be below the vocabulary_size {size}"
    checks.check(padding_id < (size or 0), who, place, rule, padding_id)
    config["padding_id"] = padding_id


def _check_flags(who: str, place: str, config: Config) -> None:
    for key in (*FLAGS, "modality"):
        if key in config:
            config[key] = checks.check_flag(who, f"{place}[{key!r}]", config[key])
    rule = "be False for another type than '2d' and '3d'"
    has_rows = config["type"] in ("2d", "3d") or not config.get("row_token")
    checks.check(has_rows, who, f"{place}['row_token']", rule, True)
    tokens = [key for key in ("start_token", "end_token") if config.get(key)]
    counted = config.get("count_special", False)
    rule = "be False without a start or end token"
    fits = bool(tokens) or not counted
    checks.check(fits, who, f"{place}['count_special']", rule, counted)
    is_placed = "into" in config
    for key in tokens:
        rule = "be False for a modality that is placed into another"
        checks.check(not is_placed, who, f"{place}[{key!r}]", rule, True)
    if config.get("gate"):
        rule = "be False for a modality that is not placed into another"
        remedy = "Put a ZeroGate behind the attention to it."
        checks.check(is_placed, who, f"{place}['gate']", rule, True, remedy)


def _check_relation(
    who: str, name: str, key: str, configs: Mapping[str, Config]
) -> None:
    """Raise unless a modality refers to another one that refers to none."""
    place = f"modality_configs[{name!r}][{key!r}]"
    other = configs[name][key]
    others = [n for n, c in configs.items() if n != name and key not in c]
    rule = f"be one of the other modalities {others}"
    fits = isinstance(other, str) and other in others
    checks.check(fits, who, place, rule, repr(other))
    if key == "into":
        rule = "be a modality that is not placed into another"
        host = configs[configs[other].get("instance_of", other)]
        checks.check("into" not in host, who, place, rule, repr(other))


def _check_position(who: str, place: str, kind: str, config: Config) -> Any:
    place, position, gate = f"{place}['position']", config["position"], None
    if position is None:
        return None
    has_gate = isinstance(position, dict) and "layer" in position
    if has_gate:
        term_checks.check_keys(who, place, position, ("layer", "gate"))
        gate = term_checks.check_gate(who, place, position.get("gate"))
        position = position["layer"]
        rule = "be 'sinusoidal', 'learned' or a position layer"
        remedy = "Say `position: None` for no encoding."
        is_given = position is not None
        checks.check(is_given, who, f"{place}['layer']", rule, None, remedy)
    if isinstance(position, dict):
        position = keras.saving.deserialize_keras_object(position)
    rule = "be None or left out with type 'none'"
    expected = POSITION_LAYERS[kind]
    checks.check(expected is not None, who, place, rule, repr(position))
    name = getattr(expected, "__name__", None)
    is_conv = kind == "1d" and isinstance(position, ConvPositionEmbedding)
    is_layer = is_conv or (expected is not None and isinstance(position, expected))
    if is_conv:
        rule, key = "be False with a ConvPositionEmbedding", "count_special"
        fits = not config.get(key)
        checks.check(fits, who, place.replace("position", key), rule, True)
    rule = f"be 'sinusoidal', 'learned', None or a {name}"
    fits = is_layer or (isinstance(position, str) and position in KINDS)
    checks.check(fits, who, place, rule, repr(position))
    for key in SIZE_KEYS[kind]:
        place_of_key, size = place.replace("position", key), config.get(key)
        rule = f"be given here or in the {name}, not in both"
        checks.check(not is_layer or size is None, who, place_of_key, rule, size)
        rule = "be given for a learned position table"
        lacks = position == "learned" and size is None
        checks.check(not lacks, who, place_of_key, rule, None)
    return {"layer": position, "gate": gate} if has_gate else position
