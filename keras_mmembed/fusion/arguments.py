"""The arguments of a fusion's call: all of them, and those of one modality."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from keras import ops

from keras_mmembed.common.types import Tensor

ByModality: TypeAlias = Mapping[str, Tensor] | None


@dataclass(frozen=True)
class CallArguments:
    """The arguments of a call besides its inputs, each a dict by modality.

    Attributes:
        segment_ids: Segment of each token.
        positions: Positions in place of 0, 1, 2, ...
        present: Which samples have the modality.
        placeholders: Where in another modality the tokens of a placed one go.
        mask: The padding masks.
        grids: The grid of tokens that come row by row, or of each sample.
        start_index: Position of the first token.
        terms: Values of further terms, by name.
        masked: Which tokens the mask token replaces.
    """

    segment_ids: Mapping[str, Tensor]
    positions: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    placeholders: Mapping[str, Tensor]
    mask: Mapping[str, Tensor]
    grids: Mapping[str, Any]
    start_index: Mapping[str, Any]
    terms: Mapping[str, Mapping[str, Tensor]]
    masked: Mapping[str, Tensor]


@dataclass(frozen=True)
class ModalityInputs:
    """One modality of a call: its features, and all that the call says of them.

    Attributes:
        features: `(batch, ..., dim)`.
        mask: The padding mask, `(batch, length)`, or `None` if all tokens are valid.
        present: Which samples have the modality, `(batch,)`, or `None` for all.
        positions: Positions in place of 0, 1, 2, ..., or `None`.
        segment_ids: Segment of each token, or `None`.
        grid: The grid of tokens that come row by row, or `None`.
        start_index: Position of the first token.
        terms: Values of further terms, by name.
        masked: Which tokens the mask token replaces, or `None`.
    """

    features: Tensor
    mask: Tensor | None = None
    present: Tensor | None = None
    positions: Tensor | None = None
    segment_ids: Tensor | None = None
    grid: Any = None
    start_index: Any = 0
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    masked: Tensor | None = None


class FusionCall(Protocol):
    """The call of a fusion, as type checkers see it."""

    def __call__(
        self,
        inputs: Mapping[str, Tensor | None],
        segment_ids: ByModality = None,
        positions: ByModality = None,
        present: ByModality = None,
        placeholders: ByModality = None,
        mask: ByModality = None,
        grids: Mapping[str, Any] | None = None,
        start_index: Mapping[str, Any] | None = None,
        terms: Mapping[str, Mapping[str, Tensor]] | None = None,
        masked: ByModality = None,
        *,
        training: bool | None = None,
    ) -> Any:
        """See `MultiModalFusion`."""


def collect(
    passes_mask: Callable[[str, Tensor, Tensor], bool],
    inputs: Any,
    segment_ids: Any = None,
    positions: Any = None,
    present: Any = None,
    placeholders: Any = None,
    mask: Any = None,
    grids: Any = None,
    start_index: Any = None,
    terms: Any = None,
    masked: Any = None,
    inputs_mask: Any = None,
    training: Any = None,
) -> CallArguments:
    """Return the arguments of a call, with `{}` for what is left out.

    Args:
        passes_mask: Whether the Keras mask of raw inputs goes to their embedding, and
            is none of the tokens; called with name, inputs and mask.
        inputs: The inputs of the call.
        segment_ids: As in the call; so are the others.
        positions: As in the call.
        present: As in the call.
        placeholders: As in the call.
        mask: The padding masks of the user.
        grids: As in the call.
        start_index: As in the call.
        terms: As in the call.
        masked: As in the call.
        inputs_mask: The masks that Keras found on the inputs.
        training: Not looked at.
    """
    masks = _merge_masks(mask, inputs_mask)
    if isinstance(masks, dict) and isinstance(inputs, dict):
        masks = {
            name: mask
            for name, mask in masks.items()
            if inputs.get(name) is None or not passes_mask(name, inputs[name], mask)
        }
    return CallArguments(
        segment_ids=_tensors(segment_ids),
        positions=_tensors(positions),
        present=_tensors(present),
        placeholders=_tensors(placeholders),
        mask=_tensors(masks),
        grids=_tensors(grids, int),
        start_index=_tensors(start_index, int),
        terms=_tensors_of_terms(terms),
        masked=_tensors(masked),
    )


def _merge_masks(explicit: Any, implicit: Any) -> Any:
    """Merge padding masks by modality: the user's first, then those of Keras."""
    merged: dict[str, Tensor] = {}
    for masks in (implicit, explicit):
        if masks is not None and not isinstance(masks, dict):
            return masks  # reported with the other arguments
        merged.update({n: m for n, m in (masks or {}).items() if not _is_none(m)})
    return merged


def _is_none(mask: Any) -> bool:
    # Keras finds no mask for each array of a list, which is refused later on
    is_list = isinstance(mask, (list, tuple)) and len(mask) > 0
    return mask is None or (is_list and all(one is None for one in mask))


def _tensors(values: Any, plain: type | None = None) -> Any:
    """Return values by modality as tensors; a number or tuple of `plain` stays."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        return values  # reported with the other arguments
    return {name: _tensor(value, plain) for name, value in values.items()}


def _tensors_of_terms(terms: Any) -> Any:
    """Return the values of terms, by modality and name, as tensors."""
    if not isinstance(terms, dict):
        return {} if terms is None else terms
    return {name: _tensors(values) for name, values in terms.items()}


def _tensor(value: Any, plain: type | None) -> Any:
    if value is None or hasattr(value, "shape"):
        return value
    numbers = value if isinstance(value, (tuple, list)) else [value]
    if plain is not None and all(type(number) is plain for number in numbers):
        return tuple(value) if isinstance(value, list) else value
    return ops.convert_to_tensor(value)
