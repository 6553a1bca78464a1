"""Generation: the tokens of an answer, one after another."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.types import Tensor
from keras_mmembed.fusion.standardize import SIZES, standardize
from keras_mmembed.models.compiled import compiled
from keras_mmembed.models.decoding import prefill, step
from keras_mmembed.models.generation_checks import (
    CALL_ARGUMENTS,
    GENERATE,
    check_ids,
    check_lengths,
    check_stop_ids,
    check_table,
    growing_modality,
    padding_of,
)
from keras_mmembed.models.model_call import standardize_encoded
from keras_mmembed.models.sampling import choose


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: What logits are divided by; 0 for the most likely token.
        top_k: How many of the most likely tokens can be drawn, `None` for all.
        top_p: The least probability that these have together, `None` for all.
        seed: Seed of the random numbers, `None` for a random one.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None


class Decoder:
    """The compiled functions of a model that generates, for one kind of sampling.

    Args:
        model: The model.
        sampling: How the next token is chosen.
    """

    def __init__(self, model: Any, sampling: Sampling) -> None:
        is_random, top_k = sampling.temperature > 0, sampling.top_k
        has_top_p = sampling.top_p is not None

        def pick(logits: Tensor, chance: Mapping[str, Tensor]) -> Tensor:
            if not is_random:
                return choose(logits)
            top_p = chance["top_p"] if has_top_p else None
            return choose(logits, chance["number"], chance["temperature"], top_k, top_p)

        def begin(
            inputs: Any, arguments: Any, slots: Tensor, chance: Any
        ) -> tuple[Tensor, Any]:
            logits, state = prefill(model, inputs, arguments, slots.shape[0])
            return pick(logits, chance), state

        def proceed(
            caches: Any, ids: Tensor, state: Any, index: Any, chance: Any
        ) -> tuple[Tensor, Any]:
            logits, state = step(model, ids, {**state, "caches": caches}, index)
            return pick(logits, chance), state

        self.begin: Callable[..., Any] = compiled(model, begin)
        self._proceed = compiled(model, proceed, num_owned=1)

    def proceed(
        self, ids: Tensor, state: Any, index: Any, chance: Any
    ) -> tuple[Tensor, Any]:
        """Return the next tokens and the new state; the caches of the old are gone."""
        rest = {name: value for name, value in state.items() if name != "caches"}
        return self._proceed(state["caches"], ids, rest, index, chance)


def decoder_of(model: Any, sampling: Sampling) -> Decoder:
    """Return the compiled functions of a model, those of the call before if they fit.

    Quantization, LoRA and other changes of the variables make new ones.
    """
    kind = (sampling.temperature > 0, sampling.top_k, sampling.top_p is not None)
    variables = tuple(id(variable) for variable in model.variables)
    kept = getattr(model, "_decoder", None)
    if kept is None or kept.key != (kind, variables):
        kept = _Kept((kind, variables), Decoder(model, sampling))
        # not tracked by Keras, and no part of a file
        object.__setattr__(model, "_decoder", kept)
    return kept.decoder


@dataclass(frozen=True)
class _Kept:
    key: Any
    decoder: Decoder


def begin_generation(
    model: Any,
    inputs: Mapping[str, Any],
    arguments: Mapping[str, Any],
    max_new_tokens: Any,
    max_length: Any,
    stop_ids: Any,
    sampling: Mapping[str, Any],
) -> Iterator[np.ndarray]:
    """Return an iterator over new tokens; raise for wrong arguments at once.

    The arguments are those of `MultiModalTransformer.generate`.
    """
    name = growing_modality(model)
    inputs, arguments = standardize_prompt(model, inputs, arguments)
    check_ids(name, inputs)
    config = model.fusion.branch(name).config
    stops = check_stop_ids(stop_ids, config["vocabulary_size"])
    length = model.compute_output_spec(inputs, **arguments).shape[1]
    new, slots = check_lengths(model, name, length, max_new_tokens, max_length)
    check_table(model, name, inputs, arguments, new)
    padding = padding_of(config, stops)
    chosen = Sampling(**sampling)
    return generate_tokens(
        model, inputs, arguments, length, new, slots, chosen, stops, padding
    )


def standardize_prompt(
    model: Any, inputs: Any, arguments: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the arguments of a call as structures of arrays; build the model."""
    for name, value in arguments.items():
        rule = f"be left out: the arguments of a call are {', '.join(CALL_ARGUMENTS)}"
        fits = name in CALL_ARGUMENTS
        checks.check(fits, GENERATE, name, rule, repr(value), error=TypeError)
    given = {name: value for name, value in arguments.items() if value is not None}
    inputs = model.inputs_by_name(inputs)
    (inputs,), given = standardize(model.fusion.modalities, (inputs,), given)
    inputs = {name: x for name, x in inputs.items() if x is not None}
    _, given = standardize_encoded(GENERATE, (), given)
    if not model.built:
        shape = {"encoded_shape": given["encoded"].shape} if "encoded" in given else {}
        model.build({name: x.shape for name, x in inputs.items()}, **shape)
    for name in SIZES:
        sizes = given.get(name, {})
        # a structure of tensors, for a function that is compiled
        sizes = {
            key: np.asarray(size, "int32") if isinstance(size, (int, tuple)) else size
            for key, size in sizes.items()
        }
        given = {**given, name: sizes} if sizes else given
    return inputs, given


