"""What a layer saves of its vectors, and of changes to its sublayers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_mmembed.common.types import Config


def save_by_name(layer: keras.layers.Layer, names: Sequence[str], store: Any) -> None:
    """Store the weights of `layer` under the names of their attributes."""
    for name in names:
        store[name] = ops.convert_to_numpy(getattr(layer, name))


def load_by_name(layer: keras.layers.Layer, names: Sequence[str], store: Any) -> None:
    """Load what is stored of the weights; one that is new keeps its values."""
    for name in names:
        if name in store.keys():
            getattr(layer, name).assign(store[name])


def sublayers_by_path(layer: keras.layers.Layer) -> dict[str, keras.layers.Layer]:
    """Return all sublayers by the path of attributes that leads to each.

    A path is such as `fusion/branch_text/embedding` or `blocks/1/attention`. A layer
    that no attribute holds, as in a functional model, goes by its own name.
    """
    paths: dict[str, keras.layers.Layer] = {}
    seen: set[int] = set()

    def add(owner: keras.layers.Layer, start: str) -> None:
        for name, sublayer in _named_sublayers(owner):
            if id(sublayer) not in seen:
                seen.add(id(sublayer))
                paths[f"{start}{name}"] = sublayer
                add(sublayer, f"{start}{name}/")

    add(layer, "")
    return paths


def changes_of(layer: keras.layers.Layer) -> dict[str, Config]:
    """Return what was done to sublayers since they were made, as plain data.

    Quantization and LoRA change which weights a sublayer has. A layer that makes its
    sublayers itself has to do the same again before its file can be loaded.
    """
    changes = {}
    for path, sublayer in sublayers_by_path(layer).items():
        change: Config = {}
        if getattr(sublayer, "quantization_mode", None):
            change["quantization_mode"] = sublayer.quantization_mode
            change["quantization_config"] = keras.saving.serialize_keras_object(
                getattr(sublayer, "quantization_config", None)
            )
        if getattr(sublayer, "lora_enabled", False):
            change["lora_rank"] = sublayer.lora_rank
            change["lora_alpha"] = sublayer.lora_alpha
        if change:
            changes[path] = change
    return changes


def repeat_changes(layer: keras.layers.Layer, changes: Mapping[str, Config]) -> None:
    """Do to the sublayers of a new layer what was done to those of another."""
    by_path = sublayers_by_path(layer)
    by_place = layer._flatten_layers(include_self=False)
    for path, change in changes.items():
        # the first files have the place among all sublayers instead of a path
        sublayer = by_place[int(path)] if path.isdigit() else by_path[path]
        if "quantization_mode" in change and not sublayer.quantization_mode:
            config = change["quantization_config"]
            if isinstance(config, dict):
                config = keras.saving.deserialize_keras_object(config)
            sublayer.quantize(change["quantization_mode"], config=config)
        if "lora_rank" in change and not sublayer.lora_enabled:
            sublayer.enable_lora(change["lora_rank"], lora_alpha=change["lora_alpha"])


def _named_sublayers(
    layer: keras.layers.Layer,
) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yield the direct sublayers of a layer, each with the attribute that holds it."""
    # PyTorch keeps those that are modules in a dict of its own
    attributes = {**vars(layer), **vars(layer).get("_modules", {})}
    names: dict[int, str] = {}
    for attribute, value in attributes.items():
        if isinstance(value, keras.layers.Layer):
            names[id(value)] = attribute
        elif not attribute.startswith("_"):
            for path, one in _in_container(value, attribute):
                names.setdefault(id(one), path)
    taken = set()
    for place, sublayer in enumerate(layer._layers):
        name = names.get(id(sublayer), str(sublayer.name))
        yield f"{name}:{place}" if name in taken else name, sublayer
        taken.add(name)


def _in_container(value: Any, path: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yield the layers in lists and dicts, each with its path."""
    if isinstance(value, keras.layers.Layer):
        yield path, value
    elif isinstance(value, (list, tuple)):
        for place, one in enumerate(value):
            yield from _in_container(one, f"{path}/{place}")
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _in_container(one, f"{path}/{key}")
