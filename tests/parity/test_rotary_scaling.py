"""Scalings of rotary position embeddings against published ones."""

import numpy as np
import pytest
from published import array, torch, transformers
from published_rotary import (
    HEAD,
    config_of,
    heads_first,
    module_of,
    positions_of,
    queries,
    turned,
)

import keras_mmembed as mm

ORIGINAL = {"original_max_position_embeddings": 64}
FACTORS = {
    "short_factor": list(np.linspace(1.0, 1.5, HEAD // 2)),
    "long_factor": list(np.linspace(1.0, 9.0, HEAD // 2)),
}
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
SCALINGS = {
    "linear": {"rope_type": "linear", "factor": 8.0},
    "dynamic-short": {"rope_type": "dynamic", "factor": 4.0, **ORIGINAL},
    "dynamic-long": {
        "rope_type": "dynamic",
        "factor": 4.0,
        "max_length": 130,
        **ORIGINAL,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, **ORIGINAL},
    "yarn-all": {
        "rope_type": "yarn",
        "factor": 40.0,
        "beta_fast": 16.0,
        "beta_slow": 2.0,
        "mscale": 0.7,
        "mscale_all_dim": 1.2,
        "truncate": False,
        "original_max_position_embeddings": 4096,
    },
    "llama3": {"rope_type": "llama3", "factor": 8.0, **LLAMA3, **ORIGINAL},
    "longrope-short": {"rope_type": "longrope", "factor": 4.0, **FACTORS, **ORIGINAL},
    "longrope-long": {
        "rope_type": "longrope",
        "factor": 4.0,
        "max_length": 130,
        **FACTORS,
        **ORIGINAL,
    },
    "proportional": {
        "rope_type": "proportional",
        "partial_rotary_factor": 0.25,
        "factor": 2.0,
    },
}


@pytest.mark.parametrize("name", SCALINGS)
def test_scaling(name):
    scaling = dict(SCALINGS[name])
    published = {**scaling, "rope_theta": 1e4}
    length = published.pop("max_length", None)
    config = config_of("LlamaConfig", rope_parameters=published)
    function = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS
    inverse, factor = function[scaling["rope_type"]](config, seq_len=length)
    x, positions = queries(), positions_of(1).astype("int32")
    angles = torch.tensor(positions[..., None]) * torch.cat([inverse, inverse])
    module, query = module_of("llama"), heads_first(x)
    cos, sin = angles.cos() * factor, angles.sin() * factor
    got = module.apply_rotary_pos_emb(query, query, cos, sin)[0]
    expected = array(got.transpose(1, 2))
    plain = array(mm.RotaryEmbedding()(x, positions))
    layer = mm.RotaryEmbedding(scaling=scaling)
    np.testing.assert_allclose(array(layer(x, positions)), expected, atol=2e-6, rtol=0)
    if name != "dynamic-short":
        assert np.abs(expected - plain).max() > 1e-2


def test_scaling_of_hunyuan():
    parameters = {"rope_type": "dynamic", "alpha": 1000.0, "rope_theta": 1e4}
    parameters |= {"mrope_section": [16, 16, 16, 16], "factor": 1.0}
    config = config_of("HunYuanVLTextConfig", rope_parameters=parameters)
    module, x, positions = module_of("hunyuan_vl"), queries(), positions_of(4)
    rotary = module.HunYuanVLRotaryEmbedding(config)
    ids = torch.tensor(positions).permute(2, 0, 1)
    expected = turned(module, rotary, ids, x)
    scaling = {"rope_type": "ntk_alpha", "alpha": 1000.0}
    layer = mm.RotaryEmbedding("hunyuan_vl", scaling=scaling)
    got = array(layer(x, positions.astype("int32")))
    np.testing.assert_allclose(got, expected, atol=2e-6, rtol=0)
