"""The arguments of `rotary_positions`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_mmembed.attention.position_rules import (
    POSITION_RULE_NAMES,
    POSITION_RULES,
    PositionRule,
)
from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Tensor
from keras_mmembed.positions.call_arguments import as_array, standardize_start

WHO = "rotary_positions"


def check_rotary_call(
    fused: Any,
    rule: Any,
    modalities: Any,
    grids: Any,
    audio: Any,
    example_ids: Any,
    repeats: Any,
    return_next: Any,
) -> tuple[list[int] | None, list[int]]:
    """Raise for wrong arguments; return the ids of grids, if named, and of audio."""
    checks.check_choice(WHO, "rule", rule, POSITION_RULE_NAMES)
    checks.check_flag(WHO, "return_next", return_next)
    rules = POSITION_RULES[rule]
    needs_grids = rules.counting == "items" or rules.keeps_order
    if grids is None:
        wording = f"name the modalities that are images or clips, for rule={rule!r}"
        checks.check(not needs_grids, WHO, "grids", wording, None)
    else:
        wording = f"be None with rule={rule!r}"
        checks.check(rule != "sequence", WHO, "grids", wording, repr(grids))
    if isinstance(audio, (list, tuple)) and audio:
        wording = f"be empty with rule={rule!r}"
        checks.check(rules.shares_clock, WHO, "audio", wording, repr(audio))
    if rules.counting == "none":
        wording = f"be None with rule={rule!r}"
        for name, value in {"example_ids": example_ids, "repeats": repeats}.items():
            checks.check(value is None, WHO, name, wording, type(value).__name__)
        wording = f"be False with rule={rule!r}"
        checks.check(not return_next, WHO, "return_next", wording, True)
    _check_tokens("example_ids", example_ids, fused, "integer")
    _check_tokens("repeats", repeats, fused, "bool")
    named = None if grids is None else _ids("grids", grids, modalities)
    sounds = _ids("audio", audio, modalities)
    both = [name for name in audio if name in (grids or ())]
    checks.check(not both, WHO, "audio", f"not hold {both}, which are grids", audio)
    return named, sounds


def standardize_fused(fused: Any, modalities: Any) -> dict[str, Tensor]:
    """Return what a fusion returns as tensors or arrays; raise unless it is that."""
    keys = ("mask", "modality_ids", "positions")
    checks.check_fused(WHO, fused, keys)
    is_list = isinstance(modalities, (list, tuple))
    fits = is_list and all(isinstance(name, str) for name in modalities)
    rule = "be a list of names, such as fusion.modalities"
    checks.check(fits, WHO, "modalities", rule, repr(modalities), error=TypeError)
    fits = len(set(modalities)) == len(modalities)
    checks.check(fits, WHO, "modalities", "have each name once", repr(modalities))
    if fused.get("item_ids") is not None:
        keys = (*keys, "item_ids")
    tables = {key: as_array(WHO, f"fused[{key!r}]", fused[key]) for key in keys}
    mask = tables["mask"]
    tensors.check_flags(WHO, "fused['mask']", mask)
    expected = checks.known_shape(mask.shape)
    checks.check_rank(WHO, "fused['mask'].shape", expected, (2,), "(batch, length)")
    for key in keys[1:]:
        name, table = f"fused[{key!r}]", tables[key]
        kind = "number" if key == "positions" else "integer"
        tensors.check_kind(WHO, name, table, kind)
        shape = checks.known_shape(table.shape)
        whole = (*expected, 3) if key == "positions" else expected
        fits = checks.shapes_match(shape, whole)
        checks.check(fits, WHO, f"{name}.shape", f"be {whole}", shape)
        tensors.check_range(WHO, name, table, -(2**31), 2**31)
    last = len(modalities) or 2**31
    tensors.check_range(WHO, "fused['modality_ids']", tables["modality_ids"], -1, last)
    return {**fused, **tables}


def standardize_rates(
    rules: PositionRule,
    rate: Any,
    modalities: Sequence[str],
    fused: Mapping[str, Tensor],
) -> dict[int | None, Tensor]:
    """Return rates by id of a modality, or by `None` for all."""
    batch, length = checks.known_shape(fused["mask"].shape)
    if rate is None:
        return {}
    wording = "be None with a rule that does not use time"
    checks.check(rules.has_rate, WHO, "rate", wording, repr(rate))
    if not isinstance(rate, dict):
        return {None: _standardize_rate("rate", rate, batch, length)}
    known = [name for name in rate if isinstance(name, str) and name in modalities]
    wording = f"hold only names among {list(modalities)}"
    checks.check(len(known) == len(rate), WHO, "rate", wording, repr(list(rate)))
    return {
        modalities.index(name): _standardize_rate(f"rate[{name!r}]", one, batch, length)
        for name, one in rate.items()
    }


def standardize_first(fused: Mapping[str, Tensor], start_index: Any) -> Tensor:
    """Return the first position as a tensor, of one number or of one per sample."""
    start = standardize_start(WHO, start_index)
    if not isinstance(start, int):
        shape, batch = checks.known_shape(start.shape), fused["mask"].shape[0]
        fits = shape in ((), (1,)) or checks.shapes_match(shape, (batch,))
        checks.check(fits, WHO, "start_index.shape", f"be () or ({batch},)", shape)
        tensors.check_range(WHO, "start_index", start, -(2**31), 2**31)
    else:
        wording = "lie in [-2147483648, 2147483648)"
        fits = -(2**31) <= start < 2**31
        checks.check(fits, WHO, "start_index", wording, start)
    return ops.convert_to_tensor(start)


def _standardize_rate(
    argument: str, rate: Any, batch: int | None, length: int | None
) -> Tensor:
    """Return a rate that broadcasts to `(batch, length)`, in float32."""
    if isinstance(rate, (int, float, np.number)) and not isinstance(rate, bool):
        return checks.check_number(WHO, argument, rate, 0)
    rate = as_array(WHO, argument, rate, "be numbers")
    tensors.check_kind(WHO, argument, rate, "number", "Cast it to numbers.")
    shape = checks.known_shape(rate.shape)
    fits = checks.shapes_match(shape, (batch,))
    fits = fits or checks.shapes_match(shape, (batch, length))
    wording = f"be ({batch},) or ({batch}, {length})"
    checks.check(fits, WHO, f"{argument}.shape", wording, shape)
    tensors.check_range(WHO, argument, rate, 0, np.inf)
    rate = ops.cast(rate, "float32")
    return ops.expand_dims(rate, 1) if len(shape) == 1 else rate


def _check_tokens(argument: str, value: Any, fused: Any, kind: Any) -> None:
    """Raise unless a value has an entry of a kind for each token."""
    if value is None:
        return
    tensor = as_array(WHO, argument, value)
    tensors.check_kind(WHO, argument, tensor, kind)
    shape = checks.known_shape(tensor.shape)
    expected = checks.known_shape(fused["mask"].shape)
    wording = f"have the shape {expected} of the fused mask"
    agrees = checks.shapes_match(shape, expected)
    checks.check(agrees, WHO, f"{argument}.shape", wording, shape)


def _ids(argument: str, names: Any, modalities: Any) -> list[int]:
    """Return the ids of named modalities."""
    known = list(modalities)
    is_list = isinstance(names, (list, tuple))
    fits = is_list and all(isinstance(n, str) and n in known for n in names)
    wording = f"hold only names among {known}"
    remedy = "" if known else "Pass `modalities=fusion.modalities`."
    checks.check(fits, WHO, argument, wording, repr(names), remedy)
    fits = len(set(names)) == len(names)
    checks.check(fits, WHO, argument, "have each name once", repr(names))
    return [known.index(name) for name in names]
