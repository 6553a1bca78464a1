"""What a fusion layer demands of the arguments of a call."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import keras
import numpy as np

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.fusion.arguments import CallArguments
from keras_mmembed.fusion.branch import ModalityBranch
from keras_mmembed.fusion.config import DropRates, ModalityConfig, config_of
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.tokens import known_product

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
            _check_is_tensor(f"inputs[{name!r}]", [])  # a list of arrays
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
        if branch.config.get("count_special") and shape[1] is not None:
            shape = (shape[0], shape[1] + sum(branch.borders), shape[2])
        positions = arguments.positions.get(name)
        start_index = arguments.start_index.get(name)
        start_index = 0 if start_index is None else start_index
        grid = arguments.grids.get(name) if len(shape) == 3 else None
        with naming(name):
            branch.position.check_shapes(shape, positions, start_index, grid=grid)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Say in the error of a sublayer which modality it works for."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError):
            raise  # a backend's own error, whose arguments are its own
        message = f"{error} This is modality {name!r} of {WHO}."
        raise type(error)(message) from None


def check_call(
    branches: Branches,
    layout: Layout,
    inputs: Mapping[str, Tensor | None],
    arguments: CallArguments,
) -> dict[str, Shape]:
    """Return the shapes of the features; raise for arguments that do not fit them."""
    check_dict(inputs)
    for name, x in inputs.items():
        _check_is_tensor(f"inputs[{name!r}]", x)
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
            if argument not in ("grids", "start_index"):
                _check_is_tensor(f"{argument}[{name!r}]", value)
            if argument == "placeholders":
                _check_placeholders(layout, name, value, shapes)
                continue
            rule = f"come with inputs[{name!r}]"
            received = "inputs without it"
            checks.check(name in shapes, WHO, f"{argument}[{name!r}]", rule, received)
            _check_argument(argument, name, branches[name], value, shapes[name])
    for name in layout.hosts:
        rule = f"say where the tokens of inputs[{name!r}] go"
        is_told = name not in shapes or arguments.placeholders.get(name) is not None
        checks.check(is_told, WHO, f"placeholders[{name!r}]", rule, None)
    _check_apart(layout.hosts, arguments.placeholders)
    if not layout.stands_in:
        _check_present(shapes, arguments.present)
    return shapes


def check_count(
    name: str, places: Tensor, valid: Tensor, present: Tensor | None
) -> None:
    """Raise if known places are not as many as the tokens that go there."""
    marks, mask = tensors.known_values(places), tensors.known_values(valid)
    if marks is None or mask is None:
        return
    marked, tokens = marks.sum(axis=1), mask.sum(axis=1)
    differs = marked != tokens
    if present is not None:
        differs &= tensors.known_values(present)
    for sample in np.flatnonzero(differs)[:1]:
        rule = f"mark a place for each valid token, {tokens[sample]} in sample {sample}"
        received = f"{marked[sample]} places"
        checks.check(False, WHO, f"placeholders[{name!r}]", rule, received)


def _features_shape(name: str, branch: ModalityBranch, shape: Shape) -> Shape:
    """Return the shape of the features of one modality; raise for a wrong one."""
    config, argument = branch.config, f"inputs[{name!r}].shape"
    if "vocabulary_size" in config:
        checks.check_rank(WHO, argument, shape, (2,), "(batch, length)")
    with naming(name):
        shape = branch.features_shape(shape)
    kind = config["type"]
    checks.check_rank(WHO, argument, shape, RANKS[kind], AXES[kind])
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


def _check_placeholders(
    layout: Layout, name: str, value: Tensor, shapes: Mapping[str, Shape]
) -> None:
    argument = f"placeholders[{name!r}]"
    host = layout.hosts.get(name)
    rule = "be left out, because the configuration has no 'into'"
    checks.check(host is not None, WHO, argument, rule, name)
    rule = f"come with inputs[{host!r}]"
    checks.check(host in shapes, WHO, argument, rule, "inputs without it")
    is_bool = keras.backend.standardize_dtype(value.dtype) == "bool"
    rule = f"be bool, true at the places in {host!r}"
    tensors.check_dtype(WHO, argument, value, is_bool, rule)
    batch, *axes = shapes[str(host)][:-1]
    expected = (batch, known_product(tuple(axes)))
    shape = checks.known_shape(value.shape)
    fits = checks.shapes_match(shape, expected)
    checks.check(fits, WHO, f"{argument}.shape", f"be {expected}", shape)


def _check_is_tensor(argument: str, value: Any) -> None:
    """Raise for lists of arrays and ragged tensors, which have no shape."""
    is_ragged = "Ragged" in type(value).__name__ or getattr(value, "ragged", False)
    fits = value is None or (hasattr(value, "shape") and not is_ragged)
    rule = "be a tensor or an array with one shape for all samples"
    remedy = "Pad samples of different sizes with pad_batch."
    received = type(value).__name__
    checks.check(fits, WHO, argument, rule, received, remedy, error=TypeError)


def _check_present(
    shapes: Mapping[str, Shape], present: Mapping[str, Tensor | None]
) -> None:
    """Raise if a sample is known to have no modality at all."""
    flags = [tensors.known_values(present.get(name)) for name in shapes]
    known = [flag.astype(bool) for flag in flags if flag is not None]
    if len(known) < len(shapes):
        return
    for sample in np.flatnonzero(~np.any(known, axis=0))[:1]:
        rule = "leave every sample at least one modality"
        checks.check(False, WHO, "present", rule, f"none in sample {sample}")


def _check_apart(
    hosts: Mapping[str, str], placeholders: Mapping[str, Tensor | None]
) -> None:
    """Raise if two modalities are known to be placed at the same token."""
    taken: dict[str, np.ndarray] = {}
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


def _check_argument(
    argument: str,
    name: str,
    branch: ModalityBranch,
    value: Tensor,
    features_shape: Shape,
) -> None:
    """Raise if an argument does not fit the tokens of a modality."""
    if argument == "grids":
        _check_grid(name, branch, value, features_shape)
        return
    if argument == "start_index":
        _check_start(name, branch, value, features_shape)
        return
    place, shape = f"{argument}[{name!r}]", checks.known_shape(value.shape)
    batch, tokens = features_shape[:1], features_shape[1:-1]
    flat = (known_product(tokens),)
    if argument == "positions":  # the position layer checks their shape
        rule = "be left out, because the configuration has type 'none'"
        checks.check(branch.position is not None, WHO, place, rule, shape)
        return
    if argument == "segment_ids":
        rule = "be left out, because the configuration has no segments"
        checks.check("segments" in branch.config, WHO, place, rule, shape)
        tensors.check_kind(WHO, place, value, "integer")
    if argument == "present":
        dtype = keras.backend.standardize_dtype(value.dtype)
        fits = dtype == "bool" or dtype.startswith(("int", "uint"))
        rule = "be bool, true where a sample has the modality"
        tensors.check_dtype(WHO, place, value, fits, rule, "")
    allowed = {
        "present": [batch],
        "mask": [batch, batch + tokens, batch + flat],
        "segment_ids": [flat, batch + tokens, batch + flat],
    }[argument]
    listed = " or ".join(str(option) for option in dict.fromkeys(allowed))
    fits = any(checks.shapes_match(shape, option) for option in allowed)
    checks.check(fits, WHO, f"{place}.shape", f"be {listed}", shape)
    if argument == "mask" and len(shape) == 1:
        fits = keras.backend.standardize_dtype(value.dtype) != "bool"
        rule = "be a number for each sample, its length"
        remedy = "Say in `present` which samples have the modality."
        tensors.check_dtype(WHO, place, value, fits, rule, remedy)
        tensors.check_kind(WHO, place, value, "integer")
        most = np.inf if flat[0] is None else flat[0] + 1
        tensors.check_range(WHO, place, value, 0, most)


def _check_grid(
    name: str, branch: ModalityBranch, grid: Any, features_shape: Shape
) -> None:
    place, axes = f"grids[{name!r}]", len(getattr(branch.position, "size_names", ()))
    rule = "be left out for a modality without a grid, of type '1d' or 'none'"
    received = checks.known_shape(grid.shape) if hasattr(grid, "shape") else grid
    checks.check(axes > 1, WHO, place, rule, received)
    rule = f"be {axes} integers, or have the shape ({axes},) or (batch, {axes})"
    if not hasattr(grid, "shape"):
        fits = isinstance(grid, tuple) and len(grid) == axes
        checks.check(fits, WHO, place, rule, repr(grid))
        is_inside = all(size >= 0 for size in grid)
        checks.check(is_inside, WHO, place, "have sizes of at least 0", grid)
        return
    tensors.check_kind(WHO, place, grid, "integer")
    options = ((axes,), (features_shape[0], axes))
    fits = any(checks.shapes_match(received, option) for option in options)
    checks.check(fits, WHO, f"{place}.shape", rule, received)
    tokens = features_shape[1:-1]
    values = tensors.known_values(grid)
    if values is None:
        return
    remedy = "Tokens that an image does not have come after its own."
    for axis, size in enumerate(tokens if len(tokens) > 1 else [None] * axes):
        high = np.inf if size is None else size + 1
        tensors.check_range(WHO, place, values[..., axis], 0, high, remedy)
    if len(tokens) == 1 and tokens[0] is not None:
        cells = values.prod(axis=-1)
        rule = f"have at most {tokens[0]} cells, which is the number of tokens"
        most = int(cells.max(initial=0))
        checks.check(most <= tokens[0], WHO, place, rule, f"{most} cells", remedy)


def _check_start(
    name: str, branch: ModalityBranch, start: Any, features_shape: Shape
) -> None:
    place = f"start_index[{name!r}]"
    rule = "be left out, because the configuration has type 'none'"
    received = checks.known_shape(start.shape) if hasattr(start, "shape") else start
    checks.check(branch.position is not None, WHO, place, rule, received)
    if not hasattr(start, "shape"):
        checks.check_integer(WHO, place, start, minimum=0)
        return
    tensors.check_kind(WHO, place, start, "integer")
    fits = any(checks.shapes_match(received, s) for s in ((), features_shape[:1]))
    rule = "be an integer, or have the shape (batch,)"
    checks.check(fits, WHO, f"{place}.shape", rule, received)
