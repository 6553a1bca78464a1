"""Lengths as inputs, for servers that pad."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import keras
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.sequences import as_mask
from keras_mmembed.common.types import LayerArguments, Tensor
from keras_mmembed.serving import signature
from keras_mmembed.serving.checks import check_model

WHO = "with_lengths"


def with_lengths(
    model: keras.Model, sequences: Sequence[str] | Mapping[str, str | None]
) -> keras.Model:
    """Return a model with lengths as inputs, for a server that pads requests.

    A server that joins requests of different lengths in one batch pads the shorter
    ones at the end, each tensor with its own first element. So padded ids are not
    zeros, and a mask that starts with True marks padding as valid. Lengths have no
    axis to pad.

    For each sequence, the new model has an input `<sequence>_lengths`. Entries from
    that length on are set to 0, and the mask of the sequence, if the model has one as
    an input, is computed from it.

    Shapes:
        sequences: `(batch, length, ...)`.
        lengths: `(batch,)`, int32, each from 0 to `length`.
        masks: `(batch, length)`.

    Args:
        model: A functional or sequential model whose inputs have names.
        sequences: Names of the inputs that a server may pad; or a dict from them to
            the name of the input that holds their mask, or to `None`.

    Returns:
        A model that shares the weights of `model`. Its inputs are a dict: those of
        `model` and the lengths, without the masks.

    Raises:
        TypeError: if `sequences` is not a list or a dict.
        ValueError: if the model has no such inputs, or they are not sequences.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import with_lengths
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
    check_model(model, WHO)
    inputs = signature.inputs_by_name(model)
    masks = _check_sequences(sequences, inputs)
    served = {
        name: _same_input(name, tensor)
        for name, tensor in inputs.items()
        if name not in masks.values()
    }
    values: dict[str, Tensor] = dict(served)
    for name, mask in masks.items():
        lengths = _lengths_input(name, inputs[name])
        served[lengths.name] = lengths
        read = ReadLengths(name=f"read_{lengths.name}")([served[name], lengths])
        values[name] = read["inputs"]
        if mask is not None:
            values[mask] = ops.cast(read["mask"], inputs[mask].dtype)
    outputs = model(signature.inputs_in_structure(model, values))
    return keras.Model(served, outputs, name=f"{model.name}_with_lengths")


def _same_input(name: str, tensor: keras.KerasTensor) -> Tensor:
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        name=name,
        optional=signature.is_optional(tensor),
    )


def _lengths_input(name: str, sequence: keras.KerasTensor) -> Tensor:
    batch = sequence.shape[0]
    return keras.Input((), batch_size=batch, dtype="int32", name=f"{name}_lengths")


@keras.saving.register_keras_serializable(package="keras_mmembed")
class ReadLengths(keras.layers.Layer):
    """Sets entries beyond a length to 0: `layer([inputs, lengths])`.

    Returns a dict of `inputs` and their `mask`. It is part of a model that
    `with_lengths` has built.
    """

    if TYPE_CHECKING:

        def __call__(self, inputs: list[Tensor]) -> dict[str, Tensor]: ...

    def __init__(self, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs: list[Tensor]) -> dict[str, Tensor]:
        x, lengths = inputs
        mask = as_mask(lengths, x)
        kept = mask
        for _ in x.shape[2:]:
            kept = ops.expand_dims(kept, -1)
        return {"inputs": ops.where(kept, x, ops.zeros_like(x)), "mask": mask}

    def compute_output_spec(
        self, inputs: list[keras.KerasTensor]
    ) -> dict[str, keras.KerasTensor]:
        x = inputs[0]
        return {
            "inputs": keras.KerasTensor(x.shape, dtype=x.dtype),
            "mask": keras.KerasTensor(x.shape[:2], dtype="bool"),
        }


def _check_sequences(
    sequences: Any, inputs: dict[str, keras.KerasTensor]
) -> dict[str, str | None]:
    """Return the name of the mask of each sequence, or `None`."""
    rule = "be a list of names, or a dict of names by name"
    is_many = isinstance(sequences, (list, tuple, dict)) and len(sequences) > 0
    received = repr(sequences)
    checks.check(is_many, WHO, "sequences", rule, received, error=TypeError)
    if not isinstance(sequences, dict):
        sequences = dict.fromkeys(sequences)
    for name, mask in sequences.items():
        _check_sequence(name, mask, inputs)
    return dict(sequences)


def _check_sequence(name: Any, mask: Any, inputs: dict[str, keras.KerasTensor]) -> None:
    for one in [name] if mask is None else [name, mask]:
        rule = f"name inputs of the model, {list(inputs)}"
        checks.check(one in inputs, WHO, "sequences", rule, repr(one))
    rank = len(inputs[name].shape)
    rule = "name inputs of the shape (batch, length, ...)"
    checks.check(rank > 1, WHO, "sequences", rule, _with_shape(name, inputs))
    if mask is not None:
        rank = len(inputs[mask].shape)
        rule = "name masks of the shape (batch, length)"
        checks.check(rank == 2, WHO, "sequences", rule, _with_shape(mask, inputs))
    rule = "name sequences without lengths"
    is_new = f"{name}_lengths" not in inputs
    checks.check(is_new, WHO, "sequences", rule, repr(name))


def _with_shape(name: str, inputs: dict[str, keras.KerasTensor]) -> str:
    return f"{name!r} of {tuple(inputs[name].shape)}"
