"""The configuration of a layer in one line."""

import inspect
from typing import Any

import keras


def describe(layer: keras.layers.Layer, **values: Any) -> str:
    """Return the constructor call of a layer, without what is the default.

    Args:
        layer: A layer whose attributes have the names of its arguments.
        **values: Values of arguments that no attribute has, or that are long.
    """
    parts = []
    for name, parameter in inspect.signature(type(layer).__init__).parameters.items():
        if name == "self" or parameter.kind == parameter.VAR_KEYWORD:
            continue
        value = values.get(name, getattr(layer, name, parameter.default))
        if not _is_default(value, parameter.default):
            parts.append(f"{name}={_short(value)}")
    parts.append(f"name={layer.name!r}")
    return f"{type(layer).__name__}({', '.join(parts)})"


def _is_default(value: Any, default: Any) -> bool:
    # an object, such as an initializer, was made of what the caller wrote
    is_plain = isinstance(value, (str, int, float, bool, list, tuple, dict))
    is_plain = is_plain or value is None
    if isinstance(value, tuple) and value == (default,) * len(value):
        return True
    return not is_plain or value == default or not (value or default)


def _short(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)
