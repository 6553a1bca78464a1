"""Modality dropout: samples lose modalities at random in training."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from keras_mmembed.common.types import Tensor


def drop_modalities(
    inputs: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    rates: Mapping[str, float],
    seed: keras.random.SeedGenerator,
) -> dict[str, Tensor]:
    """Return which samples keep each modality of a call.

    Args:
        inputs: The inputs by name.
        present: By name, which samples have the modality, where not all do.
        rates: By name, the probability with which a sample loses the modality.
        seed: The generator of the draws.
    """
    batch = ops.shape(next(iter(inputs.values())))[0]
    everywhere = ops.ones((batch,), dtype="bool")
    flags = ops.stack([present.get(name, everywhere) for name in inputs], axis=1)
    kept = draw_present(flags, [rates[name] for name in inputs], seed)
    return {name: kept[:, index] for index, name in enumerate(inputs)}


def draw_present(
    present: Tensor, rates: Sequence[float], seed: keras.random.SeedGenerator
) -> Tensor:
    """Drop modalities of samples at random, and never all that a sample has.

    Shapes:
        present: `(batch, modalities)`, bool.
        rates: one probability per modality.
        result: `(batch, modalities)`, bool.
    """
    draws = keras.random.uniform(ops.shape(present), seed=seed, dtype="float32")
    kept = draws >= ops.convert_to_tensor(rates, dtype="float32")
    kept = ops.logical_and(present, kept)
    scores = ops.where(present, draws, ops.zeros_like(draws) - 1.0)
    luckiest = ops.equal(scores, ops.max(scores, axis=-1, keepdims=True))
    rescued = ops.logical_and(luckiest, ops.logical_not(ops.any(kept, -1, True)))
    return ops.logical_or(kept, ops.logical_and(present, rescued))
