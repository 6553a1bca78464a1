"""The public function that loads published weights."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_mmembed.common import checks
from keras_mmembed.published.loader import Loader, matches, weights_by_path
from keras_mmembed.published.reader import open_source
from keras_mmembed.published.recipe import Recipe, check_recipe
from keras_mmembed.published.recipes import PUBLISHED

WHO = "load_published_weights"


def load_published_weights(
    model: keras.layers.Layer,
    source: str | os.PathLike[str] | Mapping[str, Any],
    recipe: str | Recipe,
    *,
    part: str | None = None,
    only: str | Sequence[str] | None = None,
) -> None:
    """Load the weights of a published checkpoint into a model, or a part of one.

    A recipe says which published tensor goes into which weight. One rule of shape is
    enough for nearly all: the first two axes of a kernel, outputs and inputs, move to
    the end, then the axes of a tensor are split or joined to those of the weight.

    Every weight must get a tensor, and every tensor a weight, unless the recipe says
    otherwise. All is checked before the first weight is assigned.

    A recipe is data, a dict of

    - `weights`: by the path of a weight below the model, without its name, where it
      comes from: the name of a tensor in the file; a tuple of a function and names,
      which is called with their arrays; a number, for a weight that is all of it;
      `None`, for one that keeps its values; or a list of these, of which the first
      counts whose tensors are there. `{i}` in a path stands for a number, also in the
      names; `*` stands for anything;
    - `unused`: names of tensors that may be left over, with `*`;
    - `prefixes`: what a name may have in front, such as `"bert."`.

    Args:
        model: A built model or layer.
        source: A folder with `model.safetensors` or the index of several files, one
            such file, or a dict of arrays by the names that they have in the file.
        recipe: The `model_type` of a published model, or a recipe of your own.
        part: What `model` is in the model of the recipe, by its path, such as
            `"fusion/text/embedding"` for the word embeddings. Defaults to `None`, the
            whole model.
        only: Patterns of the paths of weights that are loaded, as for `set_trainable`;
            all others keep their values. Defaults to `None`, all weights.

    Raises:
        TypeError: if an argument is of the wrong kind.
        ValueError: if the source is no such file, is damaged, or leads out of its
            folder; if the recipe is unknown; or if weights and tensors do not fit. No
            weight has changed then.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import load_published_weights
    >>> layer = keras.layers.Dense(3)
    >>> layer.build((None, 2))
    >>> arrays = {"proj.weight": np.ones((3, 2)), "proj.bias": np.zeros(3)}
    >>> recipe = {"weights": {"kernel": "proj.weight", "bias": "proj.bias"}}
    >>> load_published_weights(layer, arrays, recipe)
    >>> tuple(layer.kernel.shape)
    (2, 3)

    References:
        The files are those of https://github.com/huggingface/safetensors.
    """
    rule = "be a Keras layer or model"
    is_layer = isinstance(model, keras.layers.Layer)
    checks.check(is_layer, WHO, "model", rule, repr(model), error=TypeError)
    rule, remedy = "be built, so that it has weights", "Call it on a batch first."
    checks.check(model.built, WHO, "model", rule, model.name, remedy)
    label = "a dict"
    if isinstance(recipe, str):
        label = repr(checks.check_choice(WHO, "recipe", recipe, PUBLISHED))
        recipe = PUBLISHED[recipe].recipe
    weights = weights_by_path(WHO, model)
    if part is not None:
        fits = isinstance(part, str)
        rule = "be a path in the model of the recipe"
        checks.check(fits, WHO, "part", rule, repr(part), error=TypeError)
        weights = {f"{part.strip('/')}/{path}": w for path, w in weights.items()}
    tensors = open_source(WHO, source)
    loader = Loader(WHO, check_recipe(WHO, recipe), tensors, label)
    loader.load(weights, _check_only(only, weights), is_part=part is not None)


def _check_only(only: Any, paths: Mapping[str, Any]) -> list[str] | None:
    """Return patterns of paths as a list, each of which matches one."""
    if only is None:
        return None
    listed = [only] if isinstance(only, str) else only
    is_list = isinstance(listed, (list, tuple))
    fits = is_list and all(isinstance(pattern, str) for pattern in listed)
    rule = "be a list of patterns of weight paths, or one pattern"
    checks.check(fits, WHO, "only", rule, repr(only), error=TypeError)
    rule = "hold a pattern at least: nothing would be loaded"
    checks.check(len(listed) > 0, WHO, "only", rule, repr(only))
    for pattern in listed:
        is_used = any(matches(path, pattern) for path in paths)
        remedy = f"Paths are such as {next(iter(paths))!r}." if paths else ""
        rule = "match the path of a weight"
        checks.check(is_used, WHO, "only", rule, repr(pattern), remedy)
    return list(listed)
