"""Random requests, answers, and how far they are from each other."""

import keras
import numpy as np
import pytest

from keras_mmembed.serving import comparison, requests, signature


def test_axes_of_unknown_size_differ_if_the_model_takes_that():
    def inputs(**shapes):
        return {name: keras.Input(shape, name=name) for name, shape in shapes.items()}

    def sizes(model):
        inputs = [signature.served_input(*item) for item in model.input.items()]
        endpoint = signature.Endpoint("serve", tuple(inputs))
        answered = requests.answer_requests(model, [endpoint], [])
        assert [each.request.endpoint for each in answered] == ["serve"] * 4
        shapes = [each.request.shapes for each in answered]
        return [tuple(shape[1] for shape in each.values()) for each in shapes]

    free = inputs(a=(None, 2), b=(None, 2))
    model = keras.Model(free, keras.layers.Concatenate(axis=1)(list(free.values())))
    assert sizes(model) == [(2, 3), (3, 4), (4, 5), (5, 6)]
    same = inputs(a=(None, 2), b=(None, 2))
    model = keras.Model(same, same["a"] + same["b"])
    assert sizes(model) == [(2, 2), (3, 3), (4, 4), (5, 5)]


def test_names_of_outputs():
    def names(outputs):
        return list(signature.outputs_by_name(outputs))

    assert names("x") == ["output_0"]
    assert names(["x", "y"]) == ["output_0", "output_1"]
    assert names({"a": {"b": "x", "c": ["y", "z"]}}) == ["a_b", "a_c_0", "a_c_1"]


def test_differences():
    def difference(a, b):
        return comparison.largest_difference({"x": np.array(a)}, {"x": np.array(b)})

    assert difference([0.5, 1.0], [0.5, 0.75]) == 0.25
    assert difference([0.0, 100.0], [1.0, 100.0]) == 0.01
    assert difference([np.nan, 2.0], [np.nan, 2.0]) == 0
    assert difference([True, False], [True, True]) == 1
    assert difference(np.ones((0, 3)), np.ones((0, 3))) == 0
    for other in ([np.inf, 2.0], [1.0], [1, 2], np.array([1.0, 2.0], "float32")):
        assert difference([1.0, 2.0], other) == np.inf
    for a, b in ((np.nan, np.inf), (np.inf, -np.inf), (np.inf, np.nan), (1.0, np.nan)):
        assert difference([a, 2.0], [b, 2.0]) == np.inf
    assert difference([-np.inf, 2.0], [-np.inf, 2.0]) == 0
    assert difference([1j], [2j]) == 1
    assert comparison.largest_difference({"x": np.ones(1)}, {"y": np.ones(1)}) > 1


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_tolerance_of_the_precision():
    x = keras.Input((4,), name="x")

    def tolerance(dtype, mode=None):
        model = keras.Model(x, keras.layers.Dense(4, dtype=dtype)(x))
        if mode:
            model.quantize(mode)
        return comparison.default_tolerance(model)

    exact, half, coarse = map(tolerance, ("float32", "float16", "mixed_bfloat16"))
    assert exact == 1e-5
    assert exact < half < coarse
    assert tolerance("float32", "int8") > 100 * exact
