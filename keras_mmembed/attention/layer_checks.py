"""The arguments of `MultiModalAttention`."""

from collections.abc import Iterable
from typing import Any

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.types import Shape, Tensor

WHO = "MultiModalAttention"


def check_factor(argument: str, value: Any) -> float | None:
    """Return a number greater than 0, or `None`."""
    return None if value is None else checks.check_number(WHO, argument, value, 0)


def check_shapes(*shapes: Shape) -> None:
    """Raise unless query, value and key have an axis of tokens and a known width."""
    for name, shape in zip(("query", "value", "key"), shapes, strict=True):
        known, axes = checks.known_shape(shape), "(batch, length, width)"
        checks.check_rank(WHO, f"{name}.shape", known, (3,), axes)
        rule = "have a last axis of known size"
        checks.check(known[-1:] != (None,), WHO, f"{name}.shape", rule, known)


def shared_width(width: int, num_heads: int) -> int:
    """Return the number of channels of a head that shares a width with others."""
    rule = f"be a multiple of num_heads={num_heads}"
    remedy, fits = "Or set `head_dim`.", width % num_heads == 0
    checks.check(fits, WHO, "query.shape[-1]", rule, width, remedy)
    return width // num_heads


def check_tokens(query: Tensor, value: Tensor, key: Tensor) -> None:
    """Raise unless query, value and key are tokens."""
    check_shapes(query.shape, value.shape, key.shape)
    for name, tokens in {"query": query, "value": value, "key": key}.items():
        tensors.check_kind(WHO, name, tokens, "float", "Cast them to floats.")


def check_bias(num_heads: int, query: Tensor, key: Tensor, bias: Tensor | None) -> None:
    """Raise unless a bias has an entry for each head, query and key."""
    if bias is None:
        return
    shape = checks.known_shape(bias.shape)
    batch, length = checks.known_shape(query.shape)[:2]
    (keys,) = checks.known_shape(key.shape)[1:2]
    rule = f"be {(batch, num_heads, length, keys)}, or 1 for the batch"
    fits = any(
        checks.shapes_match(shape, (size, num_heads, length, keys))
        for size in (batch, 1)
    )
    checks.check(fits, WHO, "attention_bias.shape", rule, shape)


def check_positions(parts: Iterable[Any], positions: Tensor | None) -> None:
    """Raise if positions are left out that cannot be counted."""
    axes = max((part.num_axes for part in parts if part is not None), default=1)
    rule = f"be passed for positions of {axes} axes"
    checks.check(axes == 1 or positions is not None, WHO, "positions", rule, None)
