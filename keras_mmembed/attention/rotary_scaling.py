"""Frequencies of rotary position embeddings for longer sequences: pure functions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict, get_args

import numpy as np

from keras_mmembed.common import checks

ScalingType: TypeAlias = Literal[
    "linear", "dynamic", "ntk_alpha", "yarn", "llama3", "longrope", "proportional"
]
SCALING_TYPES: tuple[ScalingType, ...] = get_args(ScalingType)


class RotaryScaling(TypedDict, total=False):
    """The scaling of a rotary embedding, with the keys of published configurations."""

    rope_type: ScalingType
    factor: float
    original_max_position_embeddings: int
    max_length: int
    alpha: float
    attention_factor: float
    beta_fast: float
    beta_slow: float
    truncate: bool
    mscale: float
    mscale_all_dim: float
    low_freq_factor: float
    high_freq_factor: float
    short_factor: Sequence[float]
    long_factor: Sequence[float]
    partial_rotary_factor: float


@dataclass(frozen=True)
class ScalingRule:
    """One way to scale frequencies.

    Attributes:
        required: Keys that the scaling must have.
        optional: Keys that it may have.
        apply: Of base, number of channels and scaling, the frequencies and the factor
            on sines and cosines.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    apply: Callable[[float, int, Any], tuple[np.ndarray, float]]


def frequencies(base: float, width: int) -> np.ndarray:
    """Return `base ** (-2 k / width)` for each pair of `width` channels, float64."""
    return float(base) ** (-np.arange(0, width, 2) / width)


def scaled_frequencies(
    base: float, width: int, scaling: RotaryScaling | None
) -> tuple[np.ndarray, float]:
    """Return the frequencies of all pairs, and the factor on sines and cosines."""
    if scaling is None:
        return frequencies(base, width), 1.0
    return SCALINGS[scaling["rope_type"]].apply(base, width, scaling)


def linear(base: float, width: int, scaling: Any) -> tuple[np.ndarray, float]:
    """Divide all frequencies by the factor."""
    return frequencies(base, width) / scaling["factor"], 1.0


def dynamic(base: float, width: int, scaling: Any) -> tuple[np.ndarray, float]:
    """Stretch the base for calls of `max_length` (NTK)."""
    factor, original = scaling["factor"], scaling["original_max_position_embeddings"]
    length = max(scaling.get("max_length", original), original)
    stretch = factor * length / original - (factor - 1)
    return frequencies(base * stretch ** (width / (width - 2)), width), 1.0


def ntk_alpha(base: float, width: int, scaling: Any) -> tuple[np.ndarray, float]:
    """Stretch the base by a constant."""
    stretch = scaling["alpha"] ** (width / (width - 2))
    return frequencies(base * stretch, width), 1.0


