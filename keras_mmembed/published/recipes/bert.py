"""BERT and the models with its encoder: texts, and what stands beside them."""

from collections.abc import Mapping
from typing import Any

from keras_mmembed.common.types import Config
from keras_mmembed.positions.layers import PositionEmbedding1D
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe

# what a file has besides the encoder: heads, and numbers from 0 in old files
UNUSED = ("embeddings.position_ids", "cls.*", "lm_head.*", "qa_outputs.*")
TEXT = {
    **names.table("fusion/text/embedding", "embeddings.word_embeddings"),
    **names.table("fusion/text/position", "embeddings.position_embeddings"),
    **names.table("fusion/text/segment", "embeddings.token_type_embeddings"),
}
ENCODER = {
    **TEXT,
    **names.norm("fusion/norm", "embeddings.LayerNorm"),
    **names.block(names.BERT_BLOCK),
    **names.dense("pooler", "pooler.dense"),
}
BERT: Recipe = {
    "weights": {
        **ENCODER,
        "head/kernel": "classifier.weight",
        "head/bias": "classifier.bias",
    },
    "unused": (*UNUSED, "pooler.dense.*"),
    "prefixes": ("bert.",),
}
# its classifier is a pooler of its own and a dense layer
ROBERTA: Recipe = {
    "weights": {
        **ENCODER,
        "pooler/kernel": ["classifier.dense.weight", "pooler.dense.weight"],
        "pooler/bias": ["classifier.dense.bias", "pooler.dense.bias"],
        **names.dense("head", "classifier.out_proj"),
    },
    "unused": (*UNUSED, "pooler.dense.*"),
    "prefixes": ("roberta.",),
}
WITH_HEAD = ("ForSequenceClassification",)
WITH_POOLER = ("Model", "ForSequenceClassification")


def text_of(config: Mapping[str, Any]) -> Config:
    """Return the configuration of the modality `text`."""
    return {
        "type": "1d",
        "max_len": settings.size_of(config, "max_position_embeddings"),
        "position": "learned",
        "vocabulary_size": settings.size_of(config, "vocab_size"),
        "segments": settings.size_of(config, "type_vocab_size"),
        **settings.padding_of(config),
    }


def bert(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of BERT."""
    settings.check_known(
        config, {"position_embedding_type": "absolute", "is_decoder": False}
    )
    return settings.encoder_of(
        config,
        modality_configs={"text": text_of(config)},
        norm_first=False,
        pooling="first",
        pooler=settings.has_part(config, WITH_POOLER),
        num_outputs=settings.labels_of(config, WITH_HEAD),
    )


def roberta(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of RoBERTa."""
    arguments = bert(config)
    length = settings.size_of(config, "max_position_embeddings")
    position = PositionEmbedding1D(length, kind="learned", convention="roberta")
    text = {**arguments["modality_configs"]["text"], "position": position}
    del text["max_len"]
    return {**arguments, "modality_configs": settings.modalities(text=text)}
