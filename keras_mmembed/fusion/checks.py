"""What a fusion layer demands of the arguments of a call."""

from contextlib import contextmanager

import keras
import numpy as np

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.sequences import product
from keras_mmembed.fusion.config import config_of
from keras_mmembed.positions import checks as position_checks

WHO = "MultiModalFusion"
RANKS = {"1d": (3,), "2d": (3, 4), "3d": (3, 5), "none": (3, 4, 5)}
AXES = {
    "1d": "(batch, length, dim)",
    "2d": "(batch, tokens, dim) or (batch, height, width, dim)",
    "3d": "(batch, tokens, dim) or (batch, frames, height, width, dim)",
    "none": "(batch, tokens, dim), or a grid with an axis each",
}


def check_rates(rates, configs):
    """Return the dropout rate of each modality, from one number or a dict.

    What holds the tokens of others is never dropped, because they would go with it.
    """
    hosts = {config_of(configs, name).get("into") for name in configs}
    if not isinstance(rates, dict):
        rate = checks.check_number(WHO, "modality_dropout", rates, 0, 1, True)
        return [0.0 if name in hosts else rate for name in configs]
    check_keys("modality_dropout", rates, configs)
    for name in hosts & set(rates):
        rule = "be left out for a modality that others are placed into"
        checks.check(False, WHO, f"modality_dropout[{name!r}]", rule, rates[name])
    return [
        checks.check_number(
            WHO, f"modality_dropout[{name!r}]", rates.get(name, 0.0), 0, 1, True
        )
        for name in configs
    ]


def check_inputs(inputs, argument="inputs"):
    """Raise unless the inputs are a dict."""
    rule = "be a dict of a tensor for each modality"
    is_dict = isinstance(inputs, dict)
    received = type(inputs).__name__
    checks.check(is_dict, WHO, argument, rule, received, error=TypeError)


def features_shapes(layer, inputs_shape):
    """Return the shapes of the features by name, without absent modalities.

    Raises for unknown names, wrong ranks, widths and batch sizes.
    """
    check_inputs({} if inputs_shape is None else inputs_shape)
    given = {n: s for n, s in (inputs_shape or {}).items() if s is not None}
    check_keys("inputs", given, layer.modalities)
    rule = f"have at least one of the modalities {list(layer.modalities)}"
    checks.check(len(given) > 0, WHO, "inputs", rule, given)
    shapes, sizes = {}, {}
    for name, shape in given.items():
        config = config_of(layer.modality_configs, name)
        argument = f"inputs[{name!r}].shape"
        if "vocabulary_size" in config:
            checks.check_rank(WHO, argument, shape, (2,), "(batch, length)")
        with naming(name):
            shape = layer.branch(name).features_shape(shape)
        kind = config["type"]
        checks.check_rank(WHO, argument, shape, RANKS[kind], AXES[kind])
        rule = f"end with dim={config['dim']} of the configuration"
        checks.check(shape[-1] == config["dim"], WHO, argument, rule, shape)
        if shape[0] is not None:
            sizes[name] = shape[0]
        shapes[name] = shape
    rule = "have one batch size for all modalities"
    checks.check(len(set(sizes.values())) <= 1, WHO, "inputs", rule, sizes)
    for name, host in layer.layout.hosts.items():
        rule = f"come with inputs[{host!r}], where its tokens are placed"
        fits = name not in shapes or host in shapes
        received = f"only {sorted(shapes)}"
        checks.check(fits, WHO, f"inputs[{name!r}]", rule, received)
    return {name: shapes[name] for name in layer.modalities if name in shapes}


def check_lengths(layer, shapes, positions):
    """Raise for what a position layer cannot encode, while a model is built."""
    for name, shape in shapes.items():
        branch = layer.branch(name)
        if branch.position is not None:
            if branch.config.get("count_special") and shape[1] is not None:
                shape = (shape[0], shape[1] + sum(branch.borders), shape[2])
            with naming(name):
                position_checks.check_shapes(
                    branch.position, shape, positions.get(name)
                )


