"""Lengths as inputs, for servers that pad."""

import keras
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.sequences import as_mask
from keras_mmembed.serving import signature

WHO = "with_lengths"


def with_lengths(model, sequences):
    """Return a model that takes lengths, for a server that pads.

    A server that puts requests of unequal length in one batch pads the shorter ones
    at the end, each tensor with its own first element. Padded ids are then no zeros,
    and a mask that starts with True says that pads are tokens. Lengths have no axis
    to pad. For each sequence the new model has an input `<sequence>_lengths`; entries
    from that length on become 0, and a mask that the model takes is made from it.

    Shapes:
        sequences: `(batch, length, ...)`.
        lengths: `(batch,)`, int32, each from 0 to `length`.
        masks: `(batch, length)`.

    Args:
        model: A functional or sequential model whose inputs have names.
        sequences: Names of the inputs that a server may pad; or a dict from them to
            the name of the input that holds their mask, or to `None`.

    Returns:
        A model with the weights of `model`. It takes a dict: what `model` takes, with
        the lengths and without the masks.

    Raises:
        TypeError, ValueError: if the model has no such inputs.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import (with_lengths)
    >>> words = keras.Input((None,), dtype="int32", name="words")
    >>> x = keras.layers.Embedding(9, 4, mask_zero=True)(words)
    >>> x = keras.layers.GlobalAveragePooling1D()(x)
    >>> served = with_lengths(keras.Model({"words": words}, x), ["words"])

    A server has padded the first row with its first element:

    >>> batch = {
    ...     "words": np.array([[5, 7, 5], [5, 7, 8]]),
    ...     "words_lengths": np.array([2, 3]),
    ... }
    >>> alone = {"words": np.array([[5, 7]]), "words_lengths": np.array([2])}
    >>> both = keras.ops.convert_to_numpy(served(batch))
    >>> bool(np.allclose(both[:1], keras.ops.convert_to_numpy(served(alone))))
    True
    """
    signature.check_model(model, WHO)
    inputs = signature.inputs_by_name(model)
    sequences = _check_sequences(sequences, inputs)
    masks = {mask for mask in sequences.values() if mask is not None}
    taken = {
        name: keras.Input(
            batch_shape=tensor.shape,
            dtype=tensor.dtype,
            name=name,
            optional=signature.optional(tensor),
        )
        for name, tensor in inputs.items()
        if name not in masks
    }
    values = dict(taken)
    for name, mask in sequences.items():
        lengths = keras.Input(
            (), batch_size=inputs[name].shape[0], dtype="int32", name=f"{name}_lengths"
        )
        taken[f"{name}_lengths"] = lengths
        read = ReadLengths(name=f"read_{name}_lengths")([taken[name], lengths])
        values[name] = read["inputs"]
        if mask is not None:
            values[mask] = ops.cast(read["mask"], inputs[mask].dtype)
    outputs = model(signature.arrange(model, values))
    return keras.Model(taken, outputs, name=f"{model.name}_with_lengths")


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ReadLengths(keras.layers.Layer):
    """Cuts sequences off: `layer([inputs, lengths])` gives `inputs` and `mask`.

    `with_lengths` makes this layer, so that it can be part of a file.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs):
        inputs, lengths = inputs
        mask = as_mask(lengths, inputs)
        kept = mask
        for _ in inputs.shape[2:]:
            kept = ops.expand_dims(kept, -1)
        return {"inputs": ops.where(kept, inputs, ops.zeros_like(inputs)), "mask": mask}

    def compute_output_spec(self, inputs):
        x = inputs[0]
        return {
            "inputs": keras.KerasTensor(x.shape, dtype=x.dtype),
            "mask": keras.KerasTensor(x.shape[:2], dtype="bool"),
        }


def _check_sequences(sequences, inputs):
    """Return a dict from sequences to masks, or `None`."""
    rule = "be a list of names, or a dict of names by name"
    is_many = isinstance(sequences, (list, tuple, dict)) and len(sequences) > 0
    received = repr(sequences)
    checks.check(is_many, WHO, "sequences", rule, received, error=TypeError)
    if not isinstance(sequences, dict):
        sequences = dict.fromkeys(sequences)
    for name, mask in sequences.items():
        for one in [name] if mask is None else [name, mask]:
            rule = f"name inputs of the model, {list(inputs)}"
            checks.check(one in inputs, WHO, "sequences", rule, repr(one))
        shape = tuple(inputs[name].shape)
        rule = "name inputs of the shape (batch, length, ...)"
        checks.check(len(shape) > 1, WHO, "sequences", rule, f"{name!r} of {shape}")
        if mask is not None:
            shape = tuple(inputs[mask].shape)
            rule = "name masks of the shape (batch, length)"
            checks.check(
                len(shape) == 2, WHO, "sequences", rule, f"{mask!r} of {shape}"
            )
        rule = "name sequences without lengths"
        is_new = f"{name}_lengths" not in inputs
        checks.check(is_new, WHO, "sequences", rule, repr(name))
    return dict(sequences)
