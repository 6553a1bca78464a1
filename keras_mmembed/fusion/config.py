"""What a fusion layer accepts as the configuration of its modalities."""

import keras

from keras_mmembed.common import checks
from keras_mmembed.positions.base import KINDS, PositionEmbedding
from keras_mmembed.positions.layers import (
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
FLAGS = ("start_token", "end_token", "count_special", "gate")
OTHER_KEYS = ("position", "segments", "embedding", "vocabulary_size", "into", *FLAGS)


def check_configs(who, configs):
    """Return a plain copy of the configuration; raise for what is wrong in it."""
    is_dict = isinstance(configs, dict)
    rule = "be a dict of a dict for each modality"
    checks.check(is_dict, who, "modality_configs", rule, repr(configs), error=TypeError)
    checks.check_names(who, "modality_configs", configs)
    checked = {name: _check_config(who, name, c) for name, c in configs.items()}
    for name, config in checked.items():
        for key in ("instance_of", "into"):
            if key in config:
                _check_relation(who, name, key, checked)
    return checked


def owner_of(configs, name):
    """Return the modality whose layers `name` uses: its own, or what it repeats."""
    return configs[name].get("instance_of", name)


def config_of(configs, name):
    """Return the configuration of a modality, or of what it is an instance of."""
    return configs[owner_of(configs, name)]


def make_position(config, dtype):
    """Return the position layer of a modality, or `None` for type `"none"`."""
    position = config.get("position", "sinusoidal")
    layer_class = POSITION_LAYERS[config["type"]]
    if layer_class is None or isinstance(position, PositionEmbedding):
        return position if layer_class else None
    sizes = [config.get(key) for key in SIZE_KEYS[config["type"]]]
    return layer_class(*sizes, kind=position, dtype=dtype, name="position")


def serialize_configs(configs):
    """Return the configuration with its layers in serialised form."""
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
    checks.check(
        isinstance(config, dict), who, place, "be a dict", repr(config), error=TypeError
    )
    config = dict(config)
    if "instance_of" in config:
        rule = "have no other keys beside 'instance_of'"
        checks.check(len(config) == 1, who, place, rule, sorted(config))
        return config
    kind = config.get("type")
    checks.check_choice(who, f"{place}['type']", kind, tuple(SIZE_KEYS))
    known = ("type", "dim", *SIZE_KEYS[kind], *OTHER_KEYS)
    for key in config:
        rule = f"have no keys but {', '.join(known)} with type {kind!r}"
        checks.check(key in known, who, place, rule, repr(key))
    if "embedding" in config:
        config["embedding"] = _check_embedding(who, place, config)
        width = getattr(config["embedding"], "output_dim", None)
        config.setdefault("dim", width) if width else None
    checks.check("dim" in config, who, place, "have the key 'dim'", list(config))
    for key in ("dim", *SIZE_KEYS[kind], "segments", "vocabulary_size"):
        if key in config:
            config[key] = checks.check_integer(
                who,
                f"{place}[{key!r}]",
                config[key],
                optional=key in SIZE_KEYS[kind],
            )
    _check_flags(who, place, config)
    if "position" in config:
        config["position"] = _check_position(who, place, kind, config)
    return config


def _check_embedding(who, place, config):
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
    rule = "be left out, because 'embedding' is given"
    size = config.get("vocabulary_size")
    checks.check(size is None, who, f"{place}['vocabulary_size']", rule, size)
    return embedding


def _check_flags(who, place, config):
    for key in FLAGS:
        value = config.get(key, False)
        is_bool = isinstance(value, bool)
        rule, key = "be True or False", f"{place}[{key!r}]"
        checks.check(is_bool, who, key, rule, repr(value), error=TypeError)
    tokens = [key for key in ("start_token", "end_token") if config.get(key)]
    counted = config.get("count_special", False)
    rule = "be False without a start or end token, or with another type than '1d'"
    fits = not counted or (tokens and config["type"] == "1d")
    checks.check(fits, who, f"{place}['count_special']", rule, counted)
    is_placed = "into" in config
    for key in tokens:
        rule = "be False for a modality that is placed into another"
        checks.check(not is_placed, who, f"{place}[{key!r}]", rule, True)
    if config.get("gate"):
        rule = "be False for a modality that is not placed into another"
        remedy = "Put a ZeroGate behind the attention to it."
        checks.check(is_placed, who, f"{place}['gate']", rule, True, remedy)


def _check_relation(who, name, key, configs):
    """Raise unless a modality refers to another one that refers to none."""
    place = f"modality_configs[{name!r}][{key!r}]"
    other = configs[name][key]
    others = [n for n, c in configs.items() if n != name and key not in c]
    rule = f"be one of the other modalities {others}"
    fits = isinstance(other, str) and other in others
    checks.check(fits, who, place, rule, repr(other))
    if key == "into":
        rule = "be a modality that is not placed into another"
        is_host = "into" not in config_of(configs, other)
        checks.check(is_host, who, place, rule, repr(other))


def _check_position(who, place, kind, config):
    place, position = f"{place}['position']", config["position"]
    if isinstance(position, dict):
        position = keras.saving.deserialize_keras_object(position)
    rule = "be left out with type 'none'"
    checks.check(kind != "none", who, place, rule, repr(position))
    expected = POSITION_LAYERS[kind]
    is_layer = isinstance(position, expected)
    rule = f"be 'sinusoidal', 'learned' or a {expected.__name__}"
    fits = is_layer or (isinstance(position, str) and position in KINDS)
    checks.check(fits, who, place, rule, repr(position))
    for key in SIZE_KEYS[kind]:
        rule = f"be given here or in the {expected.__name__}, not in both"
        clash = is_layer and config.get(key) is not None
        checks.check(
            not clash, who, place.replace("position", key), rule, config.get(key)
        )
        rule = "be given for a learned position table"
        lacks = position == "learned" and config.get(key) is None
        checks.check(not lacks, who, place.replace("position", key), rule, None)
    return position
