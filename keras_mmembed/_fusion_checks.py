"""What a fusion layer demands of the arguments of a call."""

from contextlib import contextmanager

from keras_mmembed import _checks, _position_checks

WHO = "MultiModalFusion"
RANKS = {"1d": (3,), "2d": (3, 4), "3d": (3, 5), "none": (3, 4, 5)}
AXES = {
    "1d": "(batch, length, dim)",
    "2d": "(batch, tokens, dim) or (batch, height, width, dim)",
    "3d": "(batch, tokens, dim) or (batch, frames, height, width, dim)",
    "none": "(batch, tokens, dim), or a grid with an axis each",
}


def check_rates(rates, names):
    """Return the dropout rate of each modality, from one number or a dict."""
    if not isinstance(rates, dict):
        rate = _checks.check_number(WHO, "modality_dropout", rates, 0, 1, True)
        return [rate] * len(names)
    _check_keys("modality_dropout", rates, names)
    return [
        _checks.check_number(
            WHO, f"modality_dropout[{name!r}]", rates.get(name, 0.0), 0, 1, True
        )
        for name in names
    ]


def plain(shapes):
    """Return a dict of shapes as tuples, without absent modalities."""
    check_inputs({} if shapes is None else shapes)
    return {
        name: _checks.known_shape(shape)
        for name, shape in (shapes or {}).items()
        if shape is not None
    }


def check_inputs(inputs):
    """Raise unless the inputs are a dict."""
    rule = "be a dict of a tensor for each modality"
    is_dict = isinstance(inputs, dict)
    received = type(inputs).__name__
    _checks.check(is_dict, WHO, "inputs", rule, received, error=TypeError)


def check_shapes(layer, shapes):
    """Raise for wrong names, ranks, widths and batch sizes."""
    _check_keys("inputs", shapes, layer.modalities)
    rule = f"have at least one of the modalities {list(layer.modalities)}"
    _checks.check(len(shapes) > 0, WHO, "inputs", rule, shapes)
    sizes = {}
    for name, shape in shapes.items():
        config = layer.modality_configs[name]
        argument = f"inputs[{name!r}].shape"
        kind = config["type"]
        _checks.check_rank(WHO, argument, shape, RANKS[kind], AXES[kind])
        rule = f"end with dim={config['dim']} of the configuration"
        _checks.check(shape[-1] == config["dim"], WHO, argument, rule, shape)
        if shape[0] is not None:
            sizes[name] = shape[0]
    rule = "have one batch size for all modalities"
    _checks.check(len(set(sizes.values())) <= 1, WHO, "inputs", rule, sizes)


def check_lengths(layer, inputs, positions):
    """Raise for what a position layer cannot encode, while a model is built."""
    for name, x in inputs.items():
        position = getattr(layer, f"position_{name}", None)
        if x is not None and position is not None:
            with naming(name):
                _position_checks.check_shapes(position, x.shape, positions.get(name))


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


def check_call(layer, inputs, given):
    """Raise for inputs, or other arguments by modality, that do not fit together."""
    check_inputs(inputs)
    shapes = plain({n: x.shape for n, x in inputs.items() if x is not None})
    check_shapes(layer, shapes)
    for name in shapes:
        _checks.check_kind(WHO, f"inputs[{name!r}]", inputs[name], "float")
    for argument, values in given.items():
        rule = "be a dict of a tensor for each modality"
        received = type(values).__name__
        is_dict = isinstance(values, dict)
        _checks.check(is_dict, WHO, argument, rule, received, error=TypeError)
        _check_keys(argument, values, layer.modalities)
        for name, value in values.items():
            if value is None:
                continue
            place = f"{argument}[{name!r}]"
            rule = f"come with inputs[{name!r}]"
            _checks.check(name in shapes, WHO, place, rule, "inputs without it")
            if hasattr(value, "shape"):
                shape = _checks.known_shape(value.shape)
                _check_extra(layer, argument, name, shape, shapes[name])


def _check_extra(layer, argument, name, shape, inputs_shape):
    place = f"{argument}[{name!r}]"
    if argument == "segment_ids":
        rule = "be left out, because the configuration has no segments"
        _checks.check(
            "segments" in layer.modality_configs[name], WHO, place, rule, shape
        )
    batch, tokens = inputs_shape[:1], inputs_shape[1:-1]
    flat = (_product(tokens),)
    if argument == "present":
        allowed = [batch]
    elif argument == "mask":
        allowed = [batch, batch + tokens, batch + flat]
    elif argument == "segment_ids":
        allowed = [flat, batch + tokens, batch + flat]
    else:
        return  # the position layer checks positions
    listed = " or ".join(str(option) for option in dict.fromkeys(allowed))
    fits = any(_checks.shapes_match(shape, option) for option in allowed)
    _checks.check(fits, WHO, f"{place}.shape", f"be {listed}", shape)


def _product(axes):
    total = 1
    for axis in axes:
        total = None if axis is None or total is None else total * axis
    return total


def _check_keys(argument, values, names):
    for name in values:
        rule = f"name only the modalities {list(names)}"
        _checks.check(name in names, WHO, argument, rule, repr(name))


def gather(segment_ids, positions, present, mask, implicit_mask):
    """Return the arguments by modality in one dict, with `{}` for those left out."""
    given = {"segment_ids": segment_ids, "positions": positions, "present": present}
    given = {name: {} if value is None else value for name, value in given.items()}
    return {**given, "mask": merge_masks(mask, implicit_mask)}


def merge_masks(explicit, implicit):
    """Join masks by name; an explicit one goes before that of Keras."""
    explicit = explicit if explicit is not None else {}
    if not isinstance(explicit, dict) or not isinstance(implicit, dict):
        return explicit
    merged = {name: mask for name, mask in implicit.items() if mask is not None}
    merged.update({name: mask for name, mask in explicit.items() if mask is not None})
    return merged
