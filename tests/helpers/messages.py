"""Tables of errors: every row is a mistake, and what the error says of it.

    Layer: `argument` must rule. Received: argument=received. Remedy.

is the form of all errors, and a table of them is one test:

    ERRORS = [
        wrong(Layer, "be at least 1", size=0),
        call(Layer(), zeros(2, 3)).says("inputs.shape", "be (batch,)", "(2, 3)"),
    ]
    test_errors = checks(ERRORS)
"""

import functools
import inspect
import re

import keras
import numpy as np
import pytest

# Keras puts a frame of its own around the message of a call
FORM = re.compile(r"^(\x1b\[1m)?\w+: `[^`]+` must .+\. Received: .+=.*\.", re.MULTILINE)
# rules that ask for another kind of value, and not for another value of its kind
KIND = re.compile(
    r"be (an? )?(bool|dict|tensor|float|integer(?!, or)|number|path|True or False|"
    r"keras.Model|layer with|Keras layer|"
    r"list of (dicts|names|patterns)|of a dtype|matplotlib axes)"
)


def zeros(*shape):
    return np.zeros(shape, "float32")


def ids(*shape, dtype="int32"):
    return np.zeros(shape, dtype)


def flags(*shape):
    return ids(*shape, dtype="bool")


def assert_message(error, argument, rule, received):
    """Assert what an error says, and that its class fits the rule."""
    text = str(error.value)
    assert FORM.search(text), text
    assert f"`{argument}` must " in text, text
    assert rule in text, text
    assert f"Received: {argument}={received}" in text, text
    assert isinstance(error.value, TypeError) == bool(KIND.match(rule)), repr(error)


class Mistake:
    """What somebody does wrong: a row of a table, once it `says` what is wrong."""

    def __init__(self, where, act):
        self.where, self.act = where, act

    def says(self, argument, rule, received):
        """Add the argument, the rule that it breaks, and the value received."""
        self.message = argument, rule, received
        return self

    def check(self, *arguments):
        """Make the mistake, assert what the error says, and return all of it."""
        with pytest.raises((TypeError, ValueError)) as error:
            self.act(*arguments)
        assert_message(error, *self.message)
        start = rf"^(\x1b\[1m)?{self.where}: `"
        assert re.search(start, str(error.value), re.MULTILINE), error.value
        return str(error.value)


class Call(Mistake):
    """A wrong call of a layer, which is made anew for every check."""

    def __init__(self, layer, inputs, named):
        name = type(layer).__name__
        super().__init__(name, lambda: type(layer).from_config(layer.get_config()))
        self.inputs, self.named = inputs, named

    def check(self, change=lambda tensors: tensors):
        layer = self.act()
        with pytest.raises((TypeError, ValueError)) as error:
            layer(change(self.inputs), **change(self.named))
        assert_message(error, *self.message)

    def check_symbolic(self):
        """Assert that no functional model can be built of the call."""
        self.check(symbols)


def symbols(tensors):
    """Return inputs of a functional model in the place of arrays."""
    if isinstance(tensors, dict):
        return {name: symbols(one) for name, one in tensors.items()}
    if isinstance(tensors, list):
        return [symbols(one) for one in tensors]
    if not isinstance(tensors, np.ndarray):
        return tensors
    return keras.Input(batch_shape=tensors.shape, dtype=str(tensors.dtype))


def make(function, /, *arguments, **named):
    """Return the mistake to call a class, a method or a function in this way."""
    called = getattr(function, "func", function)
    # Keras wraps the bound methods of layers in functions
    owner = getattr(
        called, "__self__", getattr(inspect.unwrap(called), "__self__", None)
    )
    where = inspect.unwrap(called).__name__ if owner is None else type(owner).__name__
    return Mistake(where, functools.partial(function, *arguments, **named))


def wrong(function, rule, /, *received, **named):
    """Return the row of a call whose last argument is wrong, by default as received."""
    argument, value = list(named.items())[-1]
    row = make(function, **named)
    return row.says(argument, rule, *(received or [repr(value)]))


def call(layer, inputs, /, **named):
    """Return the mistake to call a layer in this way."""
    return Call(layer, inputs, named)


def each(rows):
    """Run a test with every row of a table."""
    names = [f"{row.where}-{row.message[0]}-{row.message[2]}" for row in rows]
    return pytest.mark.parametrize("row", rows, ids=names)


def checks(rows, symbolic=False):
    """Return a test that checks every row of a table, or the symbolic call of each."""

    @each(rows)
    def test(row):
        row.check_symbolic() if symbolic else row.check()

    return test


def in_a_compiled_step(model, x, rule, remedy):
    """Return the outputs for a size that only a compiled step knows, which warns.

    PyTorch knows it: there it is an error, and the result is None.
    """
    if keras.backend.backend() == "torch":
        with pytest.raises(ValueError, match=rule):
            model.predict(x, verbose=0)
        return None
    with pytest.warns(UserWarning, match=f"{rule}.*{remedy}"):
        return model.predict(x, verbose=0)
