"""Whole models: small ones of the library, and that of an example."""

import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np

import keras_mmembed as mm

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name):
    """Return the module of an example, whose name need not be an identifier."""
    path = EXAMPLES / name
    if str(path.parent) not in sys.path:  # as if it were run
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem.strip("0123456789_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def vqa():
    """Return the model of the first example, as it is served, and a batch for it."""
    visual = example("01_visual_question_answering.py")
    inputs = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "board": keras.Input((None, None, visual.CELL), name="board"),
    }
    model = keras.Model(inputs, visual.make_model()(inputs), name="vqa")
    boards = np.random.default_rng(0).random((8, 3, 3, visual.CELL)).astype("float32")
    from boards import question_tokens

    return model, {"text": question_tokens()[:8], "board": boards}


def fused(dtype=None, image_dtype="float32"):
    """Return a model of text ids and an optional image, with nested outputs."""
    words = keras.Input((None,), dtype="int32", name="words")
    image = keras.Input((None, None, 6), name="image", dtype=image_dtype, optional=True)
    valid = keras.Input((None,), dtype="bool", name="valid")
    text = keras.layers.Embedding(2, 8, dtype=dtype)(words)
    fusion = mm.MultiModalFusion(
        {
            "text": {"type": "1d", "dim": 8},
            "image": {"type": "2d", "dim": 6},
        },
        8,
        dropout=0.0,
        return_dict=True,
        dtype=dtype,
    )
    out = fusion({"text": text, "image": image}, mask={"text": valid})
    pooled = keras.layers.Dense(3, dtype=dtype)(out["embeddings"][:, 0])
    return keras.Model(
        {"words": words, "valid": valid, "image": image},
        {"fused": {n: out[n] for n in ("embeddings", "mask")}, "pooled": pooled},
        name="fused",
    )


def small(outputs=None, layer=None, name="x"):
    """Return a model of one input."""
    x = keras.Input((None, 4), name=name)
    y = keras.layers.Dense(3)(x if layer is None else layer(x))
    return keras.Model(x, y if outputs is None else outputs(y), name="small")


def every_other_layer():
    """Return a model of the layers that take what others return, and a batch for it."""
    sizes = {"text": 8, "audio": 6}
    inputs = {n: keras.Input((None, size), name=n) for n, size in sizes.items()}
    fusion = mm.MultiModalFusion(
        {name: {"type": "1d", "dim": size} for name, size in sizes.items()},
        8,
        dropout=0.0,
        return_dict=True,
    )
    fused = fusion(inputs)
    allowed = mm.AttentionMask(fusion.modalities, causal=True, prefix=["text"])(fused)
    tokens = fused["embeddings"]
    mixed = keras.layers.MultiHeadAttention(2, 4)(
        tokens, tokens, attention_mask=allowed
    )
    gate = mm.ZeroGate()
    parts = fusion.split(gate([tokens, mixed]), like=inputs)
    gate.set_weights([np.float32(0.7)])
    answers = keras.layers.Dense(3)(parts["audio"])
    model = mm.with_lengths(keras.Model(inputs, answers), list(sizes))
    rng = np.random.default_rng(0)
    batch = {n: rng.normal(size=(2, 5, s)).astype("float32") for n, s in sizes.items()}
    lengths = {f"{name}_lengths": np.array([5, 3], "int32") for name in sizes}
    return model, {**batch, **lengths}
