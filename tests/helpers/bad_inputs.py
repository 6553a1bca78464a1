"""The sweep of bad inputs: every bad value in every place, and what it is answered."""

import contextlib
import re
import warnings
from collections import Counter
from dataclasses import dataclass

import keras
import numpy as np
from bad_input_allowed import meaning
from bad_values import bad_symbols, bad_values
from messages import FORM

# JAX compiles every operation for every new size
COMPILES = keras.backend.backend() == "jax"


@dataclass(frozen=True)
class Answer:
    """What one bad input is answered.

    Attributes:
        case: The public name, the argument and what is wrong with it.
        kind: `"message"` in house form, `"result"`, or `"unclear"`.
        text: The first line of what was said or returned.
    """

    case: str
    kind: str
    text: str


def places(arguments):
    """Yield the path and the value of each argument, and of what is nested in it."""
    for name, value in arguments.items():
        yield from _inside((name,), value)


def _inside(path, value):
    yield path, value
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _inside((*path, key), one)
    elif isinstance(value, (list, tuple)) and not _is_plain(value):
        for index, one in enumerate(value):
            yield from _inside((*path, index), one)


def _is_plain(values):
    return all(isinstance(one, (int, float, str)) for one in values)


def replaced(values, path, value):
    """Return nested values with another one at a path."""
    first, *rest = path
    if rest:
        value = replaced(values[first], rest, value)
    if isinstance(values, dict):
        return {**values, first: value}
    return [value if i == first else one for i, one in enumerate(values)]


def spelled(path):
    """Return a path as Python writes it, such as `inputs['text']`."""
    first, *rest = path
    return first + "".join(f"[{key!r}]" for key in rest)


def symbols(values):
    """Return symbolic tensors in the place of arrays."""
    if isinstance(values, dict):
        return {key: symbols(value) for key, value in values.items()}
    if isinstance(values, list):
        return [symbols(value) for value in values]
    if not isinstance(values, np.ndarray):
        return values
    return keras.KerasTensor(values.shape, dtype=str(values.dtype))


def ways(subject):
    """Yield the case, a function that tries it and its arguments, for a subject."""
    is_layer = bool(subject.call)

    def construct(arguments):
        made = subject.make(**arguments)
        if is_layer and isinstance(made, keras.layers.Layer):
            return call(made, symbols(subject.call) if COMPILES else subject.call)
        return made

    for path, right in places(subject.arguments):
        for label, bad in bad_values(right).items():
            named = replaced(subject.arguments, path, bad)
            yield _case(subject, path, label), construct, named
    if subject.symbolic and not is_layer:
        for path, right in places(subject.arguments):
            if not isinstance(right, np.ndarray):
                continue
            for label, bad in bad_symbols(right).items():
                named = replaced(symbols(subject.arguments), path, bad)
                yield _case(subject, path, f"symbolic {label}"), construct, named
    if not is_layer or not subject.calls:
        return
    built = None

    def first_call(arguments):
        return call(subject.make(**subject.arguments), arguments)

    def next_call(arguments):
        nonlocal built
        if built is None:
            built = subject.make(**subject.arguments)
            call(built, cheap(subject, subject.call))
        return call(built, arguments)

    for path, right in places(subject.call):
        for label, bad in bad_values(right).items():
            named = replaced(subject.call, path, bad)
            yield _case(subject, path, label), next_call, named
            if path == next(iter(places(subject.call)))[0]:
                yield _case(subject, path, f"first {label}"), first_call, named
    if not subject.symbolic:
        return
    for path, right in places(subject.call):
        if isinstance(right, np.ndarray):
            for label, bad in bad_symbols(right).items():
                named = replaced(symbols(subject.call), path, bad)
                yield _case(subject, path, f"symbolic {label}"), first_call, named


def cheap(subject, arguments):
    """Return right arguments, of which JAX compiles nothing where it need not."""
    return symbols(arguments) if COMPILES and subject.symbolic else arguments


def call(layer, arguments):
    """Call a layer; the first argument is the inputs."""
    inputs, *others = arguments
    if not isinstance(layer, keras.layers.Layer):
        return layer(**arguments)
    return layer(arguments[inputs], **{name: arguments[name] for name in others})


def _case(subject, path, label):
    return f"{subject.name}: {spelled(path)}: {label}"


def answer(case, act, arguments, accepted=""):
    """Return what a bad input is answered."""
    try:
        with quiet():
            result = act(arguments)
    except Exception as error:
        text = str(error)
        if accepted and accepted in text:
            return Answer(case, "result", accepted)
        is_message = isinstance(error, (TypeError, ValueError)) and FORM.search(text)
        if is_message:
            (line,) = (is_message.group(0),)
            return Answer(case, "message", line)
        first = " / ".join(text.split("\n")[:4])[:300]
        return Answer(case, "unclear", f"{type(error).__name__}: {first}")
    return Answer(case, "result", described(result))


@contextlib.contextmanager
def quiet():
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def described(result):
    """Return shapes and dtypes of what was returned, and whether it is NaN."""
    parts = []
    for one in keras.tree.flatten(result):
        if isinstance(one, keras.KerasTensor):
            parts.append(f"symbolic {one.dtype} {tuple(one.shape)}")
            continue
        try:
            array = np.asarray(keras.ops.convert_to_numpy(one))
        except Exception:
            parts.append(type(one).__name__)
            continue
        is_nan = array.dtype.kind == "f" and np.isnan(array).any()
        parts.append(f"{'NaN ' if is_nan else ''}{array.dtype} {array.shape}")
    return ", ".join(parts[:3])


def right_answer(subject):
    """Return the answer to the right arguments of a subject."""

    def act(arguments):
        made = subject.make(**arguments)
        return call(made, cheap(subject, subject.call)) if subject.call else made

    right = subject.arguments
    right = right if subject.call else cheap(subject, right)
    return answer(subject.name, act, right, subject.accepted)


def sweep(subject, allowed=()):
    """Return the answers to all bad inputs of a subject but those that are allowed."""
    answers = []
    skipped = {f"{subject.name}: {case}" for case in subject.skipped}
    for case, act, arguments in ways(subject):
        if case not in skipped and meaning(case, allowed) is None:
            answers.append(answer(case, act, arguments, subject.accepted))
    return answers


def unneeded(answers, rows):
    """Return the rows that say what no result among the answers means."""
    left = list(rows)
    for one in answers:
        if one.kind == "result":
            left = [row for row in left if meaning(one.case, [row]) is None]
    return left


def judged(answers, allowed, known=()):
    """Return how many answers are of each kind, and those that are not in order."""
    counts, wrong = Counter(), []
    for one in answers:
        kind = one.kind
        if kind == "result" and meaning(one.case, allowed) is None:
            kind = "silent"
        if meaning(one.case, known) is not None:
            kind = "known" if kind in ("silent", "unclear") else "mended"
        counts[kind] += 1
        if kind in ("silent", "unclear", "mended"):
            wrong.append(f"{kind}: {one.case}: {one.text}")
    return counts, wrong


def plain(text):
    return re.sub(r"\x1b\[\d*m", "", text)
