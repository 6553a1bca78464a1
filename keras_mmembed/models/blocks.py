"""The blocks of a model."""

import copy
from typing import Any

from keras_mmembed.models.block import TransformerBlock
from keras_mmembed.models.options import plain


class EncoderBlock(TransformerBlock):
    """The block of a model; files of models have its weights under this name."""


def make_blocks(
    num_layers: int, *, seed: int | None, relative_bias: Any = None, **options: Any
) -> list[TransformerBlock]:
    """Return the blocks of a model, each with a name and a seed of its own."""
    return [
        EncoderBlock(
            seed=None if seed is None else seed + index + 1,
            # several blocks must not share what is written as arguments
            relative_bias=copy.deepcopy(plain(relative_bias)),
            name=f"block_{index}",
            **options,
        )
        for index in range(num_layers)
    ]
