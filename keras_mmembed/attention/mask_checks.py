"""The arguments of `AttentionMask`."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_mmembed.attention.mask_rules import EVERYONE
from keras_mmembed.common import call_arguments, checks, tensors
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.positions.call_arguments import standardize_start

WHO = "AttentionMask"
KEYS = ("mask", "modality_ids")


def check_known(
    argument: str, names: Any, modalities: Sequence[str]
) -> tuple[str, ...]:
    """Return names as a tuple if each is a modality and comes once."""
    rule = f"hold only names among {list(modalities)}"
    is_list = isinstance(names, (list, tuple))
    known = [one for one in names if isinstance(one, str)] if is_list else []
    fits = is_list and len(known) == len(names)
    fits = fits and set(known) <= set(modalities)
    checks.check(fits, WHO, argument, rule, repr(names))
    is_single = len(set(names)) == len(names)
    checks.check(is_single, WHO, argument, "have each name once", repr(names))
    return tuple(names)


def check_hidden(hidden: Any, modalities: Sequence[str]) -> dict[str, list[str]]:
    """Return by modality, or by `"*"`, the names of those that it may not attend to."""
    rule = "be a dict of lists of names"
    is_dict = hidden is None or isinstance(hidden, dict)
    checks.check(is_dict, WHO, "hidden", rule, repr(hidden), error=TypeError)
    hidden = hidden or {}
    named = [name for name in hidden if name != EVERYONE]
    check_known("hidden", named, modalities)
    return {
        name: list(check_known(f"hidden[{name!r}]", keys, modalities))
        for name, keys in hidden.items()
    }


def standardize_fused(fused: Any) -> dict[str, Tensor]:
    """Return what a fusion returns, with lists of numbers as arrays."""
    checks.check_fused(WHO, fused, KEYS)
    as_array = call_arguments.as_array
    return {**fused, **{k: as_array(WHO, f"fused[{k!r}]", fused[k]) for k in KEYS}}


def standardize_query(query: Any) -> dict[str, Tensor]:
    """Return the ids of queries, with lists of numbers as arrays."""
    is_dict, rule = isinstance(query, dict), "be a dict of ids by name"
    checks.check(is_dict, WHO, "query", rule, repr(query), error=TypeError)
    rule, received = "have 'modality_ids'", sorted(query, key=str)
    checks.check("modality_ids" in query, WHO, "query", rule, received)
    keys = ["modality_ids"]
    if query.get("example_ids") is not None:
        keys.append("example_ids")
    return {
        key: call_arguments.as_array(WHO, f"query[{key!r}]", query[key]) for key in keys
    }


def check_call(
    fused: Mapping[str, Tensor],
    example_ids: Tensor | None,
    query: Mapping[str, Tensor] | None,
    start_index: Any,
    modalities: Sequence[str],
) -> None:
    """Raise unless the arguments of a call describe the same samples."""
    checks.check_fused(WHO, fused, KEYS)
    mask = fused["mask"]
    expected = checks.known_shape(mask.shape)
    checks.check_rank(WHO, "fused['mask'].shape", expected, (2,), "(batch, length)")
    tensors.check_flags(WHO, "fused['mask']", mask)
    of_mask = f"have the shape {expected} of the fused mask"
    _check_ids("fused['modality_ids']", fused["modality_ids"], expected, of_mask)
    _check_modalities("fused['modality_ids']", fused["modality_ids"], modalities)
    if example_ids is not None:
        _check_ids("example_ids", example_ids, expected, of_mask)
    if query is None:
        rule = "be left out without `query`"
        checks.check(start_index is None, WHO, "start_index", rule, repr(start_index))
    else:
        _check_query(query, example_ids, start_index, expected, modalities)


def _check_query(
    query: Mapping[str, Tensor],
    example_ids: Tensor | None,
    start_index: Any,
    keys_shape: Shape,
    modalities: Sequence[str],
) -> None:
    batch, length = keys_shape
    argument, ids = "query['modality_ids']", query["modality_ids"]
    shape = checks.known_shape(ids.shape)
    of_keys = f"be ({batch}, query length), as fused['mask']"
    _check_ids(argument, ids, (batch, None), of_keys)
    _check_modalities(argument, ids, modalities)
    queries = shape[1]
    fits = queries is None or length is None or queries <= length
    rule = f"have at most {length} tokens, the number of keys"
    checks.check(fits, WHO, f"{argument}.shape", rule, shape)
    rule = "have 'example_ids' if, and only if, the call has `example_ids`"
    agrees = ("example_ids" in query) == (example_ids is not None)
    checks.check(agrees, WHO, "query", rule, sorted(query))
    if example_ids is not None:
        rule = f"have the shape {shape} of query['modality_ids']"
        _check_ids("query['example_ids']", query["example_ids"], shape, rule)
    remedy = "It is the index among the keys of the first query."
    is_given = start_index is not None
    rule = "be given with `query`"
    checks.check(is_given, WHO, "start_index", rule, None, remedy)
    start = standardize_start(WHO, start_index)
    end = 2**31 if queries is None or length is None else length - queries + 1
    if isinstance(start, int):
        fits, rule = 0 <= start < end, f"lie in [0, {end})"
        checks.check(fits, WHO, "start_index", rule, start, remedy)
        return
    shape = checks.known_shape(start.shape)
    fits = shape == () or checks.shapes_match(shape, (batch,))
    checks.check(fits, WHO, "start_index.shape", f"be () or ({batch},)", shape)
    tensors.check_range(WHO, "start_index", start, 0, end, remedy)


def _check_modalities(argument: str, ids: Tensor, modalities: Sequence[str]) -> None:
    remedy = f"The modalities are {list(modalities)}; -1 is a special token."
    tensors.check_range(WHO, argument, ids, -1, len(modalities), remedy)


def _check_ids(argument: str, ids: Tensor, expected: Shape, rule: str) -> None:
    tensors.check_kind(WHO, argument, ids, "integer")
    shape = checks.known_shape(ids.shape)
    agrees = checks.shapes_match(shape, expected)
    checks.check(agrees, WHO, f"{argument}.shape", rule, shape)
