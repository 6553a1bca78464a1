"""What a split demands of its arguments."""

from collections.abc import Mapping
from typing import Any

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.call_arguments import as_array
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.fusion.tokens import known_product

WHO = "MultiModalFusion"


def check_like(like: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the inputs of a fusion, of which a split reads the shapes."""
    shaped = {name: as_array(WHO, f"like[{name!r}]", x) for name, x in like.items()}
    for name, x in shaped.items():
        rule, shape = "be (batch, ...)", checks.known_shape(x.shape)
        checks.check(len(shape) > 1, WHO, f"like[{name!r}].shape", rule, shape)
    rule = "have at least one modality"
    checks.check(len(shaped) > 0, WHO, "like", rule, "{}")
    return shaped


def check_ids(modality_ids: Any, fused: Shape, count: int) -> Tensor | None:
    """Return the modality ids of fused tokens; raise unless there is one for each.

    Args:
        modality_ids: The ids, or `None`.
        fused: Batch and length of the fused tokens.
        count: The number of modalities.
    """
    if modality_ids is None:
        return None
    ids = as_array(WHO, "modality_ids", modality_ids)
    tensors.check_kind(WHO, "modality_ids", ids, "integer")
    shape, rule = checks.known_shape(ids.shape), f"be {fused}, as the tensor"
    fits = checks.shapes_match(shape, fused)
    checks.check(fits, WHO, "modality_ids.shape", rule, shape)
    tensors.check_range(WHO, "modality_ids", ids, -1, count)
    return ids


def check_mask(
    name: str, mask: Any, axes: Shape, batch: int | None = None
) -> Tensor | None:
    """Return the padding mask of a modality; raise unless it is of its tokens.

    Args:
        name: Name of the modality.
        mask: The mask, lengths of the samples, or `None`.
        axes: The axes of the tokens.
        batch: The batch size, or `None` while it is not known.
    """
    if mask is None:
        return None
    argument = f"mask[{name!r}]"
    mask = as_array(WHO, argument, mask)
    tensors.check_flags(WHO, argument, mask)
    shape = checks.known_shape(mask.shape)
    options = ((batch,), (batch, *axes), (batch, known_product(axes)))
    listed = " or ".join(str(option) for option in dict.fromkeys(options))
    fits = any(checks.shapes_match(shape, option) for option in options)
    checks.check(fits, WHO, f"{argument}.shape", f"be {listed}", shape)
    if len(shape) == 1:
        tensors.check_kind(WHO, argument, mask, "integer")
    return mask
