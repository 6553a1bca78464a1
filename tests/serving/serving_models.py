"""Models that are served, and layers that cannot be, which need a module for it."""

import keras
import numpy as np
from keras import ops

import keras_mmembed as mm


def requests(model, seed=0, **shapes):
    """Return float32, bool or int32 arrays of shapes by input, batch included."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, shape in shapes.items():
        dtype = model.input[name].dtype
        if "float" in dtype:
            made[name] = rng.normal(size=shape).astype("float32")
        else:
            made[name] = rng.integers(0, 2, size=shape).astype(dtype)
    return made


@keras.saving.register_keras_serializable(package="tests")
class CountsCalls(keras.layers.Layer):
    """Adds how often it was called, which no file knows."""

    calls = 0

    def call(self, x):
        self.calls += 1
        return x + float(self.calls)

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable(package="tests")
class FailsInGraphs(keras.layers.Layer):
    """Works everywhere but in a TensorFlow graph."""

    def call(self, x):
        if keras.backend.backend() == "tensorflow":
            x.numpy()
        return x

    def compute_output_shape(self, shape):
        return shape


class Unregistered(keras.layers.Layer):
    """Not known to another process."""

    def call(self, x):
        return ops.tanh(x)


@keras.saving.register_keras_serializable(package="tests")
class CallsPython(keras.layers.Layer):
    """Runs Python within a TensorFlow graph."""

    def call(self, x):
        if keras.backend.backend() != "tensorflow":
            return x
        import tensorflow as tf

        y = tf.numpy_function(lambda a: a, [x], x.dtype)
        y.set_shape(x.shape)
        return y

    def compute_output_shape(self, shape):
        return shape


def transformer(**more):
    """Return a model of ids, a grid and a mask of any sizes, with two outputs."""
    encoder = mm.MultiModalTransformer(
        {
            "text": {"type": "1d", "dim": 8, "vocabulary_size": 9},
            "image": {"type": "2d", "dim": 6},
        },
        8,
        num_heads=2,
        num_outputs=3,
        **{"num_layers": 2, **more},
    )
    inputs = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "image": keras.Input((None, None, 6), name="image"),
    }
    valid = keras.Input((None,), dtype="bool", name="valid")
    scores = encoder(inputs, mask={"text": valid})
    outputs = {"scores": scores, "shares": keras.layers.Softmax()(scores)}
    return keras.Model({**inputs, "valid": valid}, outputs, name="transformer")


def generator():
    """Return a decoder of text with images in it, and a model that generates by it."""
    decoder = mm.MultiModalTransformer(
        {
            "image": {"type": "2d", "dim": 6, "into": "text"},
            "text": {"type": "1d", "vocabulary_size": 9, "position": None},
        },
        16,
        num_layers=1,
        num_heads=2,
        causal=True,
        rotary={"convention": "qwen2_vl", "sections": [2, 1, 1]},
        rotary_rule="qwen2_vl",
        pooling="tokens",
        tie_embeddings=True,
        seed=1,
    )
    inputs = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "image": keras.Input((None, None, 6), name="image"),
    }
    places = keras.Input((None,), dtype="bool", name="places")
    answer = decoder.generator(4)(inputs, placeholders={"image": places})
    return decoder, keras.Model({**inputs, "places": places}, {"answer": answer})


def padded_by_a_server(requests):
    """Join requests in one batch as a server does, with padding at the end.

    A tensor is padded with its own first element.
    """
    batch = {}
    for name in requests[0]:
        rows = [request[name] for request in requests]
        shape = np.max([row.shape for row in rows], axis=0)[1:]
        full = [np.full((1, *shape), row.flat[0]) for row in rows]
        for target, row in zip(full, rows, strict=True):
            target[tuple(slice(size) for size in row.shape)] = row
        batch[name] = np.concatenate(full)
    return batch


def reader():
    """Return a model of ids that are padded with 0, and of features with a mask."""
    words = keras.Input((None,), dtype="int32", name="words")
    sound = keras.Input((None, 3), name="sound")
    heard = keras.Input((None,), dtype="bool", name="heard")
    text = keras.layers.Embedding(9, 4, mask_zero=True)(words)
    fused = mm.MultiModalFusion(
        {"text": {"type": "1d", "dim": 4}, "sound": {"type": "1d", "dim": 3}},
        4,
        dropout=0.0,
        cls_token=True,
        return_dict=True,
        embeddings_initializer="random_normal",
    )({"text": text, "sound": sound}, mask={"sound": heard})
    tokens, mask = fused["embeddings"], fused["mask"][:, None, :]
    mixed = keras.layers.MultiHeadAttention(2, 4)(tokens, tokens, attention_mask=mask)
    return keras.Model({"words": words, "sound": sound, "heard": heard}, mixed[:, 0])


def padded_reader():
    """Return the reader with lengths, a batch of a server, and the right answers."""
    model = reader()
    rng = np.random.default_rng(0)
    rows = [
        {
            "words": rng.integers(1, 9, (1, n)).astype("int32"),
            "sound": rng.normal(size=(1, m, 3)).astype("float32"),
            "heard": np.ones((1, m), "bool"),
        }
        for n, m in ((2, 5), (4, 1), (1, 3))
    ]
    expected = np.concatenate([model.predict_on_batch(row) for row in rows])
    naive = model.predict_on_batch(padded_by_a_server(rows))
    # otherwise there is nothing to survive
    assert np.abs(naive - expected).max() > 1e-2
    for row in rows:
        del row["heard"]
        for name in ("words", "sound"):
            row[f"{name}_lengths"] = np.array([row[name].shape[1]], "int32")
    served = mm.with_lengths(model, {"words": None, "sound": "heard"})
    return served, padded_by_a_server(rows), expected
