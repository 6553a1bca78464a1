"""Published models with random weights, written to a folder as published."""

import keras
import numpy as np
from published import SMALL, array, torch

RNG = np.random.default_rng(1)
# JAX compiles each model, and for long
BLOCKS = 1 if keras.backend.backend() == "jax" else 2
TEXT = {**SMALL, "num_hidden_layers": BLOCKS, "vocab_size": 40}
TEXT["max_position_embeddings"] = 20
IMAGE = {**SMALL, "num_hidden_layers": BLOCKS, "image_size": 16, "patch_size": 4}
WORDS = RNG.integers(3, 40, (2, 6)).astype("int32")
PIXELS = RNG.normal(size=(2, 16, 16, 3)).astype("float32")


def written(module, folder):
    """Write a published model with random weights, in evaluation."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        # small ones, that rounding does not grow from block to block
        parameter.data.normal_(std=0.3, generator=generator)
    module.eval().save_pretrained(folder)
    return module


def channels_first(pixels):
    return torch.tensor(np.moveaxis(pixels, -1, -3).copy())


def padded(padding):
    words = WORDS.copy()
    words[1, 4:] = padding
    return words, (words != padding).astype("int64")


def same(got, expected, valid=None):
    got, expected = array(got), array(expected)
    assert got.shape == expected.shape
    if valid is not None:
        got, expected = got[valid > 0], expected[valid > 0]
    np.testing.assert_allclose(got, expected, atol=1e-5 * max(1, abs(expected).max()))
