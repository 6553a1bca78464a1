"""Position ids of mixed sequences in a SavedModel of unknown length."""

import keras
import numpy as np
import pytest
from mixed_sequences import MODALITIES, padded, random_sample
from tensors import array

import keras_mmembed as mm


@pytest.mark.serving
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rule", ["qwen2_vl", "hunyuan_vl"])
def test_in_a_saved_model_of_unknown_length(rule, tmp_path):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() == "torch":
        pytest.skip("Keras exports no SavedModel of dicts from PyTorch")
    rng = np.random.default_rng(4)
    fused, _, _ = padded([random_sample(rng) for _ in range(3)], ("left", "right"))
    fed = {**fused, "examples": np.cumsum(rng.random(fused["mask"].shape) < 0.1, 1)}
    fed["examples"] = fed["examples"].astype("int32")
    inputs = {
        name: keras.Input((None, *values.shape[2:]), dtype=str(values.dtype), name=name)
        for name, values in fed.items()
    }
    named = {name: inputs[name] for name in fused}
    more = {**MODALITIES, "example_ids": inputs["examples"]}
    model = keras.Model(inputs, mm.rotary_positions(named, rule, **more))
    model.export(tmp_path, format="tf_saved_model", verbose=False)
    served = tf.saved_model.load(tmp_path)
    for length in (160, 31):
        some = {name: tf.constant(values[:, :length]) for name, values in fed.items()}
        more["example_ids"] = fed["examples"][:, :length]
        short = {name: values[:, :length] for name, values in fused.items()}
        expected = array(mm.rotary_positions(short, rule, **more))
        np.testing.assert_array_equal(served.serve(some).numpy(), expected)
