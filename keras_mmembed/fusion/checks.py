"""What a fusion layer demands of the arguments of a call."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import keras

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.fusion import argument_checks
from keras_mmembed.fusion.arguments import CallArguments
from keras_mmembed.fusion.branch import ModalityBranch
from keras_mmembed.fusion.config import DropRates, ModalityConfig, config_of
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.naming import naming
from keras_mmembed.inputs.audio import AudioEmbedding
from keras_mmembed.inputs.grid import GridEmbedding

WHO = "MultiModalFusion"
RANKS: dict[str, tuple[int, ...]] = {
    "1d": (3,),
    "2d": (3, 4),
    "3d": (3, 5),
    "none": (2, 3, 4, 5),
}
AXES = {
    "1d": "(batch, length, dim)",
    "2d": "(batch, tokens, dim) or (batch, height, width, dim)",
    "3d": "(batch, tokens, dim) or (batch, frames, height, width, dim)",
    "none": "(batch, dim), (batch, tokens, dim), or a grid with an axis each",
}
RAW_LAYERS = (AudioEmbedding, GridEmbedding)
Branches = Mapping[str, ModalityBranch]


def check_rates(
    rates: DropRates, configs: Mapping[str, ModalityConfig]
) -> dict[str, float]:
    """Return the dropout rate of each modality, from one number or a dict.

    A modality that others are placed into is never dropped: they would go with it.
    """
    argument = "modality_dropout"
    hosts = {str(config_of(configs, name).get("into")) for name in configs}
    if not isinstance(rates, dict):
        rate = checks.check_number(WHO, argument, rates, 0, 1, True)
        return {name: 0.0 if name in hosts else rate for name in configs}
    check_keys(argument, rates, configs)
    for name in hosts & set(rates):
        rule = "be left out for a modality that others are placed into"
        checks.check(False, WHO, f"{argument}[{name!r}]", rule, rates[name])
    return {
        name: checks.check_number(
            WHO, f"{argument}[{name!r}]", rates.get(name, 0.0), 0, 1, True
        )
        for name in configs
    }


def check_dict(values: Any, argument: str = "inputs") -> None:
    """Raise unless the values of an argument are a dict."""
    rule = "be a dict of a tensor for each modality"
    is_dict = isinstance(values, dict)
    received = type(values).__name__
    checks.check(is_dict, WHO, argument, rule, received, error=TypeError)


def check_keys(argument: str, values: Any, names: Any) -> None:
    """Raise for names that no modality has."""
    for name in values:
        rule = f"name only the modalities {list(names)}"
        checks.check(name in names, WHO, argument, rule, repr(name))


def features_shapes(
    branches: Branches, layout: Layout, inputs_shape: Mapping[str, Shape | None] | None
) -> dict[str, Shape]:
    """Return the shapes of the features by name, without absent modalities.

    Raises for unknown names, wrong ranks, widths and batch sizes.
    """
    check_dict({} if inputs_shape is None else inputs_shape)
    named = {n: s for n, s in (inputs_shape or {}).items() if s is not None}
    check_keys("inputs", named, layout.modalities)
    rule = f"have at least one of the modalities {list(layout.modalities)}"
    checks.check(len(named) > 0, WHO, "inputs", rule, named)
    shapes, sizes = {}, {}
    for name, shape in named.items():
        if any(isinstance(size, (tuple, list)) for size in shape):
            argument_checks.check_is_tensor(f"inputs[{name!r}]", [])  # a list of arrays
        shapes[name] = _features_shape(name, branches[name], shape)
        if shapes[name][0] is not None:
            sizes[name] = shapes[name][0]
    rule = "have one batch size for all modalities"
    checks.check(len(set(sizes.values())) <= 1, WHO, "inputs", rule, sizes)
    for name, host in layout.hosts.items():
        rule = f"come with inputs[{host!r}], where its tokens are placed"
        fits = name not in shapes or host in shapes
        received = f"only {sorted(shapes)}"
        checks.check(fits, WHO, f"inputs[{name!r}]", rule, received)
    return layout.in_order(shapes)


def check_positions(
    branches: Branches, shapes: Mapping[str, Shape], arguments: CallArguments
) -> None:
    """Raise for what a position layer cannot encode, while a model is built."""
    for name, shape in shapes.items():
        branch = branches[name]
        if branch.position is None:
            continue
        if branch.counts_special and shape[1] is not None:
            shape = (shape[0], shape[1] + sum(branch.borders), shape[2])
        positions = arguments.positions.get(name)
        start_index = arguments.start_index.get(name)
        start_index = 0 if start_index is None else start_index
        grid = arguments.grids.get(name) if len(shape) == 3 else None
        with naming(name):
            branch.position.check_shapes(shape, positions, start_index, grid=grid)


def check_call(
    branches: Branches,
    layout: Layout,
    inputs: Mapping[str, Tensor | None],
    arguments: CallArguments,
) -> dict[str, Shape]:
    """Return the shapes of the features; raise for arguments that do not fit them."""
    check_dict(inputs)
    for name, x in inputs.items():
        argument_checks.check_is_tensor(f"inputs[{name!r}]", x)
    inputs_shape = {n: None if x is None else x.shape for n, x in inputs.items()}
    shapes = features_shapes(branches, layout, inputs_shape)
    for name in shapes:
        _check_values(name, branches[name].config, inputs[name])
    for argument in (field.name for field in fields(arguments)):
        values = getattr(arguments, argument)
        check_dict(values, argument)
        check_keys(argument, values, layout.modalities)
        for name, value in values.items():
            if value is None:
                continue
            if argument == "terms":
                is_empty = isinstance(value, dict) and not any(
                    one is not None for one in value.values()
                )
                rule, fits = f"come with inputs[{name!r}]", is_empty or name in shapes
                checks.check(fits, WHO, f"terms[{name!r}]", rule, "inputs without it")
                shape = shapes.get(name, ())
                argument_checks.check_terms(name, branches[name], value, shape)
                continue
            if argument not in ("grids", "start_index"):
                argument_checks.check_is_tensor(f"{argument}[{name!r}]", value)
            if argument == "placeholders":
                argument_checks.check_placeholders(layout, name, value, shapes)
                continue
            rule = f"come with inputs[{name!r}]"
            received = "inputs without it"
            checks.check(name in shapes, WHO, f"{argument}[{name!r}]", rule, received)
            argument_checks.check_argument(
                argument, name, branches[name], value, shapes[name]
            )
    for name in layout.hosts:
        rule = f"say where the tokens of inputs[{name!r}] go"
        is_told = name not in shapes or arguments.placeholders.get(name) is not None
        checks.check(is_told, WHO, f"placeholders[{name!r}]", rule, None)
    argument_checks.check_apart(layout.hosts, arguments.placeholders)
    if not layout.stands_in:
        argument_checks.check_present(shapes, arguments.present)
    return shapes


def _features_shape(name: str, branch: ModalityBranch, shape: Shape) -> Shape:
    """Return the shape of the features of one modality; raise for a wrong one."""
    config, argument = branch.config, f"inputs[{name!r}].shape"
    if "vocabulary_size" in config:
        checks.check_rank(WHO, argument, shape, (2,), "(batch, length)")
    with naming(name):
        shape = branch.features_shape(shape)
    kind = config["type"]
    ranks, axes = RANKS[kind], AXES[kind]
    if config.get("row_token"):
        ranks, axes = ranks[-1:], axes.split(" or ")[-1]
    checks.check_rank(WHO, argument, shape, ranks, axes)
    rule = f"end with dim={config['dim']} of the configuration"
    checks.check(shape[-1] == config["dim"], WHO, argument, rule, shape)
    return shape


def _check_values(name: str, config: Mapping[str, Any], x: Tensor) -> None:
    """Raise for inputs of a wrong dtype, and for known ids outside the vocabulary."""
    argument = f"inputs[{name!r}]"
    if "embedding" not in config:
        kind = "integer" if "vocabulary_size" in config else "float"
        tensors.check_kind(WHO, argument, x, kind)
    if "vocabulary_size" in config:
        tensors.check_range(WHO, argument, x, 0, config["vocabulary_size"])
    embedding = config.get("embedding")
    if isinstance(x, keras.KerasTensor) and isinstance(embedding, RAW_LAYERS):
        # its shapes do not tell the dtype that it is called with
        with naming(name):
            embedding.compute_output_spec(x)
