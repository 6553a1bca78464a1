"""The fused sequence, and what is known of its tokens: pure functions."""

from keras import ops

from keras_mmembed.fusion import checks as fusion_checks
from keras_mmembed.fusion.placement import match, place
from keras_mmembed.fusion.tokens import concatenate, flatten_tokens, full, pad, repeat


def find_routes(layout, given, valid, placeholders):
    """Return where the tokens of placed modalities go, and the masks after that.

    Args:
        layout: The order of the tokens.
        given: What the call gives of each modality.
        valid: By name, the mask of each modality that has tokens.
        placeholders: By name of a placed modality, its places in the other.

    Returns:
        By name of a placed modality `(index, is_paired)`, as `match` returns them;
        and `valid`, without the places that get no token.
    """
    routes, valid = {}, dict(valid)
    for name, places in placeholders.items():
        host = layout.hosts[name]
        borders = layout.borders[host]
        places = pad(ops.cast(places, "bool"), borders, False, axis=1)
        marked = ops.logical_and(places, valid[host])
        if name in given:
            flag = given[name].flag
            fusion_checks.check_count(name, marked, valid[name], flag)
            if valid[name].shape[1] != 0:
                routes[name] = match(marked, valid[name])
        elif name in valid:  # one token stands in, at every place
            routes[name] = ops.zeros_like(marked, dtype="int32"), marked
        kept = ops.logical_and(valid[host], ops.logical_not(places))
        valid[host] = ops.logical_or(kept, routes[name][1]) if name in routes else kept
    return routes, valid


def join(layout, parts, special=None, routes=None, gates=None):
    """Place tokens into others, and concatenate them, special tokens first.

    Args:
        layout: The order of the tokens.
        parts: By name `(batch, length, ...)`, in the order of the configuration.
        special: The same for class and register tokens, or `None`.
        routes: Where the tokens of placed modalities go.
        gates: By name of a placed modality, how far it is let in, if not whole.
    """
    parts = dict(parts)
    for name, route in (routes or {}).items():
        host, gate = layout.hosts[name], (gates or {}).get(name)
        placed = place(parts[host], parts[name], *route)
        parts[host] = placed if gate is None else gate.mix(parts[host], placed)
    sequence = [x for name, x in parts.items() if name not in layout.hosts]
    return concatenate(sequence if special is None else [special, *sequence])


def metadata(layout, given, valid, positions, routes):
    """Return the modality id and the (t, h, w) position of every fused token.

    Args:
        layout: The order of the tokens.
        given: What the call gives of each modality.
        valid: By name, the mask of each modality that has tokens.
        positions: By name, where the tokens stand, `(..., length, 3)`, or `None`.
        routes: Where the tokens of placed modalities go.
    """
    ids, places = {}, {}
    for name, mask in valid.items():
        tokens, borders = ops.expand_dims(mask, -1), (0, 0)
        if name in given:
            tokens = flatten_tokens(given[name].features)
            borders = layout.borders[name]
        index = layout.modalities.index(name)
        number = ops.zeros_like(tokens[..., 0], dtype="int32") + index
        ids[name] = pad(number, borders, -1, axis=1)
        here = positions.get(name)
        here = ops.zeros((1, 1, 3)) if here is None else here
        zeros = ops.zeros_like(ops.expand_dims(mask, -1), dtype="float32")
        # not ops.add: on TensorFlow it reads three places as a bias of 3 tokens
        places[name] = zeros + ops.convert_to_tensor(here, dtype="float32")
    special = layout.num_special
    like = ops.expand_dims(next(iter(valid.values())), -1)
    no_places = None
    if special:
        rows = ops.zeros((special, 3))
        no_places = repeat(rows, like, "float32")
    return {
        "modality_ids": join(layout, ids, full(like, special, -1), routes),
        "positions": join(layout, places, no_places, routes),
    }
