"""Checks of arguments, and the one form of their messages."""

import re
import sys
from collections.abc import Collection, Iterable
from typing import Any, Literal, TypeVar, overload

import keras
import numpy as np

from keras_mmembed.common.types import LayerArguments, Shape

Value = TypeVar("Value")

# sizes and numbers of anything are below it, so that an int32 holds every index
LARGEST = 2**31 - 1
# of a value in a message
MOST_CHARACTERS = 500
# what every layer passes on to Keras; the last one no docstring has
LAYER_OPTIONS = ("name", "dtype", "trainable", "activity_regularizer")


def error_text(
    layer: str, argument: str, rule: str, received: Any, remedy: str = ""
) -> str:
    """Return the message of a failed check, in the form that all checks share."""
    received = " ".join(str(received).split())  # an array has several lines
    if len(received) > MOST_CHARACTERS:
        received = f"{received[:MOST_CHARACTERS]}..."
    text = f"{layer}: `{argument}` must {rule}. Received: {argument}={received}."
    return f"{text} {remedy}" if remedy else text


def check(
    condition: object,
    layer: str,
    argument: str,
    rule: str,
    received: Any,
    remedy: str = "",
    *,
    error: type[Exception] = ValueError,
) -> None:
    """Raise `error` with the text of `error_text` unless `condition` is true."""
    if not condition:
        raise error(error_text(layer, argument, rule, received, remedy))


def check_built(layer: keras.layers.Layer) -> None:
    """Raise unless a layer has its weights, without which it encodes nothing."""
    rule, remedy = "be True", "Call the layer, or `layer.build((None, None, width))`."
    check(layer.built, type(layer).__name__, "built", rule, layer.built, remedy)


@overload
def check_integer(
    layer: str,
    argument: str,
    value: Any,
    minimum: int = 1,
    optional: Literal[False] = False,
    maximum: int = LARGEST,
) -> int: ...


@overload
def check_integer(
    layer: str,
    argument: str,
    value: Any,
    minimum: int = 1,
    *,
    optional: Literal[True],
    maximum: int = LARGEST,
) -> int | None: ...


def check_integer(
    layer: str,
    argument: str,
    value: Any,
    minimum: int = 1,
    optional: bool = False,
    maximum: int = LARGEST,
) -> int | None:
    """Return `value` as an `int` from `minimum` to `maximum`, or `None` if optional."""
    if optional and value is None:
        return None
    kind = "an integer or None" if optional else "an integer"
    fits = _is_number(value, int, np.integer)
    check(fits, layer, argument, f"be {kind}", repr(value), error=TypeError)
    check(value >= minimum, layer, argument, f"be at least {minimum}", repr(value))
    rule = "be below 2 ** 31" if maximum == LARGEST else f"be at most {maximum}"
    check(value <= maximum, layer, argument, rule, repr(value))
    return int(value)


def check_number(
    layer: str,
    argument: str,
    value: Any,
    minimum: float,
    maximum: float | None = None,
    open_end: bool = False,
) -> float:
    """Return `value` as a `float` in `[minimum, maximum]`.

    With `open_end` the maximum itself is excluded; without a maximum, the minimum is.
    """
    fits = _is_number(value, int, float, np.number)
    check(fits, layer, argument, "be a number", repr(value), error=TypeError)
    # compared as integers, which may be too large for a float
    is_finite = -sys.float_info.max <= value <= sys.float_info.max
    check(is_finite, layer, argument, "be finite", repr(value))
    if maximum is None:
        inside, rule = value > minimum, f"be greater than {minimum}"
    elif open_end:
        inside, rule = minimum <= value < maximum, f"lie in [{minimum}, {maximum})"
    else:
        inside, rule = minimum <= value <= maximum, f"lie in [{minimum}, {maximum}]"
    check(inside, layer, argument, rule, repr(value))
    return float(value)


def check_flag(layer: str, argument: str, value: Any) -> bool:
    """Return `value` as a `bool`."""
    fits = isinstance(value, (bool, np.bool_))
    rule = "be True or False"
    check(fits, layer, argument, rule, repr(value), error=TypeError)
    return bool(value)


