"""Position ids of what a fusion returns."""

import numpy as np
from tensors import array

import keras_mmembed as mm


def test_of_what_a_fusion_returns():
    fusion = mm.MultiModalFusion(
        {
            "text": {"type": "1d", "vocabulary_size": 9, "padding_id": 0},
            "image": {"type": "2d", "dim": 8, "into": "text"},
        },
        8,
        return_dict=True,
    )
    ids = np.array([[3, 4, 8, 8, 8, 8, 5, 6, 0]])
    fused = fusion(
        {"text": ids, "image": np.ones((1, 2, 2, 8))},
        placeholders={"image": ids == 8},
    )
    options = {"modalities": fusion.modalities, "grids": ["image"]}
    got = array(mm.rotary_positions(fused, "qwen2_vl", **options))[0]
    expected = [[0] * 3, [1] * 3, [2, 2, 2], [2, 2, 3], [2, 3, 2], [2, 3, 3]]
    expected += [[4] * 3, [5] * 3, [0] * 3]
    np.testing.assert_array_equal(got, expected)


def test_images_of_two_sizes_in_one_padded_batch():
    fusion = mm.MultiModalFusion(
        {"image": {"type": "2d", "dim": 8}, "text": {"type": "1d", "dim": 8}},
        8,
        return_dict=True,
    )
    fused = fusion(
        {"image": np.ones((2, 3, 4, 8)), "text": np.ones((2, 2, 8))},
        grids={"image": np.array([[3, 4], [2, 1]])},
    )
    options = {"modalities": fusion.modalities, "grids": ["image"]}
    for rule in ("qwen2_vl", "qwen3_vl"):
        got = array(mm.rotary_positions(fused, rule, **options))
        assert got[:, -2:, 0].tolist() == [[4, 5], [2, 3]]
    small = got[1][array(fused["mask"])[1] > 0]
    np.testing.assert_array_equal(small[:2], [[0, 0, 0], [0, 1, 0]])
