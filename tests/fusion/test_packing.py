"""Valid tokens first, and back."""

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from weights import reloaded

import keras_mmembed as mm


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=3)
)
def test_packing_keeps_the_order_and_is_undone(rows):
    mask = np.array(rows)
    x = np.random.default_rng(0).normal(size=(*mask.shape, 3)).astype("float32")
    packed = ops.convert_to_numpy(mm.pack_tokens(x, mask))
    for sample, valid, result in zip(x, mask, packed, strict=True):
        np.testing.assert_array_equal(
            result, np.concatenate([sample[valid], sample[~valid]])
        )
    again = ops.convert_to_numpy(mm.unpack_tokens(packed, mask))
    np.testing.assert_array_equal(again, x)
    front = ops.convert_to_numpy(mm.pack_tokens(mask, mask))
    assert (front == np.sort(mask, axis=1)[:, ::-1]).all()


def test_in_a_functional_model(tmp_path):
    x = keras.Input((None, 4), name="x")
    mask = keras.Input((None,), dtype="bool", name="mask")
    packed = mm.pack_tokens(x, mask)
    model = keras.Model([x, mask], [packed, mm.unpack_tokens(packed, mask)])
    model = reloaded(model, tmp_path)
    tokens = np.arange(40, dtype="float32").reshape(2, 5, 4)
    valid = np.array([[0, 1, 0, 1, 1], [1, 1, 1, 1, 1]], bool)
    packed, again = model.predict([tokens, valid], verbose=0)
    np.testing.assert_array_equal(packed[0, :3], tokens[0, [1, 3, 4]])
    np.testing.assert_array_equal(again, tokens)
