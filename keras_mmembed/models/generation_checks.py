"""Checks of `MultiModalTransformer.generate`, before any step."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_mmembed.common import checks
from keras_mmembed.common.sequences import as_mask
from keras_mmembed.fusion.standardize import NAMES
from keras_mmembed.models.logits import last_modality
from keras_mmembed.models.model_call import ENCODED

GENERATE = "MultiModalTransformer"
# of a call, those that a prompt may have
CALL_ARGUMENTS = (*NAMES[1:], *ENCODED)


def growing_modality(model: Any) -> str:
    """Return the name of the modality whose tokens a model generates, or raise."""
    fusion = model.fusion
    name = last_modality(fusion)
    config, prefix = fusion.branch(name).config, model.rules["prefix"]
    rule = "be True: a token may not attend to those that do not exist yet"
    checks.check(model.rules["causal"], GENERATE, "causal", rule, False)
    rule = f"not hold {name!r}, whose tokens are generated"
    checks.check(name not in prefix, GENERATE, "prefix", rule, list(prefix))
    rule = f"have a 'vocabulary_size' for {name!r}, whose tokens come last"
    fits, received = "vocabulary_size" in config, sorted(config)
    checks.check(fits, GENERATE, "modality_configs", rule, received)
    rule = f"have no 'end_token' for {name!r}, behind which nothing grows"
    fits = not fusion.layout.borders[name][1]
    checks.check(fits, GENERATE, "modality_configs", rule, received)
    branch = fusion.branch(name)
    rule = "not depend on the tokens behind, as a convolution does"
    fits = branch.conv_position is None
    checks.check(fits, GENERATE, f"modality_configs[{name!r}]", rule, "position")
    rule, fits = 'be "tokens": each token has logits', model.pooling == "tokens"
    checks.check(fits, GENERATE, "pooling", rule, repr(model.pooling))
    width = model.head_size or model.tied_size
    rule = f"be {config['vocabulary_size']}, the vocabulary_size of {name!r}"
    fits = width == config["vocabulary_size"]
    remedy = "Or set tie_embeddings=True."
    checks.check(fits, GENERATE, "num_outputs", rule, model.num_outputs, remedy)
    return name


def check_sampling(
    temperature: Any, top_k: Any, top_p: Any, seed: Any
) -> dict[str, Any]:
    """Return the arguments of `Sampling`, or raise."""
    if temperature != 0 or isinstance(temperature, bool):
        # 0 is the bound that it excludes
        temperature = checks.check_number(GENERATE, "temperature", temperature, 0)
    checks.check_integer(GENERATE, "top_k", top_k, optional=True)
    if top_p is not None:
        checks.check_number(GENERATE, "top_p", top_p, 0, 1)
        rule = "lie in (0, 1]"
        checks.check(top_p > 0, GENERATE, "top_p", rule, top_p)
    for name, value in {"top_k": top_k, "top_p": top_p}.items():
        rule = "be None with temperature=0, which draws nothing"
        fits = value is None or temperature > 0
        checks.check(fits, GENERATE, name, rule, value)
    checks.check_seed(GENERATE, seed)
    return {
        "temperature": float(temperature),
        "top_k": top_k,
        "top_p": top_p,
        "seed": seed,
    }


def check_stop_ids(stop_ids: Any, vocabulary_size: int) -> tuple[int, ...]:
    """Return the ids behind which a sample is finished, as integers."""
    if stop_ids is None:
        return ()
    listed = stop_ids if isinstance(stop_ids, (list, tuple)) else [stop_ids]
    rule = "be an id, or a list of at least one"
    checks.check(len(listed) > 0, GENERATE, "stop_ids", rule, repr(stop_ids))
    found = []
    for value in listed:
        one = checks.check_integer(GENERATE, "stop_ids", value, 0)
        rule = f"be below the vocabulary_size {vocabulary_size}"
        checks.check(one < vocabulary_size, GENERATE, "stop_ids", rule, one)
        found.append(one)
    return tuple(found)


def padding_of(config: Mapping[str, Any], stop_ids: Sequence[int]) -> int:
    """Return the id that stands behind the end of a sample."""
    return config.get("padding_id", stop_ids[0] if stop_ids else 0)


def check_lengths(
    model: Any, name: str, fused_length: int, max_new_tokens: Any, max_length: Any
) -> tuple[int, int]:
    """Return the numbers of new tokens and of slots, or raise if they do not fit."""
    new = checks.check_integer(GENERATE, "max_new_tokens", max_new_tokens)
    slots = checks.check_integer(GENERATE, "max_length", max_length, optional=True)
    needed = fused_length + new
    slots = needed if slots is None else slots
    rule = f"be at least {needed}, for {fused_length} tokens of the prompt and {new}"
    checks.check(slots >= needed, GENERATE, "max_length", rule, slots)
    return new, slots


def check_ids(name: str, inputs: Mapping[str, Any]) -> None:
    """Raise unless there is a prompt of ids of the modality that grows."""
    rule = f"have ids of {name!r}, such as a start token"
    ids = inputs.get(name)
    shape: Sequence[Any] = () if ids is None else checks.known_shape(ids.shape)
    fits = len(shape) == 2 and shape[1] != 0
    checks.check(fits, GENERATE, "inputs", rule, sorted(inputs))


def check_table(
    model: Any,
    name: str,
    inputs: Mapping[str, Any],
    arguments: Mapping[str, Any],
    new: int,
) -> None:
    """Raise unless the table of positions has a row for each token that follows."""
    branch = model.fusion.branch(name)
    table = branch.position
    size = getattr(table, "max_length", None)
    if size is None or table.out_of_range != "error":
        return
    behind = _last_position(branch, inputs[name], name, arguments) + 1
    # the last token is not embedded
    most = max(size - behind + 1, 0)
    rule = f"be at most {most}: the positions of {name!r} end at {size - 1}"
    remedy = "Make the table longer, or pass shorter prompts."
    checks.check(new <= most, GENERATE, "max_new_tokens", rule, new, remedy)


def _last_position(
    branch: Any, ids: Any, name: str, arguments: Mapping[str, Any]
) -> int:
    """Return the largest position of a prompt, as far as it is known."""
    given = {key: arguments.get(key, {}).get(name) for key in ("positions", "mask")}
    if given["positions"] is not None:
        return int(np.max(keras.ops.convert_to_numpy(given["positions"])))
    valid = np.ones(tuple(ids.shape), bool)
    if "padding_id" in branch.config:
        valid = keras.ops.convert_to_numpy(ids) != branch.config["padding_id"]
    if given["mask"] is not None:
        mask = as_mask(given["mask"], ids)
        valid = valid & keras.ops.convert_to_numpy(mask).astype(bool)
    places = np.where(valid, np.arange(valid.shape[-1]), 0)
    first = int(branch.counts_special) * branch.borders[0]
    return int(np.max(places, initial=0)) + first
