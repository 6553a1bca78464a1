"""What `load_published_weights` refuses, and how it says it."""

from functools import partial

import keras
import numpy as np
import pytest
from messages import checks, wrong

import keras_mmembed as mm

LAYER = keras.layers.Dense(3, name="dense")
LAYER.build((None, 2))
ARRAYS = {"weight": np.ones((3, 2)), "bias": np.zeros(3)}
RECIPE = {"weights": {"kernel": "weight", "bias": "bias"}}
LOAD = partial(mm.load_published_weights, model=LAYER, source=ARRAYS, recipe=RECIPE)
ORIGINS = "map paths of weights to names"


def origin(value):
    return {"weights": {"kernel": value, "bias": "bias"}}


ERRORS = [
    wrong(LOAD, "be a Keras layer", model="dense"),
    wrong(LOAD, "be built", "dense_1", model=keras.layers.Dense(3, name="dense_1")),
    wrong(LOAD, "be a path of a folder", "int", source=3),
    wrong(LOAD, "exist", source="nowhere"),
    wrong(LOAD, "be one of 'audio-spectrogram-transformer', 'bert'", recipe="gpt"),
    wrong(LOAD, "be a dict, or the name of a recipe", recipe=3),
    wrong(LOAD, "have a dict of `weights`", recipe={}),
    wrong(
        LOAD, "be one of 'weights', 'unused'", "'more'", recipe={**RECIPE, "more": 1}
    ),
    wrong(LOAD, "be a path in the model of the recipe", part=3),
    wrong(LOAD, "be a list of patterns of weight paths", only=3),
    wrong(LOAD, "hold a pattern at least", only=[]),
    wrong(LOAD, "match the path of a weight", "'gamma'", only=["kernel", "gamma"]),
]
test_errors = checks(ERRORS)


@pytest.mark.parametrize(
    "recipe, rule",
    [
        ({**RECIPE, "unused": "bias"}, r"recipe\['unused'\]` must be a list of names"),
        ({**RECIPE, "prefixes": [1]}, r"recipe\['prefixes'\]` must be a list of names"),
        (origin(b"weight"), ORIGINS),
        (origin((sum,)), ORIGINS),
        (origin(("sum", "weight")), ORIGINS),
        (origin([]), ORIGINS),
        (origin([["weight"]]), ORIGINS),
    ],
)
def test_a_recipe_is_data_of_a_known_form(recipe, rule):
    with pytest.raises(TypeError, match=rule):
        LOAD(recipe=recipe)


def test_a_function_that_raises_is_named():
    recipe = origin((np.linalg.inv, "weight"))
    rule = "have a function for 'kernel' that takes .*'weight'.*LinAlgError"
    with pytest.raises(ValueError, match=rule):
        LOAD(recipe=recipe)


def test_paths_that_are_the_same_are_refused():
    layers = [keras.layers.Dense(2, name="one") for _ in range(2)]

    class Model(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="model")
            self.first, self.second = layers

        def build(self, shape):
            for layer in layers:
                layer.build(shape)

    model = Model()
    model.build((None, 2))
    with pytest.raises(ValueError, match="have one weight with the path 'one/kernel'"):
        LOAD(model=model)