def _is_number(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def check_seed(who: str, seed: Any) -> int | None:
    """Return a seed that every backend takes, or `None`."""
    return check_integer(who, "seed", seed, minimum=0, optional=True)


def check_activation(who: str, name: str, activation: Any) -> Any:
    """Return an activation as a function."""
    try:
        found = keras.activations.get(activation)
    except (TypeError, ValueError):
        found = None
    rule = "be an activation of Keras, by name or as a function"
    fits = callable(found) and not isinstance(found, type)
    check(fits, who, name, rule, repr(activation))
    return found


def check_initializer(who: str, name: str, initializer: Any) -> Any:
    """Return an initializer of Keras as a function."""
    # Keras takes an array too, but loads no file of it
    is_array, made = hasattr(initializer, "shape"), None
    try:
        made = None if is_array else keras.initializers.get(initializer)
    except (TypeError, ValueError):
        pass
    rule = "be the name, the configuration or an instance of an initializer"
    remedy = "keras.initializers has them."
    check(callable(made), who, name, rule, repr(initializer), remedy)
    return made


def layer_options(who: str, options: LayerArguments) -> LayerArguments:
    """Return the arguments that a layer passes on to Keras; raise for wrong ones."""
    for name, value in options.items():
        is_of_keras = name in LAYER_OPTIONS
        check(is_of_keras, who, name, "be left out: it is no argument", repr(value))
    name, dtype = options.get("name"), options.get("dtype")
    fits = name is None or (isinstance(name, str) and name and "/" not in name)
    check(fits, who, "name", "have only characters other than '/'", repr(name))
    check_flag(who, "trainable", options.get("trainable", True))
    try:
        policy = keras.dtype_policies.get(dtype)
    except Exception:  # Keras refuses each kind of value in another way
        policy = None
    # embeddings would be rounded to whole numbers
    is_float = policy is not None and "float" in str(policy.compute_dtype)
    rule = "be a float dtype or a policy of one"
    check(is_float, who, "dtype", rule, repr(dtype), error=TypeError)
    return options


def check_list(who: str, name: str, names: Any, known: Iterable[str]) -> list[str]:
    """Return a list of names, of which each is known and comes once."""
    known = list(known)
    is_list = isinstance(names, (list, tuple))
    rule = f"be a list of names among {known}"
    check(is_list, who, name, rule, repr(names), error=TypeError)
    rule = f"hold only names among {known}"
    fits = all(isinstance(one, str) and one in known for one in names)
    check(fits, who, name, rule, repr(names))
    rule = "have each name once"
    check(len(set(names)) == len(names), who, name, rule, repr(names))
    return list(names)


def check_choice(
    layer: str, argument: str, value: Value, choices: Iterable[Any]
) -> Value:
    """Return the one of `choices` that `value` is; the message lists them."""
    for choice in choices:
        # arrays have no single answer to whether they are equal
        if value is choice or (isinstance(value, str) and value == choice):
            return choice
    listed = ", ".join(repr(choice) for choice in choices)
    check(False, layer, argument, f"be one of {listed}", repr(value))
    return value


def known_shape(shape: Iterable[Any]) -> Shape:
    """Return a shape as a tuple, with `None` for each size that is unknown."""
    return tuple(size if isinstance(size, int) else None for size in shape)


def shapes_match(shape: Shape, expected: Shape) -> bool:
    """Whether two shapes have the same rank and no two known sizes that differ."""
    return len(shape) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(shape, expected, strict=True)
    )


def check_rank(
    layer: str, argument: str, shape: Shape, ranks: Collection[int], axes: str
) -> None:
    """Raise unless `shape` has one of `ranks`; `axes` names the axes in the message."""
    check(len(shape) in ranks, layer, argument, f"be {axes}", tuple(shape))


def check_names(layer: str, argument: str, names: Any) -> tuple[str, ...]:
    """Return names as a tuple if each can name a weight and a served input."""
    is_list = isinstance(names, (list, tuple, dict)) and len(names) > 0
    rule = "hold at least one name"
    check(is_list, layer, argument, rule, repr(names))
    seen: dict[str, str] = {}
    for name in names:
        fits = isinstance(name, str) and re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
        rule = "start with a letter and hold only letters, digits and underscores"
        check(fits, layer, argument, f"have names that {rule}", repr(name))
        rule = "have names that differ in more than upper and lower case"
        received = f"{seen.get(name.lower())!r} and {name!r}"
        check(name.lower() not in seen, layer, argument, rule, received)
        seen[name.lower()] = name
    # those of NumPy are no names for what writes files
    return tuple(str(name) for name in names)


def check_fused(layer: str, fused: Any, keys: Iterable[str]) -> None:
    """Raise unless `fused` is what a fusion returns with `return_dict=True`."""
    rule = "be what MultiModalFusion returns"
    remedy = "Make the fusion with `return_dict=True`."
    is_dict = isinstance(fused, dict)
    received = sorted(fused, key=str) if is_dict else type(fused).__name__
    has_keys = is_dict and set(keys) <= set(fused)
    check(has_keys, layer, "fused", rule, received, remedy)
