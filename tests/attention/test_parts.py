"""The rotary embedding and the bias of an attention layer, however they are passed."""

import numpy as np
from tensors import array, normal
from weights import randomize

import keras_mmembed as mm

HEADS = 4


def test_parts_may_be_names_arguments_or_layers():
    specs = {
        "rotary": ["llama", {"max_wavelength": 10000}, mm.RotaryEmbedding()],
        "bias": ["t5", {"num_buckets": 32}, mm.RelativePositionBias(HEADS)],
    }
    x = normal(2, 6, 24)
    for argument, many in specs.items():
        layers = [mm.MultiModalAttention(HEADS, **{argument: one}) for one in many]
        for layer in layers:
            layer(x)
        outputs = [array(randomize(layer)(x)) for layer in layers]
        for one, layer in zip(outputs, layers, strict=True):
            np.testing.assert_allclose(one, outputs[0], atol=1e-6)
            config = layer.get_config()
            assert type(layer).from_config(config).get_config() == config
