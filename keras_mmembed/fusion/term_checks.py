"""What a fusion demands of the terms, projections and norms of a configuration."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import keras

from keras_mmembed.common import checks
from keras_mmembed.common.types import Config
from keras_mmembed.fusion.config import Gate, NormType, Place

TERM_KEYS = ("layer", "gate", "normalization", "pooling")
GATES = ("tanh", "linear", None)
NORM_KEYS = ("type", "epsilon", "place", "special")
# layers and weights of a modality, which the paths of weights name
TAKEN = (
    "embedding",
    "projection",
    "position",
    "norm",
    "gate",
    "start",
    "end",
    "missing",
    "mask_token",
    "row_token",
    "start_position",
    "end_position",
)


def check_projection(
    who: str, place: str, config: Config, unified_dim: int
) -> bool | Config:
    """Return `True`, `False` or the arguments of the `Dense` layer, as plain data."""
    projection, width = config["projection"], config["dim"]
    if isinstance(projection, dict):
        use_bias = projection.get("use_bias", True)
        checks.check_flag(who, f"{place}['use_bias']", use_bias)
        rule = "have no key 'units', 'name' or 'dtype', which the fusion knows"
        for key in ("units", "name", "dtype"):
            checks.check(key not in projection, who, place, rule, repr(key))
        try:
            made = keras.layers.Dense(1, **projection).get_config()
        except (TypeError, ValueError) as error:
            rule = "have only arguments of keras.layers.Dense"
            remedy = f"It says: {error}"
            checks.check(False, who, place, rule, projection, remedy)
            raise
        return {key: made[key] for key in projection}
    rule = "be a dict of arguments of keras.layers.Dense, True or False"
    is_flag = isinstance(projection, bool)
    checks.check(is_flag, who, place, rule, repr(projection), error=TypeError)
    rule = f"be left out, because dim={width} differs from unified_dim={unified_dim}"
    checks.check(projection or width == unified_dim, who, place, rule, projection)
    return projection


def check_norm(
    who: str, place: str, norm: Any, keys: Sequence[str] = NORM_KEYS
) -> Config:
    """Return the norm of a modality, or of a term, as a plain dict."""
    rule = f"be a dict with keys among {list(keys)}, or None"
    is_dict = isinstance(norm, dict)
    checks.check(is_dict, who, place, rule, repr(norm), error=TypeError)
    check_keys(who, place, norm, keys)
    checked: Config = {}
    for key, value in norm.items():
        place_of_key = f"{place}[{key!r}]"
        if key == "epsilon":
            checked[key] = checks.check_number(who, place_of_key, value, 0)
        elif key == "special":
            checked[key] = checks.check_flag(who, place_of_key, value)
        else:
            choices = get_args(NormType if key == "type" else Place)
            checked[key] = checks.check_choice(who, place_of_key, value, choices)
    return checked


def check_terms(who: str, place: str, config: Config, unified_dim: int) -> Config:
    """Return the terms of a modality by name, each as a dict with its layer."""
    terms = config["terms"]
    rule = "be a dict of a layer for each term"
    is_dict = isinstance(terms, dict)
    checks.check(is_dict, who, place, rule, repr(terms), error=TypeError)
    names = checks.check_names(who, place, terms)
    taken = ("segment", *TAKEN) if "segments" in config else TAKEN
    for name in names:
        rule = "have no name that a part of the modality has"
        remedy = f"These are {', '.join(taken)}, and names with norm_ or gate_ first."
        is_free = name not in taken and not name.startswith(("norm_", "gate_"))
        checks.check(is_free, who, place, rule, repr(name), remedy)
    return {
        name: _check_term(who, f"{place}[{name!r}]", term, unified_dim)
        for name, term in zip(names, terms.values(), strict=True)
    }


def check_gate(who: str, place: str, gate: Any) -> Gate:
    """Return the gate of a term or of the positional encoding."""
    return checks.check_choice(who, f"{place}['gate']", gate, GATES)


def check_keys(
    who: str, place: str, config: Mapping[str, Any], known: Sequence[str]
) -> None:
    """Raise for keys that are not known."""
    for key in config:
        rule = f"have no keys but {', '.join(known)}"
        checks.check(key in known, who, place, rule, repr(key))


def _check_term(who: str, place: str, term: Any, unified_dim: int) -> Config:
    """Return one term as a dict with its layer, and the other keys that it has."""
    config = term if isinstance(term, dict) and "layer" in term else {"layer": term}
    check_keys(who, place, config, TERM_KEYS)
    layer = config["layer"]
    if isinstance(layer, dict) and "class_name" in layer:
        layer = keras.saving.deserialize_keras_object(layer)
    rule = "be a layer with a method encode(values), such as SegmentEmbedding"
    is_layer = isinstance(layer, keras.layers.Layer)
    fits = is_layer and callable(getattr(layer, "encode", None))
    checks.check(fits, who, place, rule, repr(layer), error=TypeError)
    width = getattr(layer, "output_dim", unified_dim)
    rule = f"be a layer of the width unified_dim={unified_dim}"
    checks.check(width == unified_dim, who, place, rule, width)
    checked: Config = {"layer": layer}
    if config.get("pooling") is not None:
        checked["pooling"] = checks.check_choice(
            who, f"{place}['pooling']", config["pooling"], ("mean", None)
        )
    if config.get("gate") is not None:
        checked["gate"] = check_gate(who, place, config["gate"])
    if config.get("normalization") is not None:
        norm, keys = config["normalization"], ("type", "epsilon")
        place = f"{place}['normalization']"
        checked["normalization"] = check_norm(who, place, norm, keys)
    return checked
