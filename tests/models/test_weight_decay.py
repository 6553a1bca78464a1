"""What the list of weights without decay refuses, and how it says it."""

import keras
import numpy as np
import pytest
from messages import checks, make
from tensors import normal

import keras_mmembed as mm

UNBUILT = keras.Sequential([mm.PositionEmbedding1D(4, kind="learned")], name="unbuilt")
ERRORS = [
    *[
        make(mm.weights_without_decay, value).says(
            "model", "be a Keras layer or model", repr(value)
        )
        for value in (None, "model", [keras.layers.Dense(1)], 3)
    ],
    make(mm.weights_without_decay, UNBUILT).says("model", "be built", "unbuilt"),
    make(
        mm.weights_without_decay,
        mm.MultiModalTransformer({"text": {"type": "1d", "dim": 8}}, 8, name="new"),
    ).says("model", "be built", "new"),
]

test_errors = checks(ERRORS)


@pytest.mark.parametrize(
    "make_it", [lambda: mm.ZeroGate(), keras.layers.LayerNormalization]
)
def test_a_layer_alone(make_it):
    layer = make_it()
    x = normal(2, 3)
    layer([x, x] if isinstance(layer, mm.ZeroGate) else x)
    spared = mm.weights_without_decay(layer)
    assert len(spared) == len(layer.trainable_weights) > 0
    assert all(np.ndim(weight.shape) <= 1 for weight in spared)


def test_a_block_spares_its_factors_and_the_table_of_its_bias():
    block = mm.TransformerBlock(2, relative_bias="t5", layer_scale=0.1, norm_type="rms")
    block(normal(2, 3, 8))
    spared = {id(weight) for weight in mm.weights_without_decay(block)}
    decayed = {w.path for w in block.trainable_weights if id(w) not in spared}
    assert {path.rsplit("/", 1)[-1] for path in decayed} == {"kernel"}
