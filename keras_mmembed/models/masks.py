"""The attention masks of a model: one of all, and one that hides gated modalities."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from keras_mmembed.attention.mask import AttentionMask
from keras_mmembed.common import checks
from keras_mmembed.common.types import Config, Tensor
from keras_mmembed.fusion.layout import Layout


def check_rules(
    who: str,
    modalities: Sequence[str],
    causal: bool,
    prefix: Sequence[str],
    hidden: Mapping[str, Sequence[str]] | None,
) -> Config:
    """Return the arguments of `AttentionMask`, as a configuration has them."""
    return {
        "causal": checks.check_flag(who, "causal", causal),
        "prefix": checks.check_list(who, "prefix", prefix, modalities),
        "hidden": {} if hidden is None else hidden,
    }


def check_gated(who: str, gated: Sequence[str], layout: Layout) -> list[str]:
    """Return the names of gated modalities, none of which has special tokens."""
    names = checks.check_list(who, "gated", gated, layout.modalities)
    for name in names:
        rule = "hold no modality with a start or end token, which no rule can hide"
        checks.check(not any(layout.borders[name]), who, "gated", rule, repr(name))
        rule = "hold no modality with a row token, which no rule can hide"
        checks.check(name not in layout.rows, who, "gated", rule, repr(name))
    return names


def make_masks(
    modalities: Sequence[str], rules: Config, gated: Sequence[str]
) -> tuple[AttentionMask | None, AttentionMask | None]:
    """Return the layers that make the masks, `None` where none is needed.

    Args:
        modalities: Names of the modalities.
        rules: The arguments of `AttentionMask`.
        gated: Names of modalities that the narrower mask hides.
    """
    # without rules, a mask of the keys is all that blocks need
    if not any(rules.values()) and not gated:
        return None, None
    wide = AttentionMask(modalities, **rules)
    if not gated:
        return wide, None
    hidden: Config = {**rules["hidden"]}
    hidden["*"] = [*hidden.get("*", []), *gated]
    narrow: Config = {**rules, "hidden": hidden}
    return wide, AttentionMask(modalities, **narrow)


def attention_masks(
    wide: AttentionMask | None,
    narrow: AttentionMask | None,
    fused: Mapping[str, Tensor],
    **step: Any,
) -> list[Tensor]:
    """Return the attention mask, and the narrower one of gated modalities.

    Args:
        wide: The layer that makes the mask.
        narrow: The layer that makes the narrower one.
        fused: The outputs of the fusion, or the metadata of a KV cache.
        **step: `query` and `start_index` of a step whose queries are not the keys.
    """
    if wide is None:
        return [ops.expand_dims(fused["mask"], 1)]
    masks = [wide(dict(fused), **step)]
    return masks if narrow is None else [*masks, narrow(dict(fused), **step)]
