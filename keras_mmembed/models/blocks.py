"""The blocks of a model."""

from typing import Any

from keras_mmembed.models.block import TransformerBlock


class EncoderBlock(TransformerBlock):
    """The block of a model; files of models have its weights under this name."""


def make_blocks(
    num_layers: int, *, seed: int | None, **options: Any
) -> list[TransformerBlock]:
    """Return the blocks of a model, each with a name and a seed of its own."""
    return [
        EncoderBlock(
            seed=None if seed is None else seed + index + 1,
            name=f"block_{index}",
            **options,
        )
        for index in range(num_layers)
    ]
