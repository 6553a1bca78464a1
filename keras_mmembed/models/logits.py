"""From the tokens of a decoder to the logits of a vocabulary."""

from typing import Any

from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.tensors import float32_or_better
from keras_mmembed.common.types import Tensor
from keras_mmembed.fusion.layer import MultiModalFusion


def last_modality(fusion: MultiModalFusion) -> str:
    """Return the name of the modality whose tokens come last."""
    hosts = fusion.layout.hosts
    return [name for name in fusion.modalities if name not in hosts][-1]


def tied_vocabulary(who: str, fusion: MultiModalFusion, tie: Any, outputs: Any) -> int:
    """Return how many logits a tied output head has, 0 without one; or raise.

    Args:
        who: Name of the model.
        fusion: Its fusion.
        tie: Its argument `tie_embeddings`.
        outputs: Its argument `num_outputs`.
    """
    if not checks.check_flag(who, "tie_embeddings", tie):
        return 0
    rule = "be False with `num_outputs`, which makes a head of its own"
    checks.check(outputs is None, who, "tie_embeddings", rule, tie)
    name = last_modality(fusion)
    config = fusion.branch(name).config
    rule = f"be False: the last modality, {name!r}, has no 'vocabulary_size'"
    checks.check("vocabulary_size" in config, who, "tie_embeddings", rule, tie)
    width, dim = fusion.unified_dim, config["dim"]
    rule = f"be False: the embedding of {name!r} has width {dim} and not {width}"
    checks.check(dim == width, who, "tie_embeddings", rule, tie)
    return config["vocabulary_size"]


def tied_logits(model: Any, tokens: Tensor) -> Tensor:
    """Return the products of tokens and the vectors of the vocabulary, in float32."""
    embedding = model.fusion.branch(last_modality(model.fusion)).embedding
    dtype = float32_or_better(model.compute_dtype)
    if embedding.quantization_mode is None:
        table = ops.convert_to_tensor(embedding.embeddings)
    else:
        # which scales what it reads
        table = embedding(ops.arange(embedding.input_dim))
    return ops.matmul(ops.cast(tokens, dtype), ops.transpose(ops.cast(table, dtype)))


def token_logits(model: Any, tokens: Tensor) -> Tensor:
    """Return the logits of tokens after the last block, in float32.

    Shapes:
        tokens: `(batch, width)`.
        result: `(batch, vocabulary_size)`.
    """
    # norms have an axis of tokens
    tokens = ops.expand_dims(tokens, 1)
    tokens = tokens if model.norm is None else model.norm(tokens)
    head = model.head
    logits = tied_logits(model, tokens) if head is None else head(tokens)
    return ops.cast(logits[:, 0], float32_or_better(model.compute_dtype))
