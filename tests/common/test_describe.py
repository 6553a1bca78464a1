"""Layers in one line: what differs from the defaults, built or not."""

import numpy as np
import pytest

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 8},
    "image": {"type": "2d", "dim": 6},
    "second": {"instance_of": "image"},
}
X = {"text": np.zeros((1, 3, 8), "float32")}
FUSION = "modality_configs={'text': 8, 'image': 6, 'second': 6}, unified_dim=8"
LAYERS = [
    (
        mm.MultiModalFusion(CONFIGS, 8, name="f"),
        f"MultiModalFusion({FUSION}, name='f')",
    ),
    (
        mm.MultiModalFusion(CONFIGS, 8, normalization=None, seed=3, name="f"),
        f"MultiModalFusion({FUSION}, normalization=None, seed=3, name='f')",
    ),
    (
        mm.MultiModalTransformer(
            CONFIGS, 8, num_heads=2, normalization=None, causal=True, name="m"
        ),
        f"MultiModalTransformer({FUSION}, num_heads=2, causal=True, "
        "normalization=None, name='m')",
    ),
    (
        mm.PositionEmbedding2D(2, 3, kind="learned", name="p"),
        "PositionEmbedding2D(height=2, width=3, kind='learned', name='p')",
    ),
    (
        mm.PatchEmbedding(2, 6, name="patches"),
        "PatchEmbedding(patch_size=[2, 2], output_dim=6, strides=[2, 2], "
        "data_format='channels_last', name='patches')",
    ),
    (mm.ZeroGate(name="gate"), "ZeroGate(name='gate')"),
]


@pytest.mark.parametrize(("layer", "expected"), LAYERS, ids=[e for _, e in LAYERS])
def test_repr(layer, expected):
    assert repr(layer) == expected
    if "text" in expected:
        layer(X)
        assert repr(layer) == expected
