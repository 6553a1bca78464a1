"""What a fusion makes of features: tokens, their mask, and what is known of them."""

import keras
from keras import ops

from keras_mmembed.fusion import call_inputs
from keras_mmembed.fusion import checks as fusion_checks
from keras_mmembed.fusion import config as fusion_config
from keras_mmembed.fusion.sequence import find_routes, join, metadata
from keras_mmembed.fusion.tokens import (
    concatenate,
    flatten_tokens,
    full,
    repeat,
    token_count,
)


def fuse(layer, inputs, arguments, training=None):
    """Return what `return_dict` promises, without a mask on the embeddings.

    Args:
        layer: The `MultiModalFusion`.
        inputs: As for a call.
        arguments: The other arguments by modality, as `gather` returns them.
        training: As for a call.
    """
    fusion_checks.check_call(layer, inputs, arguments)
    layout, inputs = layer.layout, by_configuration(layer, inputs)
    given = call_inputs.read(layer, inputs, arguments, training)
    like = flatten_tokens(next(iter(given.values())).features)
    valid = _valid(layer, given, like)
    places = by_configuration(layer, arguments["placeholders"])
    routes, joined_valid = find_routes(layout, given, valid, places)

    parts = {name: _embed(layer, name, given, like) for name in valid}
    gates = {name: layer.branch(name).gate for name in layout.hosts}
    special, norm = _special_tokens(layer, like), getattr(layer, "norm", None)
    if norm and not layout.hosts and keras.backend.backend() == "torch":
        # its compiler writes a norm in its place; others need fewer passes for one
        parts = {name: norm(part) for name, part in parts.items()}
        special, norm = norm(special) if layout.num_special else None, None
    fused = join(layout, parts, special, routes, gates)
    fused = norm(fused, training=training) if norm else fused
    fused = ops.cast(fused, layer.compute_dtype)
    fused = layer.drop(fused, training=True) if training else fused
    special = full(like, layout.num_special, True)
    fused = {"embeddings": fused, "mask": join(layout, joined_valid, special)}
    if not layer.return_dict:
        return fused
    positions = {n: layer.branch(n).token_positions(x) for n, x in given.items()}
    return {**fused, **metadata(layout, given, valid, positions, routes)}


def output_spec(layer, inputs_shape, positions):
    """Return the symbolic outputs for inputs of some shapes.

    Args:
        layer: The `MultiModalFusion`.
        inputs_shape: By name, the shapes of the inputs.
        positions: By name, the positions that a call gives.
    """
    shapes = fusion_checks.features_shapes(layer, inputs_shape)
    fusion_checks.check_lengths(layer, shapes, positions)
    lengths = {n: token_count(shape) for n, shape in shapes.items()}
    place = next(iter(shapes.values()))[0], layer.layout.total(lengths)
    fused = keras.KerasTensor((*place, layer.unified_dim), dtype=layer.compute_dtype)
    if not layer.return_dict:
        return fused
    return {
        "embeddings": fused,
        "mask": keras.KerasTensor(place, dtype="bool"),
        "modality_ids": keras.KerasTensor(place, dtype="int32"),
        "positions": keras.KerasTensor((*place, 3), dtype="float32"),
    }


def by_configuration(layer, inputs):
    """Return what is given of the inputs, in the order of the configuration."""
    given = {name: inputs.get(name) for name in layer.modalities}
    return {name: x for name, x in given.items() if x is not None}


def _valid(layer, given, like):
    """Return the mask of each modality that has tokens in the fusion."""
    valid = {}
    for name in layer.modalities:
        if name in given:
            valid[name] = layer.branch(name).valid(given[name])
        elif layer.layout.stands_in:
            valid[name] = full(like, 1, True)
    return valid


def _embed(layer, name, given, like):
    """Return the tokens of a modality, `(batch, length, unified_dim)`."""
    branch, vector = layer.branch(name), layer.modality.encode(name)
    owner = fusion_config.owner_of(layer.modality_configs, name)
    if owner != name:
        # the row of an instance is what sets it apart from its modality
        vector = ops.add(layer.modality.encode(owner), vector)
    if name not in given:
        return branch.stand_in(vector, like)
    with fusion_checks.naming(name):
        return branch.embed(given[name], vector)


def _special_tokens(layer, like):
    """Return class and register tokens for every sample, or `None`."""
    names = layer.special_vectors
    if not names:
        return None
    rows = [ops.convert_to_tensor(getattr(layer, name)) for name in names]
    dtype = keras.backend.result_type(layer.compute_dtype, "float32")
    tokens = repeat(concatenate(rows, 0), like, dtype)
    norm = getattr(layer, "norm_special", None)
    return tokens if norm is None else norm(tokens)
