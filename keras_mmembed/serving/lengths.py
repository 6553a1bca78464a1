"""Lengths as inputs, for servers that pad."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks, tensors
from keras_mmembed.common.sequences import as_mask
from keras_mmembed.common.types import LayerArguments, Tensor
from keras_mmembed.serving import signature
from keras_mmembed.serving.checks import check_model

WHO = "with_lengths"
# of the name of a layer, before that of the input with the lengths
PREFIX = "read_"


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
    an input, is computed from it. A wrong length is an error where its value is known;
    in a compiled step, and in a server, it is clipped to the nearest right one.

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
        TypeError: if `sequences` is not a list or a dict; in a call, if lengths are not
            integers.
        ValueError: if the model has no such inputs, or they are not sequences; in a
            call, if lengths have another shape, or are below 0 or beyond a sequence.

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
        read = ReadLengths(name=f"{PREFIX}{lengths.name}")([served[name], lengths])
        values[name] = read["inputs"]
        if mask is not None:
            values[mask] = ops.cast(read["mask"], inputs[mask].dtype)
    outputs = model(signature.inputs_in_structure(model, values))
    return ModelWithLengths(served, outputs, name=f"{model.name}_with_lengths")


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
class ModelWithLengths(keras.Model):
    """A functional model with lengths as inputs, which `with_lengths` has built.

    Keras casts and reshapes what a functional model is called with, so its layers
    cannot tell lengths of another kind.
    """

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self._check_inputs(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def _check_inputs(self, inputs: Any) -> None:
        rule = "be a dict of tensors"
        is_dict = isinstance(inputs, dict)
        received = type(inputs).__name__
        checks.check(is_dict, WHO, "inputs", rule, received, error=TypeError)
        known = signature.inputs_by_name(self)
        self._check_names(inputs, known)
        readers = [one for one in self.layers if isinstance(one, ReadLengths)]
        lengths = {reader.name.removeprefix(PREFIX) for reader in readers}
        for name, value in inputs.items():
            if value is not None:
                kind = "integer" if "int" in known[name].dtype else None
                _check_kind(f"inputs[{name!r}]", value, kind, name in lengths)
                _check_shape(name, value, known[name])
        is_symbolic = [isinstance(x, keras.KerasTensor) for x in inputs.values()]
        rule = "be all symbolic, or all arrays and tensors"
        is_one_kind = len(set(is_symbolic)) == 1
        received = {name: type(x).__name__ for name, x in inputs.items()}
        checks.check(is_one_kind, WHO, "inputs", rule, received, error=TypeError)

    def _check_names(self, inputs: Any, known: dict[str, keras.KerasTensor]) -> None:
        for name in inputs:
            rule = f"name only the inputs {list(known)}"
            checks.check(name in known, WHO, "inputs", rule, repr(name))
        for name, tensor in known.items():
            is_there = inputs.get(name) is not None or signature.is_optional(tensor)
            rule = f"have all of the inputs {list(known)}"
            checks.check(is_there, WHO, "inputs", rule, f"no {name!r}")


def _check_kind(argument: str, value: Any, kind: Any, is_length: bool) -> None:
    """Raise unless integers are asked for and given, and lengths are `(batch,)`.

    A compiled step casts and reshapes them as Keras does: on JAX, a step of Keras' own
    that raises loses the weights.
    """
    rule, has_shape = "be a tensor or an array", hasattr(value, "dtype")
    received = repr(value)
    checks.check(has_shape, WHO, argument, rule, received, error=TypeError)
    is_array = isinstance(value, np.ndarray)
    is_text = is_array and value.dtype.kind not in "biufV"
    is_text = is_text or "string" in str(value.dtype)
    rule = f"be {kind or 'a number or bool'}"
    received, argument_of = value.dtype, f"{argument}.dtype"
    checks.check(not is_text, WHO, argument_of, rule, received, error=TypeError)
    is_symbolic = isinstance(value, keras.KerasTensor)
    if not (is_symbolic or is_array or not _is_traced(value)):
        return
    if kind is not None:
        tensors.check_kind(WHO, argument, value, kind)
        # a cast to int32 would make other numbers of those beyond it
        tensors.check_range(WHO, argument, value, -checks.LARGEST, checks.LARGEST)
    if is_length:
        shape = checks.known_shape(value.shape)
        checks.check_rank(WHO, f"{argument}.shape", shape, [1], "(batch,)")


def _check_shape(name: str, value: Any, expected: keras.KerasTensor) -> None:
    """Raise for a rank that Keras cannot make right by an axis of size 1."""
    shape, right = checks.known_shape(value.shape), tuple(expected.shape)
    is_longer = shape[-1:] in ((1,), (None,)) and len(shape) == len(right) + 1
    is_shorter = right[-1:] == (1,) and len(shape) == len(right) - 1
    fits = len(shape) == len(right) or is_longer or is_shorter
    checks.check(fits, WHO, f"inputs[{name!r}].shape", f"be {right}", shape)


def _is_traced(lengths: Tensor) -> bool:
    return len(lengths.shape) > 0 and tensors.is_traced(lengths)


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
        self._check_shapes(x, lengths)
        argument = f"inputs[{self.name.removeprefix(PREFIX)!r}]"
        # an unknown size is a tensor, in a step whose values are not known either
        if isinstance(x.shape[1], int):
            tensors.check_range(WHO, argument, lengths, 0, x.shape[1] + 1)
        mask = as_mask(lengths, x)
        kept = mask
        for _ in x.shape[2:]:
            kept = ops.expand_dims(kept, -1)
        return {"inputs": ops.where(kept, x, ops.zeros_like(x)), "mask": mask}

    def compute_output_spec(
        self, inputs: list[keras.KerasTensor]
    ) -> dict[str, keras.KerasTensor]:
        x, lengths = inputs
        self._check_shapes(x, lengths)
        return {
            "inputs": keras.KerasTensor(x.shape, dtype=x.dtype),
            "mask": keras.KerasTensor(x.shape[:2], dtype="bool"),
        }

    def _check_shapes(self, x: Tensor, lengths: Tensor) -> None:
        """Raise unless there is a length for each sample."""
        expected = checks.known_shape(x.shape[:1])
        shape = checks.known_shape(lengths.shape)
        fits = checks.shapes_match(shape, expected)
        argument = f"inputs[{self.name.removeprefix(PREFIX)!r}].shape"
        rule = f"be (batch,), with the batch of the sequence, {expected}"
        checks.check(fits, WHO, argument, rule, shape)


def _check_sequences(
    sequences: Any, inputs: dict[str, keras.KerasTensor]
) -> dict[str, str | None]:
    """Return the name of the mask of each sequence, or `None`."""
    rule = "be a list of names, or a dict of names by name"
    is_many = isinstance(sequences, (list, tuple, dict)) and len(sequences) > 0
    received = repr(sequences)
    checks.check(is_many, WHO, "sequences", rule, received, error=TypeError)
    pairs = (
        sequences.items()
        if isinstance(sequences, dict)
        else [(one, None) for one in sequences]
    )
    pairs = list(pairs)
    for name, mask in pairs:
        _check_sequence(name, mask, inputs)
    names = [one for pair in pairs for one in pair if one is not None]
    rule = "name an input once, as a sequence or as a mask"
    checks.check(len(set(names)) == len(names), WHO, "sequences", rule, received)
    return dict(pairs)


def _check_sequence(name: Any, mask: Any, inputs: dict[str, keras.KerasTensor]) -> None:
    for one in [name] if mask is None else [name, mask]:
        rule = f"name inputs of the model, {list(inputs)}"
        is_input = isinstance(one, str) and one in inputs
        checks.check(is_input, WHO, "sequences", rule, repr(one))
    shape = tuple(inputs[name].shape)
    rule = "name inputs of the shape (batch, length, ...)"
    checks.check(len(shape) > 1, WHO, "sequences", rule, _with_shape(name, inputs))
    if mask is not None:
        fits = checks.shapes_match(tuple(inputs[mask].shape), shape[:2])
        rule = f"name masks of the shape (batch, length), here {shape[:2]}"
        checks.check(fits, WHO, "sequences", rule, _with_shape(mask, inputs))
    rule = "name sequences without lengths"
    is_new = f"{name}_lengths" not in inputs
    checks.check(is_new, WHO, "sequences", rule, repr(name))


def _with_shape(name: str, inputs: dict[str, keras.KerasTensor]) -> str:
    return f"{name!r} of {tuple(inputs[name].shape)}"
