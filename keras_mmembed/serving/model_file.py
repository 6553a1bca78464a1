"""The `.keras` file of a model that another process loads."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from keras_mmembed.common import checks
from keras_mmembed.common.types import Config
from keras_mmembed.serving.signature import WHO


def custom_modules(model: keras.Model) -> list[str]:
    """Return the modules of the classes and functions that are not Keras' own.

    Raise if another process could not import one of them.
    """
    config = keras.saving.serialize_keras_object(model)
    return sorted({_module_of(name) for name in sorted(set(_custom_names(config)))})


def _custom_names(config: Any) -> Iterator[str]:
    """Yield the registered names in a configuration."""
    if isinstance(config, (list, tuple)):
        for one in config:
            yield from _custom_names(one)
    if not isinstance(config, dict):
        return
    name, module = config.get("registered_name"), config.get("module")
    if name and not (module or "").startswith("keras."):
        yield name
    for key, value in config.items():
        if key != "compile_config":  # losses and the like, which are not exported
            yield from _custom_names(value)


def _module_of(name: str) -> str:
    """Return the module of a registered name, if another process can import it."""
    rule = "hold only classes and functions that are registered"
    remedy = (
        "Put @keras.saving.register_keras_serializable(package='...') before it, "
        "in a module that can be imported."
    )
    checks.check(">" in name, WHO, "model", rule, name, remedy)
    module = keras.saving.get_registered_object(name).__module__
    rule = "be made of classes that another process can import"
    remedy = "Move it to a module of its own; a script cannot be imported safely."
    received = f"{name} of {module}"
    checks.check(module != "__main__", WHO, "model", rule, received, remedy)
    return module


def quantized_policies(model: keras.Model) -> dict[int, Any]:
    """Return the dtype policies of quantized layers by index among all layers.

    The file does not have them all: the configuration of Keras' own attention leaves
    out that the layers in it are quantized.
    """
    return {
        index: keras.dtype_policies.serialize(layer.dtype_policy)
        for index, layer in enumerate(model._flatten_layers())
        if layer.quantization_mode
    }


def load_model(path: Path, policies: Mapping[str, Config]) -> keras.Model:
    """Return the model of a file, with its layers quantized by `quantized_policies`."""
    # safe_mode guards against the files of others; this one is the parent's own
    model: Any
    if not policies:
        model = keras.models.load_model(path, compile=False, safe_mode=False)
        return model
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    config.pop("compile_config", None)
    model = keras.saving.deserialize_keras_object(config, safe_mode=False)
    layers = list(model._flatten_layers())
    for index, policy in policies.items():
        # quantizes the layer, and so makes the weights that the file has
        policy = keras.dtype_policies.deserialize(policy)
        layers[int(index)].dtype_policy = policy
    model.load_weights(path)
    return model