@contextmanager
def naming(name):
    """Say in the error of a sublayer which modality it works for."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError):
            raise  # a backend's own error, whose arguments are its own
        message = f"{error} This is modality {name!r} of {WHO}."
        raise type(error)(message) from None


def check_call(layer, inputs, arguments):
    """Return the shapes of the features; raise for arguments that do not fit them."""
    check_inputs(inputs)
    shapes = features_shapes(
        layer, {name: None if x is None else x.shape for name, x in inputs.items()}
    )
    for name in shapes:
        config = config_of(layer.modality_configs, name)
        if "embedding" not in config:
            kind = "integer" if "vocabulary_size" in config else "float"
            tensors.check_kind(WHO, f"inputs[{name!r}]", inputs[name], kind)
        if "vocabulary_size" in config:
            size = config["vocabulary_size"]
            tensors.check_range(WHO, f"inputs[{name!r}]", inputs[name], 0, size)
    for argument, values in arguments.items():
        check_inputs(values, argument)
        check_keys(argument, values, layer.modalities)
        for name, value in values.items():
            if value is None:
                continue
            place = f"{argument}[{name!r}]"
            if argument == "placeholders":
                _check_placeholders(layer, place, name, value, shapes)
                continue
            rule = f"come with inputs[{name!r}]"
            checks.check(name in shapes, WHO, place, rule, "inputs without it")
            _check_extra(layer, argument, name, value, shapes[name])
    for name in layer.layout.hosts:
        rule = f"say where the tokens of inputs[{name!r}] go"
        is_told = name not in shapes or arguments["placeholders"].get(name) is not None
        checks.check(is_told, WHO, f"placeholders[{name!r}]", rule, None)
    _check_apart(layer.layout.hosts, arguments["placeholders"])
    return shapes


def check_count(name, places, valid, flag):
    """Raise if known places are not as many as the tokens that go there."""
    values = [tensors.known_values(mask) for mask in (places, valid)]
    if any(value is None for value in values):
        return
    marked, tokens = (value.sum(axis=1) for value in values)
    differs = marked != tokens
    if flag is not None:
        differs &= tensors.known_values(flag)
    for sample in np.flatnonzero(differs)[:1]:
        rule = f"mark a place for each valid token, {tokens[sample]} in sample {sample}"
        received = f"{marked[sample]} places"
        checks.check(False, WHO, f"placeholders[{name!r}]", rule, received)


def _check_placeholders(layer, place, name, value, shapes):
    host = layer.layout.hosts.get(name)
    rule = "be left out, because the configuration has no 'into'"
    checks.check(host is not None, WHO, place, rule, name)
    rule = f"come with inputs[{host!r}]"
    checks.check(host in shapes, WHO, place, rule, "inputs without it")
    dtype = keras.backend.standardize_dtype(value.dtype)
    rule = f"be bool, true at the places in {host!r}"
    checks.check(dtype == "bool", WHO, f"{place}.dtype", rule, dtype, error=TypeError)
    expected = (shapes[host][0], _product(shapes[host][1:-1]))
    shape = checks.known_shape(value.shape)
    fits = checks.shapes_match(shape, expected)
    checks.check(fits, WHO, f"{place}.shape", f"be {expected}", shape)


def _check_apart(hosts, placeholders):
    """Raise if two modalities are known to be placed at the same token."""
    taken = {}
    for name, host in hosts.items():
        marks = tensors.known_values(placeholders.get(name))
        if marks is None:
            continue
        others = taken.get(host, np.zeros_like(marks))
        for sample, place in np.argwhere(marks & others)[:1]:
            rule = f"mark other places in {host!r} than those of other modalities"
            received = f"place {place} of sample {sample}, which is taken"
            checks.check(False, WHO, f"placeholders[{name!r}]", rule, received)
        taken[host] = marks | others


def _check_extra(layer, argument, name, value, features_shape):
    place, shape = f"{argument}[{name!r}]", checks.known_shape(value.shape)
    if argument == "segment_ids":
        rule = "be left out, because the configuration has no segments"
        config = config_of(layer.modality_configs, name)
        checks.check("segments" in config, WHO, place, rule, shape)
    batch, tokens = features_shape[:1], features_shape[1:-1]
    flat = (_product(tokens),)
    if argument == "present":
        allowed = [batch]
    elif argument == "mask":
        allowed = [batch, batch + tokens, batch + flat]
    elif argument == "segment_ids":
        allowed = [flat, batch + tokens, batch + flat]
    else:  # the position layer checks their shape
        rule = "be left out, because the configuration has type 'none'"
        has_positions = layer.branch(name).position is not None
        checks.check(has_positions, WHO, place, rule, shape)
        return
    listed = " or ".join(str(option) for option in dict.fromkeys(allowed))
    fits = any(checks.shapes_match(shape, option) for option in allowed)
    checks.check(fits, WHO, f"{place}.shape", f"be {listed}", shape)
    if argument == "mask" and len(shape) == 1:
        dtype = keras.backend.standardize_dtype(value.dtype)
        rule = "be a number for each sample, its length"
        remedy = "Say in `present` which samples have the modality."
        fits, argument = dtype != "bool", f"{place}.dtype"
        checks.check(fits, WHO, argument, rule, dtype, remedy, error=TypeError)


def _product(axes):
    return None if None in axes else product(axes)


def check_keys(argument, values, names):
    """Raise for names that no modality has."""
    for name in values:
        rule = f"name only the modalities {list(names)}"
        checks.check(name in names, WHO, argument, rule, repr(name))
