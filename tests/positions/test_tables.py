"""Tables and frequencies that layers keep, which are no weights."""

import contextlib
import copy
import pickle

import keras
import numpy as np
import pytest
import reference
from keras import ops
from tensors import array
from weights import reloaded

import keras_mmembed as mm

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(1, 6, 8)).astype("float32")
BOXES = np.array([[[1, 2, 3, 4]] * 6], "int32")
MAKERS = {
    "table": (lambda: mm.PositionEmbedding1D(9), ()),
    "grid": (lambda: mm.PositionEmbedding2D(2, 3), ()),
    "frequencies": (lambda: mm.PositionEmbedding1D(), ()),
    "boxes": (lambda: mm.BoxEmbedding(kind="sinusoidal"), (BOXES,)),
}
each_maker = pytest.mark.parametrize("make, extra", MAKERS.values(), ids=MAKERS)


def run_without_values(layer, *arguments):
    """Call a layer, and so build it, where tensors have no values yet."""
    if BACKEND == "jax":
        import jax

        jax.jit(lambda *tensors: layer(*tensors))(*arguments)
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        tf.function(lambda *tensors: layer(*tensors))(*arguments)
    else:
        with keras.device("meta"):
            layer(*map(ops.convert_to_tensor, arguments))


@each_maker
def test_a_layer_built_where_nothing_has_values(make, extra):
    expected = array(make()(X, *extra))
    for scope in (keras.StatelessScope(), contextlib.nullcontext()):
        layer = make()
        with scope:
            run_without_values(layer, X, *extra)
        np.testing.assert_allclose(array(layer(X, *extra)), expected, atol=1e-5)


@each_maker
def test_copies_give_the_same(make, extra):
    layer = make()
    expected = array(layer(X, *extra))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(array(other(X, *extra)), expected)


@pytest.mark.parametrize("start", [0, 3])
def test_a_shorter_sequence_reads_the_start_of_the_table(start):
    layer = mm.PositionEmbedding1D(9)
    got = array(layer(np.zeros((1, 6, 8)), start_index=start))
    expected = reference.interleaved(range(start, start + 6), 8)
    np.testing.assert_allclose(got[0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
@pytest.mark.parametrize("policy", ["clip", "zero"])
@pytest.mark.parametrize("start", [-2, 0, 5])
def test_a_table_is_read_only_inside_its_sizes(kind, policy, start):
    """A start for all samples makes what the same start for each sample makes."""
    layer = mm.PositionEmbedding1D(9, kind=kind, out_of_range=policy)
    known = array(layer(X, start_index=start))
    starts = np.array([start], "int32")
    np.testing.assert_allclose(known, array(layer(X, start_index=starts)), atol=1e-5)


def test_a_table_is_no_weight(tmp_path):
    model = keras.Sequential([keras.Input((6, 8)), mm.PositionEmbedding1D(9)])
    assert not model.weights
    loaded = reloaded(model, tmp_path)
    np.testing.assert_array_equal(
        loaded.predict(X, verbose=0), model.predict(X, verbose=0)
    )
