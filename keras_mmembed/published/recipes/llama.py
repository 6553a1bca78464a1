"""Language models of the kind of Llama."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common.types import Config
from keras_mmembed.published import names, settings
from keras_mmembed.published.recipe import Recipe

BLOCK = names.inside(
    "layers.{i}",
    {
        "query": "self_attn.q_proj",
        "key": "self_attn.k_proj",
        "value": "self_attn.v_proj",
        "attention_output": "self_attn.o_proj",
        "attention_norm": "input_layernorm",
        "hidden": "mlp.gate_proj",
        "up": "mlp.up_proj",
        "output": "mlp.down_proj",
        "mlp_norm": "post_attention_layernorm",
    },
)
LLAMA: Recipe = {
    "weights": {
        **names.table("fusion/text/embedding", "embed_tokens"),
        **names.block(BLOCK, is_rms=True),
        **names.rms_norm("norm", "norm"),
        "head/kernel": "lm_head.weight",
    },
    # frequencies, which old files hold; a head that is tied
    "unused": ("layers.*.rotary_emb.inv_freq", "lm_head.weight"),
    "prefixes": ("model.",),
}


def rotary_of(config: Mapping[str, Any], convention: str = "llama") -> Config:
    """Return the arguments of a rotary embedding, in new and old configurations."""
    rules = _rules(config)
    wavelength = rules.pop("rope_theta", config.get("rope_theta", 10000.0))
    kind = rules.pop("type", "default")
    kind = rules.get("rope_type", kind)
    rotary = {"convention": convention, "max_wavelength": float(wavelength)}
    # the sections of several axes are no scaling
    if kind in ("default", "mrope"):
        return rotary
    return {**rotary, "scaling": {**rules, "rope_type": kind}}


def sections_of(config: Mapping[str, Any]) -> list[int]:
    """Return how many pairs of channels each axis of a rotary embedding turns."""
    return list(settings.value_of(_rules(config), "mrope_section"))


def _rules(config: Mapping[str, Any]) -> Config:
    return dict(config.get("rope_parameters") or config.get("rope_scaling") or {})


def llama(config: Mapping[str, Any]) -> Config:
    """Return the arguments of a model with the configuration of Llama."""
    settings.check_known(config, {"attention_bias": False, "mlp_bias": False})
    size = settings.size_of(config, "vocab_size")
    heads = settings.size_of(config, "num_attention_heads")
    text = {
        "type": "1d",
        "position": None,
        "vocabulary_size": size,
        **settings.padding_of(config),
    }
    is_tied, head = bool(config.get("tie_word_embeddings")), None
    has_head = settings.has_part(config, ("ForCausalLM",))
    if has_head and not is_tied:
        layer = keras.layers.Dense(size, use_bias=False, name="head")
        head = keras.saving.serialize_keras_object(layer)
    return settings.encoder_of(
        {**config, "layer_norm_eps": settings.value_of(config, "rms_norm_eps")},
        modality_configs=settings.modalities(text=text),
        normalization=None,
        norm_type="rms",
        mlp="gated",
        use_bias=False,
        num_key_value_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim"),
        rotary=rotary_of(config),
        causal=True,
        pooling="tokens",
        tie_embeddings=has_head and is_tied,
        head=head,
    )
