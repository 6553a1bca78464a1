"""The competitors that are Keras layers, so that they run on every backend.

Every class takes a `Size` and the dropout rate. `build_at` gives all of them the same
weights.
"""

import keras
import numpy as np
from keras import ops

from benchmarks import sizes
from keras_mmembed import MultiModalAttention, MultiModalFusion


class Floor(keras.layers.Layer):
    """The program that is left without the embeddings and the norm."""

    def __init__(self, size, dropout):
        super().__init__()
        self.projection = keras.layers.Dense(size.width)
        self.drop = keras.layers.Dropout(dropout)

    def call(self, inputs, training=None):
        audio = self.projection(inputs["audio"])
        fused = ops.concatenate([inputs["text"], inputs["image"], audio], axis=1)
        return self.drop(fused, training=training)


class Copy(keras.layers.Layer):
    """Reads and writes as many numbers as the fused sequence has."""

    def __init__(self):
        super().__init__()
        self.built = True

    def call(self, inputs, training=None):
        return ops.negative(inputs["fused"])


class EmptyLayer(keras.layers.Layer):
    """Does nothing: what Keras takes to call a layer with these inputs."""

    def __init__(self):
        super().__init__()
        self.built = True

    def call(self, inputs, training=None):
        return inputs["text"]


class NaiveComposition(keras.layers.Layer):
    """The layers of Keras in the order of the formula, as one writes them by hand.

    The positions are a table that is made once; the vector of a modality is looked up
    for every token.
    """

    def __init__(self, size, dropout):
        super().__init__()
        tables = sizes.position_tables(size)
        self.tables = {n: ops.convert_to_tensor(table) for n, table in tables.items()}
        self.projection = keras.layers.Dense(size.width)
        self.modality = keras.layers.Embedding(3, size.width)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6)
        self.drop = keras.layers.Dropout(dropout)
        self.join = keras.layers.Concatenate(axis=1)

    def positions(self, name, x):
        return self.tables[name]

    def call(self, inputs, training=None):
        parts = []
        for index, name in enumerate(("text", "image", "audio")):
            x = self.projection(inputs[name]) if name == "audio" else inputs[name]
            x = x + self.positions(name, x)
            ids = ops.full(ops.shape(x)[:2], index, dtype="int32")
            x = self.norm(x + self.modality(ids))
            parts.append(self.drop(x, training=training))
        return self.join(parts)


class Block(keras.layers.Layer):
    """A block of an encoder (pre-norm), by default without positions in attention."""

    def __init__(self, width, rotary=None):
        super().__init__()
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.attention = MultiModalAttention(width // 64, rotary=rotary)
        self.hidden = keras.layers.Dense(4 * width, activation="gelu")
        self.outputs = keras.layers.Dense(width)

    def call(self, inputs, training=None):
        tokens = inputs["tokens"]
        tokens = tokens + self.attention(self.norms[0](tokens))
        return tokens + self.outputs(self.hidden(self.norms[1](tokens)))


class KerasHubComposition(NaiveComposition):
    """The same with the position layer of KerasHub; it knows sequences only."""

    def __init__(self, size, dropout):
        import keras_hub

        super().__init__(size, dropout)
        self.encoding = keras_hub.layers.SinePositionEncoding()

    def positions(self, name, x):
        return self.encoding(x)


def fusion(size, dropout):
    """Return the layer of this package."""
    configs = sizes.modality_configs(size)
    return MultiModalFusion(configs, size.width, dropout=dropout)


def build_at(layer, size):
    """Build a layer by a call, and give it the shared weights."""
    layer({name: np.zeros(shape, "float32") for name, shape in size.shapes.items()})
    shared = sizes.shared_weights(size)
    rows = dict(zip(size.shapes, shared["modality"], strict=True))
    for weight in layer.weights:
        owner, name = weight.path.split("/")[-2:]
        # the vectors of modalities are weights of their own names
        value = rows[name] if owner == "modality" and name in rows else None
        if value is None:
            value = shared["modality" if name == "embeddings" else name]
        weight.assign(value)
    return layer
