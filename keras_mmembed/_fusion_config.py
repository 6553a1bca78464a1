"""What a fusion layer accepts as the configuration of its modalities."""

import keras

from keras_mmembed import _checks
from keras_mmembed._position import KINDS, PositionEmbedding
from keras_mmembed.position import (
    PositionEmbedding1D,
    PositionEmbedding2D,
    PositionEmbedding3D,
)

POSITION_LAYERS = {
    "1d": PositionEmbedding1D,
    "2d": PositionEmbedding2D,
    "3d": PositionEmbedding3D,
    "none": None,
}
SIZE_KEYS = {
    "1d": ("max_len",),
    "2d": ("height", "width"),
    "3d": ("frames", "height", "width"),
    "none": (),
}


def check_configs(who, configs):
    """Return a plain copy of the configuration; raise for what is wrong in it."""
    is_dict = isinstance(configs, dict)
    rule = "be a dict of a dict for each modality"
    _checks.check(
        is_dict, who, "modality_configs", rule, repr(configs), error=TypeError
    )
    _checks.check_names(who, "modality_configs", configs)
    return {name: _check_config(who, name, config) for name, config in configs.items()}


def make_position(config, who, dtype):
    """Return the position layer of a modality, or `None` for type `"none"`."""
    position = config.get("position", "sinusoidal")
    layer_class = POSITION_LAYERS[config["type"]]
    if layer_class is None or isinstance(position, PositionEmbedding):
        return position if layer_class else None
    sizes = [config.get(key) for key in SIZE_KEYS[config["type"]]]
    return layer_class(*sizes, kind=position, dtype=dtype, name=who)


def serialize_configs(configs):
    """Return the configuration with its position layers in serialised form."""
    return {
        name: {
            key: keras.saving.serialize_keras_object(value)
            if isinstance(value, keras.layers.Layer)
            else value
            for key, value in config.items()
        }
        for name, config in configs.items()
    }


def _check_config(who, name, config):
    place = f"modality_configs[{name!r}]"
    _checks.check(
        isinstance(config, dict), who, place, "be a dict", repr(config), error=TypeError
    )
    config = dict(config)
    kind = config.get("type")
    _checks.check_choice(who, f"{place}['type']", kind, tuple(SIZE_KEYS))
    known = ("type", "dim", *SIZE_KEYS[kind], "position", "segments")
    for key in config:
        rule = f"have no keys but {', '.join(known)} with type {kind!r}"
        _checks.check(key in known, who, place, rule, repr(key))
    _checks.check("dim" in config, who, place, "have the key 'dim'", list(config))
    for key in ("dim", *SIZE_KEYS[kind], "segments"):
        if key in config:
            optional = key not in ("dim", "segments")
            value = config[key]
            config[key] = _checks.check_integer(
                who, f"{place}[{key!r}]", value, optional=optional
            )
    if "position" in config:
        config["position"] = _check_position(who, place, kind, config)
    return config


def _check_position(who, place, kind, config):
    place, position = f"{place}['position']", config["position"]
    if isinstance(position, dict):
        position = keras.saving.deserialize_keras_object(position)
    rule = "be left out with type 'none'"
    _checks.check(kind != "none", who, place, rule, repr(position))
    expected = POSITION_LAYERS[kind]
    is_layer = isinstance(position, expected)
    rule = f"be 'sinusoidal', 'learned' or a {expected.__name__}"
    fits = is_layer or (isinstance(position, str) and position in KINDS)
    _checks.check(fits, who, place, rule, repr(position))
    for key in SIZE_KEYS[kind]:
        rule = f"be given here or in the {expected.__name__}, not in both"
        clash = is_layer and config.get(key) is not None
        _checks.check(
            not clash, who, place.replace("position", key), rule, config.get(key)
        )
        rule = "be given for a learned position table"
        lacks = position == "learned" and config.get(key) is None
        _checks.check(not lacks, who, place.replace("position", key), rule, None)
    return position
