"""What a layer saves of its vectors, and of changes to its sublayers."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.types import Config

if TYPE_CHECKING:
    Layer: TypeAlias = keras.layers.Layer
else:
    Layer = object


class KeepsSublayers(Layer):
    """A layer whose build configuration says what was done to its sublayers.

    A class names it first among its bases. Quantization, LoRA and frozen parts then
    come back with a file, though the layer makes its sublayers itself.
    """

    lists_branches: bool = True

    def get_build_config(self) -> Config | None:
        """Return shapes and changes of sublayers, `None` before the layer is built."""
        if not self.built:
            return None
        config = {"build": super().get_build_config(), "changes": changes_of(self)}
        return {**config, "order": "branches"} if self.lists_branches else config

    def build_from_config(self, config: Config) -> None:
        """Build the layer, and do to its sublayers what was done before."""
        if "order" not in config:
            self.lists_branches = False
            for one in (self, *self._flatten_layers(include_self=False)):
                if hasattr(one, "as_in_first_files"):
                    one.as_in_first_files()
        shapes = config["build"] or {}
        if "input_shape" in shapes:
            self.build(shapes["input_shape"])
        else:
            self.build(**shapes["shapes_dict"])
        repeat_changes(self, config["changes"])


def save_by_name(layer: keras.layers.Layer, names: Sequence[str], store: Any) -> None:
    """Store the weights of `layer` under the names of their attributes."""
    for name in names:
        if layer.built:
            store[name] = ops.convert_to_numpy(getattr(layer, name))


def load_by_name(layer: keras.layers.Layer, names: Sequence[str], store: Any) -> None:
    """Load the weights of `layer`, then raise if the file lacks any of them."""
    stored = set(store.keys())
    for name in names:
        if layer.built and name in stored:
            getattr(layer, name).assign(store[name])
    check_stored(f"{type(layer).__name__} {layer.name!r}", names, stored)


def check_stored(who: str, names: Sequence[str], stored: Collection[str]) -> None:
    """Raise if a file lacks weights, which a strict load must not leave random."""
    missing = [name for name in names if name not in stored]
    rule = f"hold {missing} in the file, as in the model"
    remedy = "Load it with skip_mismatch=True to start these from new values."
    checks.check(not missing, who, "weights", rule, sorted(stored), remedy)


def sublayers_by_path(layer: keras.layers.Layer) -> dict[str, keras.layers.Layer]:
    """Return all sublayers by the path of attributes that leads to each.

    A path is such as `fusion/branch_text/embedding` or `blocks/1/attention`. A layer
    that no attribute holds, as in a functional model, goes by its own name.
    """
    return {path: sublayer for path, _, sublayer in _walk(layer)}


def changes_of(layer: keras.layers.Layer) -> dict[str, Config]:
    """Return what was done to sublayers since they were made, as plain data.

    Quantization and LoRA change which weights a sublayer has, and freezing which of
    them train. A layer that makes its sublayers itself has to do the same again before
    its file can be loaded.
    """
    changes = {}
    for path, owner, sublayer in _walk(layer):
        change: Config = {}
        if sublayer.trainable != owner.trainable:
            change["trainable"] = sublayer.trainable
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
    for path, owner in [("", layer), *((path, one) for path, _, one in _walk(layer))]:
        frozen = [w.name for w in owner._trainable_variables if not w.trainable]
        if owner.trainable and frozen:
            changes.setdefault(path, {})["frozen_weights"] = frozen
    return changes


def repeat_changes(layer: keras.layers.Layer, changes: Mapping[str, Config]) -> None:
    """Do to the sublayers of a new layer what was done to those of another."""
    by_path = {"": layer, **sublayers_by_path(layer)}
    by_place = layer._flatten_layers(include_self=False)
    sublayers = {
        # the first files have the place among all sublayers instead of a path
        path: by_place[int(path)] if path.isdigit() else by_path[path]
        for path in changes
    }
    # freezing comes first: it would unfreeze the kernels that LoRA freezes
    if not layer.trainable:
        freeze(layer, True)
    for path, change in changes.items():
        if "trainable" in change:
            freeze(sublayers[path], not change["trainable"])
    for path, change in changes.items():
        sublayer = sublayers[path]
        if "quantization_mode" in change and not sublayer.quantization_mode:
            config = change["quantization_config"]
            if isinstance(config, dict):
                config = keras.saving.deserialize_keras_object(config)
            sublayer.quantize(change["quantization_mode"], config=config)
        if "lora_rank" in change and not sublayer.lora_enabled:
            sublayer.enable_lora(change["lora_rank"], lora_alpha=change["lora_alpha"])
    for path, change in changes.items():
        for weight in sublayers[path]._trainable_variables:
            if weight.name in change.get("frozen_weights", ()):
                weight.trainable = False


def freeze(layer: keras.layers.Layer, is_frozen: bool) -> None:
    """Freeze a layer and all that it holds, or let them train.

    On TensorFlow, Keras passes the flag on to sublayers only where it changes.
    """
    for one in layer._flatten_layers():
        one.trainable = not is_frozen
        for weight in one._trainable_variables:
            weight.trainable = not is_frozen


def _walk(
    layer: keras.layers.Layer,
) -> list[tuple[str, keras.layers.Layer, keras.layers.Layer]]:
    """Return path, owner and sublayer of all sublayers, owners first."""
    found: list[tuple[str, keras.layers.Layer, keras.layers.Layer]] = []
    seen: set[int] = set()

    def add(owner: keras.layers.Layer, start: str) -> None:
        for name, sublayer in _named_sublayers(owner):
            if id(sublayer) not in seen:
                seen.add(id(sublayer))
                found.append((f"{start}{name}", owner, sublayer))
                add(sublayer, f"{start}{name}/")

    add(layer, "")
    return found


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
