"""Configurations by name: data to start from."""

import json

import numpy as np
import pytest

import keras_mmembed as mm

RAW = {
    "text": np.array([[5, 6, 7]], "int32"),
    "image": np.ones((1, 40, 64, 3), "float32"),
    "video": np.ones((1, 4, 32, 32, 3), "float32"),
    "audio": np.ones((1, 4000), "float32"),
}


@pytest.mark.parametrize(
    "application", ["visual_question_answering", "video_captioning", "sentiment"]
)
def test_presets_are_plain_data_and_take_raw_inputs(application):
    config = mm.preset(application, "tiny")
    assert json.loads(json.dumps(config)) == config
    model = mm.MultiModalTransformer(**config, num_outputs=2)
    inputs = {name: RAW[name] for name in config["modality_configs"]}
    assert tuple(model(inputs).shape) == (1, 2)
    assert mm.preset(application)["unified_dim"] == 768
