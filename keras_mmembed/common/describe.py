"""The configuration of a layer in one line."""

import inspect
from typing import Any

import keras


def describe(layer: keras.layers.Layer, **shown: Any) -> str:
    """Return the constructor call of a layer, without what is the default.

    Args:
        layer: A layer whose attributes have the names of its arguments.
        **shown: What stands for the value of an argument, where that is long.
    """
    parts = []
    for name, parameter in inspect.signature(type(layer).__init__).parameters.items():
        value = shown.get(name, getattr(layer, name, parameter.default))
        if name == "self" or parameter.kind == parameter.VAR_KEYWORD:
            continue
        if name in shown or not _is_default(value, parameter.default):
            parts.append(f"{name}={_short(value)}")
    parts.append(f"name={layer.name!r}")
    return f"{type(layer).__name__}({', '.join(parts)})"


def _is_default(value: Any, default: Any) -> bool:
    # what stands for a default, such as the initializer of a name, is no news
    is_made = not isinstance(value, (str, int, float, bool, list, tuple, dict))
    return is_made or value == default


def _short(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)
