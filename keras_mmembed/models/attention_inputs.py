"""What the attention of all blocks gets from the metadata of the fused sequence."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras

from keras_mmembed.attention.bias_conventions import BIAS_CONVENTIONS
from keras_mmembed.attention.parts import make_bias
from keras_mmembed.attention.position_ids import rotary_positions
from keras_mmembed.attention.position_rules import (
    POSITION_RULE_NAMES,
    POSITION_RULES,
    PositionRuleName,
)
from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.attention.rotary import RotaryEmbedding
from keras_mmembed.common import checks
from keras_mmembed.common.types import Config, Tensor
from keras_mmembed.fusion.layer import MultiModalFusion

RotaryRule: TypeAlias = PositionRuleName | Mapping[str, Any]
# besides the rule itself, arguments of `rotary_positions`
RULE_KEYS = ("rule", "audio", "rate")
# by number of axes, the rule of the positions of a relative bias
BIAS_RULES: dict[int, PositionRuleName] = {1: "sequence", 2: "image", 3: "clip"}


def grid_modalities(fusion: MultiModalFusion) -> list[str]:
    """Return the names of the modalities that are images or clips."""
    types = {name: fusion.branch(name).config["type"] for name in fusion.modalities}
    return [name for name, type_ in types.items() if type_ in ("2d", "3d")]


def check_rotary_rule(
    who: str, rotary_rule: Any, rotary: RotaryEmbedding | None, grids: Sequence[str]
) -> Config:
    """Return the arguments of `rotary_positions` that a rule stands for, or raise.

    Args:
        who: Name of the model.
        rotary_rule: The name of a rule, or a dict of the keys `RULE_KEYS`.
        rotary: The rotary embedding, whose axes the rule must have.
        grids: Names of the modalities that are images or clips.
    """
    is_name = isinstance(rotary_rule, str)
    options = {"rule": rotary_rule} if is_name else rotary_rule
    rule = "be a dict of arguments, or the name of a rule"
    fits = isinstance(options, Mapping)
    checks.check(fits, who, "rotary_rule", rule, repr(rotary_rule), error=TypeError)
    rule = f"have the key `rule`, and of {list(RULE_KEYS[1:])} those that it uses"
    fits = "rule" in options and set(options) <= set(RULE_KEYS)
    checks.check(fits, who, "rotary_rule", rule, repr(rotary_rule))
    name: Any = options["rule"]
    checks.check_choice(who, "rotary_rule", name, POSITION_RULE_NAMES)
    if rotary is None:
        rule = 'be "sequence" without `rotary`, which would use it'
        checks.check(rotary_rule == "sequence", who, "rotary_rule", rule, rotary_rule)
        return {"rule": name}
    axes = rotary.num_axes
    fitting = [one for one, row in POSITION_RULES.items() if len(row.axes) == axes]
    rule = f"have {axes} axes, as rotary={rotary.convention!r}: one of {fitting}"
    checks.check(name in fitting, who, "rotary_rule", rule, repr(name))
    named = {**options, "rule": name}
    return {**named, "grids": list(grids)} if name != "sequence" else named


def make_shared_bias(
    layer: keras.layers.Layer, bias: Any, num_heads: int
) -> RelativePositionBias | None:
    """Return the bias that all blocks share, `None` if each block has its own.

    Args:
        layer: The model.
        bias: The name of a convention, arguments, a layer, or `None`.
        num_heads: Number of attention heads.
    """
    made = make_bias(layer, bias, num_heads, "relative_bias")
    if made is None:
        return None
    who = type(layer).__name__
    rule = "have positions of a sequence or a grid, which the fused sequence has"
    is_boxes = made.grid is None and made.num_axes > 1
    remedy = "Build the blocks with TransformerBlock, and pass their positions."
    checks.check(not is_boxes, who, "relative_bias", rule, repr(bias), remedy)
    is_layer = isinstance(bias, RelativePositionBias)
    return made if is_layer or BIAS_CONVENTIONS[made.convention].is_shared else None


def attention_inputs(model: Any, fused: Mapping[str, Tensor]) -> Config:
    """Return the arguments of all blocks that follow from the positions of tokens.

    Args:
        model: The model, with its rotary embedding and its relative bias.
        fused: The outputs of its fusion.
    """
    arguments: Config = {}
    if model.rotary is not None:
        modalities, rule = model.fusion.modalities, model.rotary_rule
        positions = rotary_positions(fused, modalities=modalities, **rule)
        arguments["rotations"] = model.rotary.rotations(positions)
    bias = model.relative_bias
    if bias is None:
        return arguments
    positions = bias_positions(model, fused)
    if isinstance(bias, RelativePositionBias):
        return {**arguments, "attention_bias": bias(positions)}
    return {**arguments, "positions": positions}


def bias_axes(model: Any) -> int:
    """Return the number of axes of the positions of a relative bias."""
    bias = model.relative_bias
    is_shared = isinstance(bias, RelativePositionBias)
    return (bias if is_shared else model.blocks[0].relative_bias).num_axes


def bias_positions(model: Any, fused: Mapping[str, Tensor]) -> Tensor:
    """Return the positions of all tokens for the relative bias of a model."""
    rule = BIAS_RULES[bias_axes(model)]
    if rule == "sequence":
        return rotary_positions(fused)
    named = {
        "modalities": model.fusion.modalities,
        "grids": grid_modalities(model.fusion),
    }
    return rotary_positions(fused, rule, **named)