def generate_tokens(
    model: Any,
    inputs: Mapping[str, Any],
    arguments: Mapping[str, Any],
    fused_length: int,
    max_new_tokens: int,
    max_length: int,
    sampling: Sampling,
    stop_ids: tuple[int, ...],
    padding_id: int,
) -> Iterator[np.ndarray]:
    """Yield the next token of each sample, `(batch,)`, until all have stopped.

    Args:
        model: The model.
        inputs: The prompt, by modality.
        arguments: The other arguments of a call.
        fused_length: Length of the fused prompt.
        max_new_tokens: How many tokens are generated at most.
        max_length: Number of slots of the cache.
        sampling: How the next token is chosen.
        stop_ids: Ids behind which a sample is finished.
        padding_id: The id of the tokens of a sample that is finished.
    """
    decoder, chances = decoder_of(model, sampling), _chances(sampling)
    tensors = keras.tree.map_structure(ops.convert_to_tensor, (inputs, arguments))
    # its shape says how many slots follow the prompt
    slots = ops.zeros((max_length - fused_length,), "int8")
    batch = len(next(iter(keras.tree.flatten(inputs))))
    done = np.zeros(batch, bool)
    ids, state = decoder.begin(*tensors, slots, chances(batch))
    for place in range(max_new_tokens):
        chosen = np.where(done, padding_id, ops.convert_to_numpy(ids))
        yield chosen.astype("int32")
        done = done | np.isin(chosen, stop_ids)
        if done.all() or place + 1 == max_new_tokens:
            return
        index: Any = fused_length + place
        if keras.backend.backend() != "torch":
            # another integer would be another trace
            index = ops.convert_to_tensor(index, "int32")
        chosen = ops.convert_to_tensor(chosen, "int32")
        ids, state = decoder.proceed(chosen, state, index, chances(batch))


def _chances(sampling: Sampling) -> Any:
    """Return a function from the batch size to the random numbers of a step.

    NumPy draws them, so that a seed means the same on every backend.
    """
    rng = np.random.default_rng(sampling.seed)

    def draw(batch: int) -> dict[str, Tensor]:
        if sampling.temperature == 0:
            return {}
        # below 1 in float32, too
        number = np.minimum(rng.random(batch), 1 - 2.0**-24)
        values = {"number": number, "temperature": sampling.temperature}
        if sampling.top_p is not None:
            values["top_p"] = sampling.top_p
        return {
            name: ops.convert_to_tensor(value, "float32")
            for name, value in values.items()
        }

    return draw
