"""Types of arguments that several rooms share, for readers and type checkers."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict

import keras

# a tensor of the backend, a symbolic one, or an array: no backend is imported here
Tensor: TypeAlias = Any
# `None` for a size that is not known yet
Shape: TypeAlias = tuple[int | None, ...]
Config: TypeAlias = dict[str, Any]
Initializer: TypeAlias = str | Config | Callable[..., Any] | None
Activation: TypeAlias = str | Config | Callable[..., Any] | None
DType: TypeAlias = str | Config | keras.DTypePolicy | None


class LayerArguments(TypedDict, total=False):
    """The arguments that every Keras layer takes."""

    name: str | None
    dtype: DType
    trainable: bool
