"""Published rotary embeddings, and queries and positions for them."""

import importlib

import numpy as np
from published import array, torch, transformers

HEAD, HEADS, LENGTH = 128, 2, 7


def module_of(name):
    return importlib.import_module(f"transformers.models.{name}.modeling_{name}")


def config_of(name, **more):
    """Return a small configuration of a text model."""
    base = {"hidden_size": HEAD * HEADS, "num_attention_heads": HEADS}
    base |= {"head_dim": HEAD, "max_position_embeddings": 64, "num_hidden_layers": 1}
    base |= {"num_key_value_heads": 1, "intermediate_size": 32, "vocab_size": 40}
    return getattr(transformers, name)(**{**base, **more})


def vision_config(name, **more):
    base = {"hidden_size": HEAD * HEADS, "embed_dim": HEAD * HEADS, "head_dim": HEAD}
    base |= {"num_heads": HEADS, "num_attention_heads": HEADS}
    return getattr(transformers, name)(**{**base, **more})


def positions_of(axes, batch=2):
    # the angles of the published modules are float32: larger ones differ by more
    rng = np.random.default_rng(axes)
    return rng.integers(0, 16, (batch, LENGTH, axes) if axes > 1 else (batch, LENGTH))


def queries(head_dim=HEAD, batch=2):
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (batch, LENGTH, HEADS, head_dim)).astype("float32")


def heads_first(x):
    return torch.tensor(x).transpose(1, 2)


def turned(module, rotary, position_ids, x, apply="apply_rotary_pos_emb"):
    """Return what a text model makes of queries, `(batch, length, heads, channels)`."""
    cos, sin = rotary(torch.tensor(x), position_ids)
    query, _ = getattr(module, apply)(heads_first(x), heads_first(x), cos, sin)
    return array(query.transpose(1, 2))
