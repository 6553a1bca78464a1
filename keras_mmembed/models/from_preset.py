"""A model from the folder of a published checkpoint."""

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import keras
import numpy as np

from keras_mmembed.common import checks
from keras_mmembed.common.types import Config
from keras_mmembed.positions.resize import resize_positions
from keras_mmembed.published.loader import Loader, weights_by_path
from keras_mmembed.published.reader import as_path, open_source, read_json
from keras_mmembed.published.recipe import Recipe, names_in
from keras_mmembed.published.recipes import PUBLISHED
from keras_mmembed.published.settings import Published

Model = TypeVar("Model", bound=keras.Model)
WHO = "MultiModalTransformer"
CONFIG = "config.json"
# what belongs to the pooling of a published model, and falls away with another
READOUT = ("pooler", "num_outputs", "output_activation", "head", "tie_embeddings")
# arguments that make a layer, which is new if they are given
MAKERS = {"num_outputs": "head", "head": "head", "pooler": "pooler"}


def from_preset(
    model_class: type[Model],
    source: str | os.PathLike[str],
    model_type: str | None,
    overrides: Config,
) -> Model:
    """Return a model with the configuration and the weights of a folder.

    Args:
        model_class: The class of the model.
        source: A folder with `config.json` and safetensors.
        model_type: Which model, if the folder holds several.
        overrides: Arguments of the model in place of those of the folder.
    """
    path = as_path(WHO, source)
    is_there = (path / CONFIG).is_file()
    rule = f"be a folder with {CONFIG}"
    checks.check(is_there, WHO, "source", rule, repr(str(path)))
    config = read_json(WHO, path / CONFIG)
    argument, name = "model_type", model_type
    if name is None:
        argument, name = f"source[{CONFIG!r}]['model_type']", config.get("model_type")
    published, tensors = _published(argument, name), open_source(WHO, path)
    config = published.own(config)
    arguments = published.configure(config)
    model: Any = model_class(**merge(arguments, overrides))
    model.build(published.shapes(config))
    recipe = without(published.recipe, [MAKERS[n] for n in overrides if n in MAKERS])
    for modality, one in arguments["modality_configs"].items():
        position = model.fusion.branch(modality).position
        recipe = resized(recipe, modality, one.get("position"), position)
    loader = Loader(WHO, recipe, tensors, repr(name))
    is_other = bool(overrides)
    loader.load(weights_by_path(WHO, model), is_part=is_other, keeps_new=is_other)
    return model


def _published(argument: str, name: Any) -> Published:
    """Return what is published of a type of model, or say how to choose one."""
    several = [known for known in PUBLISHED if known.startswith(f"{name}_")]
    remedy = f"Give model_type={' or '.join(map(repr, several))}." if several else ""
    rule = f"be one of {', '.join(map(repr, PUBLISHED))}"
    fits = isinstance(name, str) and name in PUBLISHED
    checks.check(fits, WHO, argument, rule, repr(name), remedy)
    return PUBLISHED[name]


def merge(arguments: Config, overrides: Config) -> Config:
    """Return arguments with others in their place; modalities are merged key by key."""
    merged = {**arguments}
    if "pooling" in overrides:
        merged = {n: value for n, value in merged.items() if n not in READOUT}
        if merged.get("final_norm") == "pooled":
            merged["final_norm"] = False
    if "num_outputs" in overrides or "head" in overrides:
        merged = {n: v for n, v in merged.items() if n not in READOUT[1:]}
    merged.update(overrides)
    given = overrides.get("modality_configs", {})
    if isinstance(given, Mapping):
        configs = {**arguments["modality_configs"]}
        for name, config in given.items():
            is_dict = isinstance(config, Mapping)
            configs[name] = {**configs.get(name, {}), **config} if is_dict else config
        merged["modality_configs"] = configs
    return merged


def resized(recipe: Recipe, name: str, published: Any, position: Any) -> Recipe:
    """Return a recipe that resizes the position table of a modality, if it must be.

    Args:
        recipe: A recipe.
        name: Name of the modality.
        published: The published position layer, as data.
        position: That of the model.
    """
    keys = ("height", "width")
    if not isinstance(published, dict) or not hasattr(position, "height"):
        return recipe
    old = [published["config"].get(key) for key in keys]
    new = [getattr(position, key) for key in keys]
    path = f"fusion/{name}/position/embeddings"
    origin = recipe["weights"].get(path)
    if old == new or None in (*old, *new) or not isinstance(origin, (str, tuple)):
        return recipe
    function, names = (None, (origin,))
    if isinstance(origin, tuple):
        function, *names = origin

    def resize(*tensors: np.ndarray) -> np.ndarray:
        table = tensors[0] if function is None else function(*tensors)
        return resize_positions(
            table.reshape(-1, table.shape[-1]),
            new,
            position.interpolation or "bicubic",
            antialias=position.antialias,
            align_corners=position.align_corners,
            grid=old,
        )

    return {**recipe, "weights": {**recipe["weights"], path: (resize, *names)}}


def without(recipe: Recipe, layers: list[str]) -> Recipe:
    """Return a recipe in which layers at the top keep the weights that they have."""
    kept: dict[str, Any] = {f"{name}/*": None for name in layers}
    unused = list(recipe.get("unused", ()))
    for path, origin in recipe["weights"].items():
        if path.split("/")[0] in layers:
            unused += names_in(origin)
        else:
            kept[path] = origin
    return {**recipe, "weights": kept, "unused": unused}
