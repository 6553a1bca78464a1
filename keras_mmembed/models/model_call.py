"""The call of a model: what type checkers see, and its arguments before Keras."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from keras_mmembed.common.call_arguments import Arguments, as_array
from keras_mmembed.common.types import Tensor
from keras_mmembed.fusion.arguments import ByModality
from keras_mmembed.fusion.standardize import NAMES

# behind the arguments of a fusion
ENCODED = ("encoded", "encoded_mask")
OTHERS = (*ENCODED, "inputs_mask", "training")


class ModelCall(Protocol):
    """The call of a model, as type checkers see it."""

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
        encoded: Tensor | None = None,
        encoded_mask: Tensor | None = None,
        *,
        training: bool | None = None,
    ) -> Any:
        """See `MultiModalTransformer`."""


def standardize_encoded(
    who: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Arguments:
    """Return the arguments of a call with `encoded` and its mask as arrays, by name.

    Args:
        who: Name of the model.
        args: The positional arguments of a call.
        kwargs: The keyword arguments.
    """
    args, others = args[: len(NAMES)], args[len(NAMES) :]
    named = {**dict(zip(OTHERS, others, strict=False)), **kwargs}
    for name in ENCODED:
        if named.get(name) is not None:
            named[name] = as_array(who, name, named[name])
    return tuple(args), named
