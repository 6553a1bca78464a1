"""The tensors of a small BERT, and its configuration, as in published files."""

import json

import numpy as np
from safetensors_files import write

WIDTH, HIDDEN, WORDS, LENGTH = 8, 12, 30, 10
RNG = np.random.default_rng(0)


def published(blocks=2, prefix=""):
    """Return the tensors of a small BERT, by their names in files."""
    shapes = {
        "embeddings.word_embeddings.weight": (WORDS, WIDTH),
        "embeddings.position_embeddings.weight": (LENGTH, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    for block in range(blocks):
        start = f"encoder.layer.{block}"
        dense = {
            "attention.self.query": (WIDTH, WIDTH),
            "attention.self.key": (WIDTH, WIDTH),
            "attention.self.value": (WIDTH, WIDTH),
            "attention.output.dense": (WIDTH, WIDTH),
            "intermediate.dense": (HIDDEN, WIDTH),
            "output.dense": (WIDTH, HIDDEN),
        }
        for name, shape in dense.items():
            shapes[f"{start}.{name}.weight"] = shape
            shapes[f"{start}.{name}.bias"] = shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{start}.{name}.weight"] = (WIDTH,)
            shapes[f"{start}.{name}.bias"] = (WIDTH,)
    tensors = {
        prefix + name: RNG.normal(size=shape).astype("float32")
        for name, shape in shapes.items()
    }
    return {**tensors, f"{prefix}embeddings.position_ids": np.arange(LENGTH)[None]}


CONFIG = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "intermediate_size": HIDDEN,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": LENGTH,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "pad_token_id": 0,
}


def folder_of(folder, config=CONFIG, tensors=None):
    """Write a folder as it is published, with a pooler."""
    if tensors is None:
        pooler = {"weight": np.eye(WIDTH, dtype="float32"), "bias": np.zeros(WIDTH)}
        pooler = {f"pooler.dense.{n}": x.astype("float32") for n, x in pooler.items()}
        tensors = {**published(blocks=1), **pooler}
    (folder / "config.json").write_text(json.dumps(config))
    write(folder / "model.safetensors", tensors)
    return folder
