"""The sweep of bad inputs: every public name, argument and kind of wrong value.

Each is answered by a message in house form, or by a result whose meaning a table says.
`python tests/test_bad_inputs.py` prints how many there are of each.
"""

import functools
import inspect
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

import bad_inputs
import keras
import pytest
from bad_input_allowed import KNOWN_ROWS, ROWS
from bad_input_cases import subjects
from bad_input_subject import Subject, X

import keras_mmembed as mm

# arguments of a call that Keras fills in
MASKS = {"inputs_mask", "query_mask", "value_mask", "key_mask"}
OF_KERAS = {"self", "kwargs", "training", *MASKS}
# what is said of the known: nothing is left to be mended
MOST_KNOWN = 0


def arguments_of(name):
    """Return the names of all arguments of a public name."""
    public = getattr(mm, name)
    if name == "ModalityConfig":
        return set(public.__annotations__)
    if not inspect.isclass(public):
        return set(inspect.signature(public).parameters)
    both = (public.__init__, public.call)
    named = set().union(*(inspect.signature(one).parameters for one in both))
    return (named | {"name", "dtype", "trainable"}) - OF_KERAS


def swept(name):
    """Return the names of the arguments of a public name that are replaced."""
    of_name = [one for one in subjects().values() if one.public == name]
    called = [one.call for one in of_name if one.calls]
    return set().union(*(one.arguments for one in of_name), *called)


@functools.cache
def answers_of(name, skips):
    """Return the answers to the bad inputs of a subject, of which some are skipped."""
    return bad_inputs.sweep(subjects()[name], ROWS if skips else ())


@pytest.mark.parametrize("name", mm.__all__)
def test_every_argument_of_every_public_name_is_swept(name):
    assert arguments_of(name) <= swept(name)


@pytest.mark.parametrize("name", subjects())
def test_right_arguments_have_a_result(name):
    assert bad_inputs.right_answer(subjects()[name]).kind == "result"


@pytest.mark.parametrize("name", subjects())
def test_bad_inputs(name, record_property):
    # the results of all unusual arguments would take JAX minutes to compile
    answers = answers_of(name, bad_inputs.COMPILES)
    counts, wrong = bad_inputs.judged(answers, ROWS, KNOWN_ROWS)
    record_property("bad inputs", dict(counts))
    assert not wrong, "\n".join(wrong)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", subjects())
def test_unusual_arguments_have_results(name):
    wrong = bad_inputs.judged(answers_of(name, False), ROWS)[1]
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(bad_inputs.COMPILES, reason="JAX would compile for minutes")
def test_every_row_says_what_a_result_means():
    answers = [one for name in subjects() for one in answers_of(name, False)]
    assert not bad_inputs.unneeded(answers, ROWS)


def test_a_row_that_no_result_needs_is_found():
    answers = [
        bad_inputs.Answer("Planted: size: one", "result", ""),
        bad_inputs.Answer("Planted: size: string", "message", ""),
    ]
    rows = [("Planted: size", "one", "right"), ("Planted: size", "string", "accepted")]
    assert bad_inputs.unneeded(answers, rows) == rows[1:]


def test_nothing_is_known_and_not_mended():
    assert len(KNOWN_ROWS) <= MOST_KNOWN


class AcceptsAnything(keras.layers.Layer):
    """A layer that checks nothing."""

    def __init__(self, size=3, **kwargs):
        super().__init__()
        self.size = size

    def call(self, inputs, ids=None):
        return keras.ops.cast(inputs, "float32") * len(ids)


def test_the_sweep_finds_a_layer_that_checks_nothing():
    call = {"inputs": X, "ids": [1, 2]}
    planted = Subject("Planted", AcceptsAnything, {"size": 3}, call)
    counts, wrong = bad_inputs.judged(bad_inputs.sweep(planted), ROWS)
    assert counts["silent"] > 20
    assert counts["unclear"] > 10
    assert counts["message"] == 0
    assert any(line.startswith("silent: Planted: size: string") for line in wrong)
    assert any(line.startswith("unclear: Planted: ids: zero") for line in wrong)


def test_a_row_of_what_is_known_must_be_needed():
    answers = [bad_inputs.Answer("Planted: size: string", "message", "")]
    row = ("Planted: size", "string", "is accepted")
    counts, wrong = bad_inputs.judged(answers, ROWS, [row])
    assert counts == {"mended": 1}
    assert len(wrong) == 1


def main():
    """Print how many answers are of each kind, and those that are not in order."""
    total = Counter()
    for subject in subjects().values():
        counts, wrong = bad_inputs.judged(bad_inputs.sweep(subject), ROWS, KNOWN_ROWS)
        total.update(counts)
        print(*map(bad_inputs.plain, wrong), sep="\n", end="\n" if wrong else "")
    kinds = ("message", "result", "silent", "unclear", "known")
    listed = ", ".join(f"{total[kind]} {kind}" for kind in kinds)
    print(f"{keras.backend.backend()}: {total.total()} bad inputs: {listed}")


if __name__ == "__main__":
    main()
