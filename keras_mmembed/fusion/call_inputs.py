"""What a call gives to a fusion layer, sorted by modality."""

from dataclasses import dataclass

import keras
from keras import ops

from keras_mmembed.common.sequences import as_mask
from keras_mmembed.fusion.tokens import draw_present, flatten_tokens

# the arguments of a call besides inputs and masks, in their order
EXTRAS = ("segment_ids", "positions", "present", "placeholders")


@dataclass
class Given:
    """What a call gives of one modality.

    Attributes:
        features: `(batch, ..., dim)`.
        mask: Which tokens are valid, `(batch, length)`, or `None` for all.
        flag: Which samples have the modality, `(batch,)`, or `None` for all.
        positions: Positions in place of 0, 1, 2, ..., or `None`.
        segment_ids: Segment of each token, or `None`.
    """

    features: object
    mask: object = None
    flag: object = None
    positions: object = None
    segment_ids: object = None


def gather(layer, inputs, extras, masks):
    """Return the arguments of a call in one dict, with `{}` for those left out.

    Args:
        layer: The fusion.
        inputs: The inputs by name.
        extras: What the call got for each of `EXTRAS`.
        masks: The mask that the user gave, and the one that Keras found.
    """
    arguments = {n: {} if v is None else v for n, v in zip(EXTRAS, extras, strict=True)}
    masks = _merge_masks(*masks)
    if isinstance(masks, dict) and isinstance(inputs, dict):
        masks = {n: m for n, m in masks.items() if not _is_raw(layer, inputs, n, m)}
    arguments["mask"] = masks
    return {
        n: _as_tensors(v) if isinstance(v, dict) else v for n, v in arguments.items()
    }


def read(layer, inputs, arguments, training):
    """Return what is given of each modality: features, masks and flags.

    Args:
        layer: The fusion.
        inputs: The inputs by name, in the order of the configuration.
        arguments: The other arguments, as `gather` returns them.
        training: Whether modalities may be dropped.
    """
    given, flags = {}, arguments["present"]
    flags = {n: ops.cast(flag, "bool") for n, flag in flags.items() if flag is not None}
    if training and any(layer.drop_rates):
        flags = _drop_modalities(layer, inputs, flags)
    for name, x in inputs.items():
        features, mask = layer.branch(name).read(x, flags.get(name))
        mask = arguments["mask"].get(name, mask)
        if mask is not None:
            mask = as_mask(mask, flatten_tokens(features))
        extra = {n: arguments[n].get(name) for n in ("positions", "segment_ids")}
        given[name] = Given(features, mask, flags.get(name), **extra)
    return given


def _drop_modalities(layer, inputs, flags):
    """Return which samples keep each modality in a step of training."""
    batch = ops.shape(next(iter(inputs.values())))[0]
    everywhere = ops.ones((batch,), dtype="bool")
    present = ops.stack([flags.get(n, everywhere) for n in inputs], axis=1)
    rates = [layer.drop_rates[layer.modalities.index(name)] for name in inputs]
    present = draw_present(present, rates, layer.seed_generator)
    return {name: present[:, index] for index, name in enumerate(inputs)}


def _is_raw(layer, inputs, name, mask):
    """Whether a mask is that of raw inputs, which their embedding takes itself."""
    x = inputs.get(name)
    if x is None or name not in layer.modalities:
        return False
    branch = layer.branch(name)
    if not getattr(branch.embedding, "supports_masking", False):
        return False
    if isinstance(x, keras.KerasTensor):
        return mask is getattr(x, "_keras_mask", None)
    return mask is branch.read_mask(x)


def _as_tensors(values):
    """Turn the lists among values by name into tensors."""
    return {
        name: value
        if value is None or hasattr(value, "shape")
        else ops.convert_to_tensor(value)
        for name, value in values.items()
    }


def _merge_masks(explicit, implicit):
    """Join masks by name; an explicit one goes before that of Keras."""
    merged = {}
    for masks in (implicit, explicit):
        if masks is not None and not isinstance(masks, dict):
            return masks  # reported with the other arguments
        merged.update({n: m for n, m in (masks or {}).items() if m is not None})
    return merged
