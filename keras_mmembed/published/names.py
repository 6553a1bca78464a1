"""Entries of recipes for what most published models have: dense layers, norms, blocks.

`{i}` is the number of a block, in our paths and in their names.
"""

from collections.abc import Mapping

from keras_mmembed.published.recipe import Origin

Entries = dict[str, Origin]


def dense(ours: str, theirs: str, *, bias: bool = True) -> Entries:
    """Return the entries of a dense layer or a convolution."""
    entries: Entries = {f"{ours}/kernel": f"{theirs}.weight"}
    return {**entries, f"{ours}/bias": f"{theirs}.bias"} if bias else entries


def norm(ours: str, theirs: str) -> Entries:
    """Return the entries of a layer normalization.

    The first files of BERT came from TensorFlow and have gamma and beta.
    """
    return {
        f"{ours}/gamma": [f"{theirs}.weight", f"{theirs}.gamma"],
        f"{ours}/beta": [f"{theirs}.bias", f"{theirs}.beta"],
    }


def rms_norm(ours: str, theirs: str) -> Entries:
    """Return the entry of a norm without a shift."""
    return {f"{ours}/scale": f"{theirs}.weight"}


def table(ours: str, theirs: str) -> Entries:
    """Return the entry of an embedding."""
    return {f"{ours}/embeddings": f"{theirs}.weight"}


def block(
    names: Mapping[str, str], ours: str = "block_{i}", *, is_rms: bool = False
) -> Entries:
    """Return the entries of a block.

    Args:
        names: Their names of the parts `query`, `key`, `value`, `attention_output`,
            `attention_norm`, `hidden`, `up`, `output`, `mlp_norm`.
        ours: Path of the block.
        is_rms: Whether its norms do not shift.
    """
    entries: Entries = {}
    for part, theirs in names.items():
        if part.endswith("norm"):
            make = rms_norm if is_rms else norm
            entries |= make(f"{ours}/{part}", theirs)
        else:
            inner = part in ("query", "key", "value", "attention_output")
            where = f"{ours}/attention/{part}" if inner else f"{ours}/{part}"
            entries |= dense(where, theirs)
    return entries


def inside(prefix: str, names: Mapping[str, str]) -> dict[str, str]:
    """Return names with a prefix."""
    return {part: f"{prefix}.{name}" for part, name in names.items()}


def below(ours: str, entries: Mapping[str, Origin], theirs: str = "") -> Entries:
    """Return the entries of a model inside another.

    Args:
        ours: Its path in our model.
        entries: Its own entries.
        theirs: What its names have in front.
    """
    return {f"{ours}/{path}": _renamed(one, theirs) for path, one in entries.items()}


def _renamed(origin: Origin, prefix: str) -> Origin:
    if isinstance(origin, str):
        return prefix + origin
    if isinstance(origin, (tuple, list)):
        return type(origin)(_renamed(one, prefix) for one in origin)
    return origin


BERT_BLOCK = inside(
    "encoder.layer.{i}",
    {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "hidden": "intermediate.dense",
        "output": "output.dense",
        "mlp_norm": "output.LayerNorm",
    },
)
VIT_BLOCK = inside(
    "encoder.layer.{i}",
    {
        "query": "attention.attention.query",
        "key": "attention.attention.key",
        "value": "attention.attention.value",
        "attention_output": "attention.output.dense",
        "attention_norm": "layernorm_before",
        "hidden": "intermediate.dense",
        "output": "output.dense",
        "mlp_norm": "layernorm_after",
    },
)
CLIP_BLOCK = inside(
    "encoder.layers.{i}",
    {
        "query": "self_attn.q_proj",
        "key": "self_attn.k_proj",
        "value": "self_attn.v_proj",
        "attention_output": "self_attn.out_proj",
        "attention_norm": "layer_norm1",
        "hidden": "mlp.fc1",
        "output": "mlp.fc2",
        "mlp_norm": "layer_norm2",
    },
)
