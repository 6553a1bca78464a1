"""Recipes: which published tensor goes into which weight, as data."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

import numpy as np

from keras_mmembed.common import checks

# where the values of a weight come from, as `load_published_weights` describes it
Origin: TypeAlias = Any
Function: TypeAlias = Callable[..., np.ndarray]


class Recipe(TypedDict, total=False):
    """What `load_published_weights` needs to know of a published model."""

    weights: Mapping[str, Origin]
    unused: Sequence[str]
    prefixes: Sequence[str]


KEYS = ("weights", "unused", "prefixes")


def check_recipe(who: str, recipe: Any) -> Recipe:
    """Return a recipe of the user's own, each of whose parts is of a known kind."""
    rule = "be a dict, or the name of a recipe"
    is_dict = isinstance(recipe, Mapping)
    checks.check(is_dict, who, "recipe", rule, repr(recipe), error=TypeError)
    has_weights = isinstance(recipe.get("weights"), Mapping)
    rule = "have a dict of `weights`"
    checks.check(has_weights, who, "recipe", rule, repr(recipe))
    for key in recipe:
        checks.check_choice(who, "recipe", key, KEYS)
    for key in ("unused", "prefixes"):
        names, argument = recipe.get(key, ()), f"recipe[{key!r}]"
        fits = isinstance(names, (list, tuple)) and all(
            isinstance(name, str) for name in names
        )
        rule = "be a list of names"
        checks.check(fits, who, argument, rule, repr(names), error=TypeError)
    for pattern, origin in recipe["weights"].items():
        fits = isinstance(pattern, str) and is_origin(origin)
        rule = "map paths of weights to names, tuples of a function and names, lists"
        rule = f"{rule} of such, numbers or None"
        received = f"{{{pattern!r}: {origin!r}}}"
        argument = "recipe['weights']"
        checks.check(fits, who, argument, rule, received, error=TypeError)
    return Recipe(**{key: recipe[key] for key in KEYS if key in recipe})


def is_origin(origin: Any) -> bool:
    """Whether a value of a recipe says where a weight comes from."""
    if origin is None or isinstance(origin, (str, int, float)):
        return True
    if isinstance(origin, tuple):
        is_call = len(origin) > 1 and callable(origin[0])
        return is_call and all(isinstance(name, str) for name in origin[1:])
    is_list = isinstance(origin, list) and len(origin) > 0
    return is_list and all(is_origin(o) and not isinstance(o, list) for o in origin)


def names_of(origin: Origin) -> tuple[str, ...]:
    """Return the names of the tensors in one origin that is no list."""
    if isinstance(origin, str):
        return (origin,)
    return origin[1:] if isinstance(origin, tuple) else ()


def names_in(origin: Origin) -> list[str]:
    """Return the names of all tensors that an origin may be made of."""
    listed = origin if isinstance(origin, list) else [origin]
    return [name for one in listed for name in names_of(one)]


class Patterns:
    """Patterns with `{i}` for numbers and `*` for anything, in the order of a recipe.

    Args:
        patterns: Patterns, each with what it stands for.
    """

    def __init__(self, patterns: Mapping[str, Any]) -> None:
        self._exact: dict[str, Any] = dict(patterns)
        self._open: list[tuple[re.Pattern[str], Any]] = [
            (_expression(pattern), value)
            for pattern, value in patterns.items()
            if re.search(r"\*|\{\w\}", pattern)
        ]

    def find(self, text: str) -> tuple[Any, dict[str, str]] | None:
        """Return what the first pattern that fits stands for, and its numbers."""
        if text in self._exact:
            return self._exact[text], {}
        for expression, value in self._open:
            found = expression.fullmatch(text)
            if found:
                return value, found.groupdict()
        return None


def filled(origin: Origin, numbers: Mapping[str, str]) -> Origin:
    """Return an origin with numbers in place of `{i}`."""
    if isinstance(origin, str):
        for key, number in numbers.items():
            origin = origin.replace(f"{{{key}}}", number)
        return origin
    if isinstance(origin, (tuple, list)):
        return type(origin)(filled(one, numbers) for one in origin)
    return origin


def _expression(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression."""
    seen: set[str] = set()

    def translate(part: re.Match[str]) -> str:
        key = part.group(1)
        if part.group() == "*":
            return ".*"
        if key is None:
            return re.escape(part.group())
        again, _ = key in seen, seen.add(key)
        return f"(?P={key})" if again else rf"(?P<{key}>\d+)"

    return re.compile(re.sub(r"\{(\w)\}|\*|[^{*]+|\{", translate, pattern))


def rows(start: int, stop: int | None = None) -> Function:
    """Return a function that takes some rows of a table."""

    def function(table: np.ndarray) -> np.ndarray:
        return table.reshape(-1, table.shape[-1])[start:stop]

    return function


def part(number: int, of: int = 3) -> Function:
    """Return a function that takes one of several equal parts of the first axis.

    Such are queries, keys and values that come from one projection.
    """

    def function(tensor: np.ndarray) -> np.ndarray:
        return np.split(tensor, of)[number]

    return function


def total(*tensors: np.ndarray) -> np.ndarray:
    """Return the sum of vectors of one width, each the only row of its tensor."""
    return np.sum([tensor.reshape(-1) for tensor in tensors], axis=0)


def at_row(number: int) -> Function:
    """Return a function that adds a row of a table to a token, as its position."""

    def function(token: np.ndarray, table: np.ndarray) -> np.ndarray:
        return total(token, rows(number, number + 1)(table))

    return function


def row_sum(*numbers: int) -> Function:
    """Return a function that adds up one row of each table."""

    def function(*tables: np.ndarray) -> np.ndarray:
        chosen = zip(tables, numbers, strict=True)
        return total(*(rows(number, number + 1)(table) for table, number in chosen))

    return function


def over_frames(kernel: np.ndarray) -> np.ndarray:
    """Return the kernel of a convolution over frames for a clip of one image."""
    return kernel.sum(axis=2)


def collapsed(names: Iterable[str]) -> str:
    """Return names for a message, with `{i}` for the numbers that differ."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(re.sub(r"\d+", "{i}", name), []).append(name)
    return ", ".join(
        repr(group[0]) if len(group) == 1 else f"{key!r} ({len(group)} of them)"
        for key, group in groups.items()
    )
