"""Bad data for `fit`, `evaluate` and `predict` of models that hold our layers.

Our model answers by a message in house form, or by a result that has a meaning. Of a
model of Keras, Keras reads the data before any layer does.
"""

import functools

import bad_inputs
import keras
import numpy as np
import pytest
from bad_input_allowed import meaning
from bad_input_meanings import FEATURES, SIZES
from bad_input_subject import GRID, X, floats, ids
from bad_values import bad_arrays, bad_dicts
from tensors import array

import keras_mmembed as mm

BACKEND = keras.backend.backend()
CONFIGS = {"text": {"type": "1d", "dim": 8}, "image": {"type": "2d", "dim": 8}}
METHODS = ("fit", "evaluate", "predict")
LABELS = (
    "rank + 1, rank - 1, batch + 1, batch 0, integers, bools, complex values, strings, "
    "objects, lists, ragged lists, NaN values, length 0, width + 1, width 1"
).split(", ")
NUMBERS = ("negative values", "2**40 values", "NaN values", "rank + 1", "floats")

VALUES = "what only values tell is told in an eager call"
ABSENT = "the modality is absent"
DECLARED = "Keras casts to the dtype, and reshapes to the shape, that is declared"
# what results mean
RESULTS = [
    ("*: x['*']", "NaN values", FEATURES),
    ("*: x['*']", "length 0", SIZES),
    ("Transformer: *", "without a key", ABSENT),
    ("Transformer: x['*']", "None", ABSENT),
    ("Functional: x['*']", "integers, bools, complex values, rank + 1", DECLARED),
    ("Functional: x['lengths']", "floats", DECLARED),
    ("Functional: x", "misspelt, one key more", "Keras reads them by order, and warns"),
    ("Functional: x['lengths']", "negative values, 2**40 values, NaN values", VALUES),
    ("Functional: *", "no samples", "Keras evaluates nothing"),
]
# what Keras says of data for models of its own, which no layer sees
KERAS_SAYS = (
    "Missing data for input",
    "is not optional, but None was passed",
    "Unrecognized data type",
    "named input(s) with keys",
    "structure of `inputs` doesn't match",
    "is incompatible with the layer",
    "Invalid input shape for input",
    "Invalid dtype: ",
    "Data cardinality is ambiguous",
    "is not connected to `inputs`",
)
# the like, which says nothing: faults of Keras, that a model of ours has not
KERAS_FAILS = [
    ("Functional: x", "None, empty dict", "pop from an empty set"),
    ("Functional: x*", "rank - 1, batch + 1, batch 0", "has no attribute 'shape'"),
    ("Functional: x", "no samples", "cannot access local variable"),
    ("Functional: x", "no samples", "num_samples should be a positive integer"),
    ("Functional: x", "no samples", "'loss'"),
    ("Functional: x", "no samples", "'NoneType' object is not callable"),
    ("Functional: x*", "rank + 1, rank - 1", "not defined on an unknown TensorShape"),
    # targets for the tokens that are not there
    ("Functional: x['text']", "length 0", "mask['text']"),
    ("Functional: x['text']", "length 0", "incompatible shapes"),
    ("Functional: x['text']", "length 0", "Graph execution error"),
]


def transformer():
    model = mm.MultiModalTransformer(
        CONFIGS, 8, num_layers=1, num_heads=2, num_outputs=3, dropout=0.0
    )
    return model, {"text": X, "image": GRID}, floats(2, 3)


def functional():
    """Return a model of Keras that holds a fusion."""
    inputs = {
        "text": keras.Input((None, 8), name="text"),
        "image": keras.Input((None, None, 8), name="image"),
    }
    lengths = keras.Input((), dtype="int32", name="lengths")
    fusion = mm.MultiModalFusion(CONFIGS, 8, dropout=0.0)
    tokens = fusion(inputs, mask={"text": lengths})
    model = keras.Model({**inputs, "lengths": lengths}, keras.layers.Dense(3)(tokens))
    data = {"text": X, "image": GRID, "lengths": ids(2, of=3)}
    return model, data, floats(2, 7, 3)


@functools.cache
def compiled(make):
    """Return a model that has taken a step of each kind, data and targets."""
    model, x, y = make()
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    return model, x, y


def bad_data(x):
    """Yield the place, what is wrong, and bad data."""
    plain = {"None": None, "string": "nope", "number": 1, "array": x["text"]}
    wrong = bad_dicts(x)
    dicts = ("empty dict", "without a key", "one key more", "list of values")
    plain.update({label: wrong[label] for label in dicts})
    plain["misspelt"] = {"txt" if key == "text" else key: x[key] for key in x}
    plain["no samples"] = {key: value[:0] for key, value in x.items()}
    yield from (("x", label, bad) for label, bad in plain.items())
    text = {**bad_arrays(x["text"]), "None": None, "string": "nope"}
    for label in (*LABELS, "None", "string"):
        yield "x['text']", label, {**x, "text": text[label]}
    if "lengths" in x:
        lengths = {**bad_arrays(x["lengths"]), "None": None}
        for label in (*NUMBERS, "None"):
            yield "x['lengths']", label, {**x, "lengths": lengths[label]}


def answers(make, method):
    """Return the answers to all bad data, and what lost weights."""
    model, x, y = compiled(make)
    variables = [*model.variables, *model.optimizer.variables]
    known = [(one, np.array(array(one))) for one in variables]
    name = "Transformer" if make is transformer else "Functional"
    found, lost = [], []
    for place, label, bad in bad_data(x):
        case = f"{name}: {place}: {label}"
        # what has a meaning would be compiled for each size
        if BACKEND != "torch" and meaning(case, RESULTS):
            continue
        targets = [] if method == "predict" else [y[:0] if label == "no samples" else y]
        act = functools.partial(getattr(model, method), verbose=0)
        found.append(
            bad_inputs.answer(case, lambda data, act=act: act(*data), [bad, *targets])
        )
        try:
            model.get_weights()
        except TypeError:
            lost.append(case)
        for variable, value in known:
            variable.assign(value)
    return found, lost


def says(one):
    """Whether Keras says what is wrong, or fails in a way that is known."""
    fails = [part for *row, part in KERAS_FAILS if meaning(one.case, [(*row, part)])]
    return any(part in one.text for part in (*KERAS_SAYS, *fails))


@pytest.mark.parametrize("method", METHODS)
def test_our_model_answers_all(method):
    found, lost = answers(transformer, method)
    counts, wrong = bad_inputs.judged(found, RESULTS)
    assert not wrong, "\n".join(wrong)
    assert counts["message"] > 20
    assert not lost


@pytest.mark.parametrize("method", METHODS)
def test_of_a_model_of_keras(method):
    found, lost = answers(functional, method)
    ours = [one for one in found if not (one.kind == "unclear" and says(one))]
    _, wrong = bad_inputs.judged(ours, RESULTS)
    assert not wrong, "\n".join(wrong)
    # README says that models of Keras lose them on JAX
    assert bool(lost) == (BACKEND == "jax")