def yarn(base: float, width: int, scaling: Any) -> tuple[np.ndarray, float]:
    """Divide low frequencies by the factor, keep high ones, with a ramp between."""
    factor, original = scaling["factor"], scaling["original_max_position_embeddings"]

    def pair_of(turns: float) -> float:
        ratio = math.log(original / (turns * 2 * math.pi))
        return width * ratio / (2 * math.log(base))

    low = pair_of(scaling.get("beta_fast", 32.0))
    high = pair_of(scaling.get("beta_slow", 1.0))
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    high = high + 0.001 if high == low else high
    ramp = np.clip((np.arange(width // 2) - low) / (high - low), 0.0, 1.0)
    unscaled = frequencies(base, width)
    return unscaled * (1 - ramp + ramp / factor), _yarn_attention_factor(scaling)


def llama3(base: float, width: int, scaling: Any) -> tuple[np.ndarray, float]:
    """Divide long wavelengths by the factor, keep short ones, with a ramp between."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    unscaled = frequencies(base, width)
    original = scaling["original_max_position_embeddings"]
    share = (original * unscaled / (2 * math.pi) - low) / (high - low)
    share = np.clip(share, 0.0, 1.0)
    return unscaled * (share + (1 - share) / scaling["factor"]), 1.0


def longrope(base: float, width: int, scaling: Any) -> tuple[np.ndarray, float]:
    """Divide each frequency by its own factor, for short or for long calls."""
    original = scaling["original_max_position_embeddings"]
    is_long = scaling.get("max_length", original) > original
    factors = np.array(scaling["long_factor" if is_long else "short_factor"], float)
    factor = scaling["factor"]
    default = math.sqrt(1 + math.log(max(factor, 1.0)) / math.log(original))
    return (
        frequencies(base, width) / factors,
        float(scaling.get("attention_factor", default)),
    )


def proportional(base: float, width: int, scaling: Any) -> tuple[np.ndarray, float]:
    """Keep the first share of the frequencies, and turn the other pairs by nothing."""
    kept = int(scaling["partial_rotary_factor"] * width // 2)
    scaled = frequencies(base, width) / scaling.get("factor", 1.0)
    return np.where(np.arange(width // 2) < kept, scaled, 0.0), 1.0


def _yarn_attention_factor(scaling: Any) -> float:
    if "attention_factor" in scaling:
        return float(scaling["attention_factor"])

    def magnitude(scale: float) -> float:
        return 0.1 * scale * math.log(max(scaling["factor"], 1.0)) + 1.0

    both = scaling.get("mscale"), scaling.get("mscale_all_dim")
    return magnitude(both[0]) / magnitude(both[1]) if all(both) else magnitude(1.0)


_LENGTH = "original_max_position_embeddings"
SCALINGS: dict[ScalingType, ScalingRule] = {
    "linear": ScalingRule(("factor",), (), linear),
    "dynamic": ScalingRule(("factor", _LENGTH), ("max_length",), dynamic),
    "ntk_alpha": ScalingRule(("alpha",), (), ntk_alpha),
    "yarn": ScalingRule(
        ("factor", _LENGTH),
        (
            "attention_factor",
            "beta_fast",
            "beta_slow",
            "truncate",
            "mscale",
            "mscale_all_dim",
        ),
        yarn,
    ),
    "llama3": ScalingRule(
        ("factor", _LENGTH, "low_freq_factor", "high_freq_factor"), (), llama3
    ),
    "longrope": ScalingRule(
        ("factor", _LENGTH, "short_factor", "long_factor"),
        ("attention_factor", "max_length"),
        longrope,
    ),
    "proportional": ScalingRule(("partial_rotary_factor",), ("factor",), proportional),
}


def check_scaling(who: str, scaling: Any) -> RotaryScaling | None:
    """Return a scaling as a dict of plain numbers, or `None`."""
    if scaling is None:
        return None
    rule = "be a dict or None"
    received = repr(scaling)
    is_dict = isinstance(scaling, dict)
    checks.check(is_dict, who, "scaling", rule, received, error=TypeError)
    kind = checks.check_choice(
        who, "scaling['rope_type']", scaling.get("rope_type"), SCALING_TYPES
    )
    rules = SCALINGS[kind]
    missing = [key for key in rules.required if key not in scaling]
    checks.check(not missing, who, "scaling", f"have the keys {missing}", received)
    known = ["rope_type", *rules.required, *rules.optional]
    unknown = [key for key in scaling if key not in known]
    checks.check(not unknown, who, "scaling", f"have only keys among {known}", received)
    plain = {key: _check_value(who, key, value) for key, value in scaling.items()}
    if kind == "llama3":
        rule = "be greater than low_freq_factor"
        value = plain["high_freq_factor"]
        fits = value > plain["low_freq_factor"]
        checks.check(fits, who, "scaling['high_freq_factor']", rule, value)
    return RotaryScaling(**plain)


def check_factors(who: str, scaling: RotaryScaling | None, pairs: int) -> None:
    """Raise unless lists of factors have one for each pair of channels."""
    for name in ("short_factor", "long_factor"):
        factors = (scaling or {}).get(name)
        rule = f"have one number for each of the {pairs} pairs of channels"
        fits = factors is None or len(factors) == pairs
        checks.check(fits, who, f"scaling[{name!r}]", rule, factors)


def _check_value(who: str, key: str, value: Any) -> Any:
    argument = f"scaling[{key!r}]"
    if key == "rope_type":
        return value
    if key == "truncate":
        return checks.check_flag(who, argument, value)
    if key in (_LENGTH, "max_length"):
        return checks.check_integer(who, argument, value, minimum=2)
    if key in ("short_factor", "long_factor"):
        is_list = isinstance(value, (list, tuple, np.ndarray))
        rule = "be a list of numbers"
        checks.check(is_list, who, argument, rule, repr(value))
        return [checks.check_number(who, argument, one, 0) for one in value]
    return checks.check_number(who, argument, value, 0)
