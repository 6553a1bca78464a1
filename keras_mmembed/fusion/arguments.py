"""The arguments of a fusion's call: all of them, and those of one modality."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_mmembed.common.types import Tensor


@dataclass(frozen=True)
class CallArguments:
    """The arguments of a call besides its inputs, each a dict by modality.

    Attributes:
        segment_ids: Segment of each token.
        positions: Positions in place of 0, 1, 2, ...
        present: Which samples have the modality.
        placeholders: Where in another modality the tokens of a placed one go.
        mask: The padding masks.
    """

    segment_ids: Mapping[str, Tensor]
    positions: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    placeholders: Mapping[str, Tensor]
    mask: Mapping[str, Tensor]


@dataclass(frozen=True)
class ModalityInputs:
    """One modality of a call: its features, and all that the call says of them.

    Attributes:
        features: `(batch, ..., dim)`.
        mask: The padding mask, `(batch, length)`, or `None` if all tokens are valid.
        present: Which samples have the modality, `(batch,)`, or `None` for all.
        positions: Positions in place of 0, 1, 2, ..., or `None`.
        segment_ids: Segment of each token, or `None`.
    """

    features: Tensor
    mask: Tensor | None = None
    present: Tensor | None = None
    positions: Tensor | None = None
    segment_ids: Tensor | None = None


def collect(**arguments: Any) -> CallArguments:
    """Return the arguments with lists as tensors, and `{}` for what is left out."""
    return CallArguments(**{name: _tensors(v) for name, v in arguments.items()})


def merge_masks(explicit: Any, implicit: Any) -> Any:
    """Merge padding masks by modality: the user's first, then those of Keras."""
    merged: dict[str, Tensor] = {}
    for masks in (implicit, explicit):
        if masks is not None and not isinstance(masks, dict):
            return masks  # reported with the other arguments
        merged.update({n: m for n, m in (masks or {}).items() if m is not None})
    return merged


def _tensors(values: Any) -> Any:
    if values is None:
        return {}
    if not isinstance(values, dict):
        return values  # reported with the other arguments
    return {
        name: value
        if value is None or hasattr(value, "shape")
        else ops.convert_to_tensor(value)
        for name, value in values.items()
    }
