"""What a relative position bias demands of its sizes."""

from typing import Any

from keras_mmembed.attention.bias_conventions import BiasConvention, BiasTerm
from keras_mmembed.common import checks

WHO = "RelativePositionBias"


def make_terms(
    rules: BiasConvention, num_buckets: Any, max_distance: Any, bidirectional: bool
) -> list[BiasTerm]:
    """Return the tables of buckets, with the sizes of the layer."""
    terms = []
    for place, term in enumerate(rules.terms):
        number = _one_of(num_buckets, place, term.num_buckets)
        far = _one_of(max_distance, place, term.max_distance)
        # each direction has at least one exact and one logarithmic bucket
        directions = 2 if bidirectional else 1
        rule = f"be a multiple of {directions}, and at least {2 * directions}"
        fits = number % directions == 0 and number >= 2 * directions
        checks.check(fits, WHO, "num_buckets", rule, number)
        exact = number // directions // 2
        rule = f"be greater than {exact}, the distances with a bucket each"
        checks.check(far > exact, WHO, "max_distance", rule, far)
        terms.append(BiasTerm(term.name, number, far))
    return terms


def check_per_term(
    rules: BiasConvention, convention: str, argument: str, value: Any
) -> Any:
    """Return an integer, or a tuple of one for each table of buckets."""
    if value is None:
        return None
    terms = len(rules.terms)
    rule = f"be None with convention={convention!r}"
    checks.check(terms, WHO, argument, rule, repr(value))
    if not isinstance(value, (list, tuple)):
        return checks.check_integer(WHO, argument, value)
    rule = f"be an integer, or {terms} of them"
    checks.check(len(value) == terms, WHO, argument, rule, repr(value))
    return tuple(checks.check_integer(WHO, argument, one) for one in value)


def check_grid(
    rules: BiasConvention, convention: str, grid: Any
) -> tuple[int, ...] | None:
    """Return the sizes of the grid of a convention that has one."""
    if rules.kind != "grid":
        rule = f"be None with convention={convention!r}"
        checks.check(grid is None, WHO, "grid", rule, repr(grid))
        return None
    rule = "be a list of one to three integers"
    is_list = isinstance(grid, (list, tuple)) and 1 <= len(grid) <= 3
    checks.check(is_list, WHO, "grid", rule, repr(grid))
    return tuple(checks.check_integer(WHO, "grid", size) for size in grid)


def _one_of(value: Any, place: int, default: int) -> int:
    """Return the value of one table of buckets."""
    if value is None:
        return default
    return value[place] if isinstance(value, tuple) else value
