"""What a fusion layer demands of each argument of a call."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.fusion.branch import ModalityBranch
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.terms import ID_TABLES, axes_with_batch, begins, value_axes
from keras_mmembed.fusion.tokens import known_product
from keras_mmembed.positions.grid_items import has_items

WHO = "MultiModalFusion"


def check_is_tensor(argument: str, value: Any) -> None:
    """Raise for lists of arrays and ragged tensors, which have no shape."""
    is_ragged = "Ragged" in type(value).__name__ or getattr(value, "ragged", False)
    fits = value is None or (hasattr(value, "shape") and not is_ragged)
    rule = "be a tensor or an array with one shape for all samples"
    remedy = "Pad samples of different sizes with pad_batch."
    received = type(value).__name__
    checks.check(fits, WHO, argument, rule, received, remedy, error=TypeError)


def check_terms(
    name: str, branch: ModalityBranch, values: Any, features_shape: Shape
) -> None:
    """Raise if the values of further terms do not fit the tokens of a modality."""
    place, known = f"terms[{name!r}]", list(branch.config.get("terms", {}))
    rule = f"be a dict of values for the terms {known}"
    is_dict, received = isinstance(values, dict), type(values).__name__
    checks.check(is_dict, WHO, place, rule, received, error=TypeError)
    for term, value in values.items():
        rule = f"name only the terms {known} of the configuration"
        checks.check(term in known, WHO, place, rule, repr(term))
        if value is None:
            continue
        check_is_tensor(f"{place}[{term!r}]", value)
        shape = checks.known_shape(value.shape)
        options = axes_with_batch(features_shape)
        listed = " or ".join(map(str, dict.fromkeys(options[:3])))
        options += axes_with_batch((1, *features_shape[1:]))
        fits = begins(shape, options)
        rule = f"begin with {listed}"
        config = branch.config["terms"][term]
        several = config.get("pooling") is not None
        axes = value_axes(config["layer"], several)
        if axes:
            # with several, ids of samples would look like those of tokens
            flat = (known_product(features_shape[1:-1]),)
            options += [] if several else [flat]
            kind = "integer" if isinstance(config["layer"], ID_TABLES) else "number"
            tensors.check_kind(WHO, f"{place}[{term!r}]", value, kind)
            fits = any(
                checks.shapes_match(shape, (*one, *more))
                for one in options
                for more in axes
            )
            more = " or ".join(map(str, axes))
            rule = f"be {listed}" if axes == [()] else f"be {listed}, then {more}"
        checks.check(fits, WHO, f"{place}[{term!r}].shape", rule, shape)


def check_argument(
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
        tensors.check_range(WHO, place, value, 0, 2)
    if argument == "mask":
        tensors.check_flags(WHO, place, value)
    if argument == "masked":
        rule = "be left out, because the configuration has no mask_token"
        has_token = branch.config.get("mask_token", False)
        checks.check(has_token, WHO, place, rule, shape)
        is_bool = keras.backend.standardize_dtype(value.dtype) == "bool"
        rule = "be bool, true at the tokens that the mask token replaces"
        tensors.check_dtype(WHO, place, value, is_bool, rule)
    allowed = {
        "present": [batch],
        "masked": [batch + tokens, batch + flat],
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
    rule = f"be {axes} integers, or have the shape ({axes},) or (batch, {axes}), "
    rule += f"or (batch, items, {axes})"
    if not hasattr(grid, "shape"):
        fits = isinstance(grid, tuple) and len(grid) == axes
        checks.check(fits, WHO, place, rule, repr(grid))
        is_inside = all(size >= 0 for size in grid)
        checks.check(is_inside, WHO, place, "have sizes of at least 0", grid)
        return
    tensors.check_kind(WHO, place, grid, "integer")
    options = ((axes,), (features_shape[0], axes), (features_shape[0], None, axes))
    fits = any(checks.shapes_match(received, option) for option in options)
    checks.check(fits, WHO, f"{place}.shape", rule, received)
    tokens = features_shape[1:-1]
    if has_items(grid):
        rule = f"be (batch, {axes}) for inputs with an axis for each of a grid"
        remedy = "Several items come one behind the other, as (batch, tokens, dim)."
        checks.check(len(tokens) == 1, WHO, f"{place}.shape", rule, received, remedy)
    values = tensors.known_values(grid)
    if values is None:
        return
    remedy = "Tokens that an image does not have come after its own."
    for axis, size in enumerate(tokens if len(tokens) > 1 else [None] * axes):
        high = np.inf if size is None else size + 1
        tensors.check_range(WHO, place, values[..., axis], 0, high, remedy)
    if len(tokens) == 1 and tokens[0] is not None:
        # not integers, of which a product may be too large
        cells = values.astype("float64").prod(axis=-1)
        cells = cells.sum(axis=-1) if has_items(grid) else cells
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
    tensors.check_range(WHO, place, start, 0, checks.LARGEST)


def check_placeholders(
    layout: Layout, name: str, value: Tensor, shapes: Mapping[str, Shape]
) -> None:
    """Raise unless placeholders mark tokens of the other modality of the call."""
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


def check_present(
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


def check_apart(
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
