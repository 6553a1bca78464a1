"""The options of a position layer, checked and joined with those of its convention."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from keras_mmembed.common import checks
from keras_mmembed.positions.combination import Terms
from keras_mmembed.positions.conventions import (
    CONVENTIONS,
    KINDS,
    AxisKind,
    Combination,
    Convention,
    ConventionName,
)
from keras_mmembed.positions.grid_spec import GridSpec
from keras_mmembed.positions.interpolation import Kernel
from keras_mmembed.positions.size_checks import LARGEST

Value = TypeVar("Value")

# the arguments of a position layer but sizes and initializer, as configurations list
NAMES = (
    "kind",
    "convention",
    "combination",
    "axis_order",
    "cosine_first",
    "offset",
    "scale",
    "max_wavelength",
    "interpolation",
    "antialias",
    "align_corners",
    "out_of_range",
    "num_prefix_tokens",
    "block_size",
)


def check_kinds(who: str, kind: Any, names: Sequence[str]) -> tuple[AxisKind, ...]:
    """Return the kind of encoding of each axis, `None` for an axis without one."""
    if isinstance(kind, Mapping):
        rule = f"have a kind for each of {tuple(names)}"
        checks.check(set(kind) == set(names), who, "kind", rule, dict(kind))
        kind = [kind[name] for name in names]
    if isinstance(kind, (list, tuple)):
        rule = f"have a kind for each of {tuple(names)}"
        checks.check(len(kind) == len(names), who, "kind", rule, list(kind))
        rule = "encode one axis at least"
        checks.check(any(kind), who, "kind", rule, list(kind))
        choices = (*KINDS, None)
        return tuple(checks.check_choice(who, "kind", one, choices) for one in kind)
    return (checks.check_choice(who, "kind", kind, KINDS),) * len(names)


def check_scale(who: str, scale: Any, names: Sequence[str]) -> tuple[float, ...]:
    """Return the factor of the positions along each axis."""
    if not isinstance(scale, (list, tuple)):
        return (checks.check_number(who, "scale", scale, 0),) * len(names)
    rule = f"have a number for each of {tuple(names)}"
    checks.check(len(scale) == len(names), who, "scale", rule, list(scale))
    return tuple(checks.check_number(who, "scale", one, 0) for one in scale)


def check_offset(who: str, offset: Any) -> float | None:
    """Return the position of the first token, or `None` for that of the convention."""
    if offset is None:
        return None
    value = checks.check_number(who, "offset", offset, 0, LARGEST)
    return int(value) if value == int(value) else value


def check_cosine(who: str, cosine_first: Any) -> bool | None:
    """Return whether cosines come first, or `None` for the order of the convention."""
    if cosine_first is None:
        return None
    return checks.check_flag(who, "cosine_first", cosine_first)


def check_combination(
    who: str,
    combination: Any,
    combinations: Sequence[Combination],
    kinds: Sequence[AxisKind],
) -> Combination | None:
    """Return how axes are combined, or `None` for that of the convention."""
    has_table = set(kinds) == {"learned"}
    choices = [name for name in combinations if has_table or name != "joint"]
    return checks.check_choice(who, "combination", combination, (None, *choices))


def shortest(values: tuple[Value, ...]) -> Value | tuple[Value, ...]:
    """Return the value of all axes, or those of each."""
    return values if len(set(values)) > 1 else values[0]


def check_axis_order(
    who: str, axis_order: Any, names: Sequence[str]
) -> tuple[str, ...] | None:
    """Return the axes in the order of their channels, or `None`."""
    if axis_order is None:
        return None
    rule = f"have each of {tuple(names)} once"
    is_list = isinstance(axis_order, (list, tuple)) and len(names) > 1
    fits = is_list and sorted(map(str, axis_order)) == sorted(names)
    checks.check(fits, who, "axis_order", rule, repr(axis_order))
    return tuple(axis_order)


def check_convention(
    who: str, convention: Any, kinds: Sequence[AxisKind]
) -> ConventionName:
    """Return the name of a convention that has encodings of these kinds and axes."""
    checks.check_choice(who, "convention", convention, tuple(CONVENTIONS))
    fitting = tuple(
        name
        for name, rules in CONVENTIONS.items()
        if len(kinds) in rules.ranks and _has_kinds(rules, set(kinds))
    )
    return checks.check_choice(who, "convention", convention, fitting)


def _has_kinds(rules: Convention, kinds: set[AxisKind]) -> bool:
    """Whether a convention has encodings of one kind, or of several at once."""
    if len(kinds) == 1:
        return kinds <= set(rules.kinds)
    return rules.encodes_axes_alone


def resolve(
    convention: ConventionName,
    names: Sequence[str],
    axis_order: Sequence[str] | None,
    cosine_first: bool | None,
    offset: float | None,
) -> Convention:
    """Return the rules of a convention with those that options replace."""
    rules = CONVENTIONS[convention]
    if axis_order is not None:
        order = tuple(list(names).index(name) for name in axis_order)
        spatial = tuple(axis - 1 for axis in order if axis)
        orders = {2: order} if len(order) == 2 else {3: order, 2: spatial}
        rules = replace(rules, axis_order=orders)
    if cosine_first is not None:
        rules = replace(rules, cosine_first=cosine_first)
    return rules if offset is None else replace(rules, first_index=offset)


def make_spec(
    layer: Any, kinds: tuple[AxisKind, ...], scales: tuple[float, ...]
) -> GridSpec:
    """Return the arguments of a position layer as one value."""
    names = layer.size_names
    rules = resolve(
        layer.convention, names, layer.axis_order, layer.cosine_first, layer.offset
    )
    return GridSpec(
        who=type(layer).__name__,
        size_names=names,
        sizes=tuple(getattr(layer, name) for name in names),
        kinds=kinds,
        convention=layer.convention,
        rules=rules,
        scale=scales,
        kernel=Kernel(layer.interpolation, layer.antialias, layer.align_corners),
        out_of_range=layer.out_of_range,
        num_prefix_tokens=layer.num_prefix_tokens,
        block_size=layer.block_size,
    )


def check_effects(layer: Any, spec: GridSpec, terms: Terms) -> None:
    """Raise for options that would have no effect, or none that is defined.

    Args:
        layer: The position layer, with the arguments of its constructor.
        spec: The same arguments as one value.
        terms: The terms of its encoding.
    """
    who, rules, convention = spec.who, spec.rules, spec.convention
    combination, axis_order = layer.combination, layer.axis_order
    cosine_first, offset = layer.cosine_first, layer.offset
    is_joined = any(len(term) > 1 for term in terms)
    if CONVENTIONS[convention].combination.get(2) == "concat":
        rule = (
            f"concatenate axes with convention={convention!r}, which says their order"
        )
        checks.check(is_joined, who, "combination", rule, repr(combination))
    rule = "be None where no axes are concatenated"
    remedy = "Set combination='concat' for it."
    fits = axis_order is None or is_joined
    checks.check(fits, who, "axis_order", rule, repr(axis_order), remedy)
    has_sines = "sinusoidal" in spec.kinds and not rules.linear_frequencies
    rule = "be None without pairs of a sine and a cosine"
    fits = cosine_first is None or has_sines
    checks.check(fits, who, "cosine_first", rule, repr(cosine_first))
    _check_offset_effect(spec, offset)
    rule = "be 1 for a single axis, which has no blocks"
    fits = spec.block_size == 1 or spec.rank > 1
    checks.check(fits, who, "block_size", rule, spec.block_size)
    rule = f"be 1 with convention={convention!r}, which counts valid tokens row by row"
    fits = spec.block_size == 1 or not rules.skips_masked
    checks.check(fits, who, "block_size", rule, spec.block_size)
    rule = f"be 1 with convention={convention!r}, which counts with the sizes of axes"
    is_same = len(set(spec.scale)) == 1
    received = spec.scale[0] if is_same else list(spec.scale)
    is_one = all(scale == 1 for scale in spec.scale)
    fits = is_one or not rules.depends_on_size
    checks.check(fits, who, "scale", rule, received)
    rule = f"be 1 with out_of_range={spec.out_of_range!r}, which has a scale of its own"
    checks.check(is_one or not spec.resizes, who, "scale", rule, received)
    axes = zip(spec.kinds, spec.scale, strict=True)
    fits = spec.kernel.interpolation or not any(
        kind == "learned" and scale != 1 for kind, scale in axes
    )
    rule = "be 1 along learned axes without interpolation"
    remedy = "Set interpolation='bilinear'."
    checks.check(fits, who, "scale", rule, received, remedy)


def _check_offset_effect(spec: GridSpec, offset: float | None) -> None:
    if offset is None:
        return
    rules, convention = spec.rules, spec.convention
    rule = f"be None with convention={convention!r}, which has no first position"
    fits = not rules.linear_frequencies and rules.indexing == "axes"
    checks.check(fits, spec.who, "offset", rule, offset)
    rule = "be whole with learned tables, whose rows it counts"
    fits = isinstance(offset, int) or not spec.has_tables
    checks.check(fits, spec.who, "offset", rule, offset)
