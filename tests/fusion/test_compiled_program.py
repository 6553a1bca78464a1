"""How much work the fusion is, counted in the program that runs, not in seconds."""

import keras
import numpy as np
import pytest
import work_counts
from keras import ops

from keras_mmembed import MultiModalFusion

BACKEND = keras.backend.backend()
# XLA makes one kernel of a norm from about a million numbers on
WIDTH, BATCH = 256, 256
CONFIGS = {
    "text": {"type": "1d", "max_len": 16, "dim": WIDTH},
    "image": {"type": "2d", "height": 3, "width": 4, "dim": WIDTH},
    "audio": {"type": "1d", "dim": 8},
}
SHAPES = {
    "text": (BATCH, 5, WIDTH),
    "image": (BATCH, 12, WIDTH),
    "audio": (BATCH, 7, 8),
}
TOKENS = 24

# Tensors of the fused size that a program writes, above those that the floor writes.
# A norm needs at least one, and two where every operation is a pass of its own.
MOST_WRITTEN = {
    ("jax", "forward"): 1,
    ("jax", "step"): 4,
    ("tensorflow", "forward"): 6,
    ("tensorflow", "step"): 19,
    ("torch", "forward"): 2,
    ("torch", "step"): 2.5,
}
# sines that every call computes; the audio has no declared length, and the
# compiler of PyTorch cannot trace the table that the others make while they trace
MOST_SINES = {"jax": 0, "tensorflow": 0, "torch": 1}


class Floor(keras.layers.Layer):
    """The fusion without its embeddings and its norm."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.projection = keras.layers.Dense(WIDTH)
        self.drop = keras.layers.Dropout(dropout)

    def call(self, inputs, training=None):
        audio = self.projection(inputs["audio"])
        fused = ops.concatenate([inputs["text"], inputs["image"], audio], axis=1)
        return self.drop(fused, training=training)


def features():
    rng = np.random.default_rng(0)
    return {
        name: ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))
        for name, shape in SHAPES.items()
    }


def counted(layer, kind):
    """Return the operations of a program as `(name, shape of the result)`."""
    inputs = features()
    shape = layer(inputs).shape
    cotangent = ops.ones(tuple(shape)) if kind == "step" else None
    return work_counts.operations(layer, inputs, cotangent)


def written(operations):
    """Return how many tensors of the fused size are written.

    What has no batch axis is smaller than the shortest modality of the whole batch.
    """
    sizes = [np.prod(shape) for _, shape in operations]
    fused = BATCH * TOKENS * WIDTH
    return sum(size for size in sizes if size > TOKENS * WIDTH) / fused


def fusion(dropout=0.0):
    return MultiModalFusion(CONFIGS, WIDTH, dropout=dropout)


@pytest.mark.parametrize("kind", ["forward", "step"])
def test_little_is_written_above_the_floor(kind):
    above = written(counted(fusion(), kind)) - written(counted(Floor(), kind))
    assert 0 < above < MOST_WRITTEN[BACKEND, kind] + 0.1


@pytest.mark.skipif(BACKEND != "jax", reason="XLA counts what it computes")
def test_a_dropout_is_not_drawn_for_every_reader():
    """A norm in few passes would have its random numbers drawn twice as often."""
    inputs, count = features(), {}
    for layer in (fusion(dropout=0.1), Floor(dropout=0.1)):
        cotangent = ops.ones(tuple(layer(inputs).shape))
        program = work_counts.compiled_jax(layer, inputs, cotangent)
        count[type(layer)] = program.cost_analysis()["flops"]
    assert count[MultiModalFusion] <= count[Floor]


def test_no_vector_is_looked_up_for_every_token():
    """The vector of a modality, and a known position, need no gather."""
    names = [name.lower() for name, _ in counted(fusion(), "forward")]
    looked_up = [n for n in names if "gather" in n or "embedding" in n or "index" in n]
    assert not looked_up


def test_known_positions_are_computed_once():
    sines = [shape for name, shape in counted(fusion(), "forward") if name == "sin"]
    assert len(sines) <= MOST_SINES[BACKEND]
    assert all(np.prod(shape) <= TOKENS * WIDTH for shape in sines)


@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.skipif(BACKEND != "torch", reason="a compiler of PyTorch")
def test_graph_breaks():
    import torch

    layer, inputs = fusion(), features()
    layer(inputs)
    torch._dynamo.reset()
    found = torch._dynamo.explain(lambda x: layer(x, training=False))(inputs)
    assert found.graph_break_count == 0, [str(x.reason) for x in found.break_reasons]
