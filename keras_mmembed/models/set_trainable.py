"""Freezing: which weights of a model train, by patterns of their paths."""

import fnmatch
from collections.abc import Iterator, Sequence

import keras

from keras_mmembed.common import checks
from keras_mmembed.common.sublayer_state import KeepsSublayers, freeze

WHO = "set_trainable"


def set_trainable(model: keras.layers.Layer, patterns: str | Sequence[str]) -> None:
    """Train the weights whose path matches a pattern, and freeze all others.

    A pattern is a part of a path between slashes: `"audio"` matches all weights of the
    modality `audio` and its modality vector, `"block_3/attention"` the attention of a
    block. `*` stands for any characters of one name. Kernels that LoRA froze stay
    frozen.

    Call it last, after weights are loaded and LoRA is enabled, and before `compile`.
    What is frozen in a `MultiModalFusion` or `MultiModalTransformer` stays so in a
    saved file.

    Args:
        model: A Keras model or layer that is built.
        patterns: Patterns of paths; none freezes all weights.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if the model is not built, if a pattern matches no weight, or if
            patterns match some weights of a layer that Keras saves as a whole.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import MultiModalTransformer, set_trainable
    >>> model = MultiModalTransformer({
    ...     "text": {"type": "1d", "dim": 8},
    ...     "audio": {"type": "1d", "dim": 6},
    ... }, unified_dim=8, num_layers=1, num_heads=2, name="model")
    >>> outputs = model({"text": np.ones((1, 3, 8)), "audio": np.ones((1, 2, 6))})
    >>> set_trainable(model, ["audio", "block_0/attention_norm"])
    >>> [weight.path.removeprefix("model/") for weight in model.trainable_weights]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['fusion/modality/audio', 'fusion/audio/projection/kernel',
     'fusion/audio/projection/bias', 'block_0/attention_norm/gamma',
     'block_0/attention_norm/beta']

    References:
        N. Houlsby et al., "Parameter-efficient transfer learning", 2019,
        https://arxiv.org/abs/1902.00751, and the `freeze` of PyTorch's fine-tuning
        recipes, which go by the same paths.
    """
    patterns = _check(model, patterns)
    layers = list(model._flatten_layers())
    by_lora = {id(weight) for layer in layers for weight in _frozen_by_lora(layer)}
    chosen = {
        id(weight)
        for weight in model.weights
        if any(_matches(weight.path, pattern) for pattern in patterns)
    }
    kept = _ids_of_kept_sublayers(layers)
    for layer in layers:
        own = [id(weight) for weight in layer._trainable_variables]
        trained = [one for one in own if one in chosen]
        fits = id(layer) in kept or len(trained) in (0, len(own))
        rule = f"match all weights of the layer {layer.name!r} or none"
        remedy = "Keras saves whether a layer trains, not which of its weights do."
        checks.check(fits, WHO, "patterns", rule, list(patterns), remedy)
    freeze(model, False)
    for layer in layers:
        weights = [weight for one in layer._flatten_layers() for weight in _own(one)]
        if weights and not any(id(weight) in chosen for weight in weights):
            layer.trainable = False
    for layer in layers:
        for weight in _own(layer):
            weight.trainable = id(weight) in chosen and id(weight) not in by_lora


def _check(model: keras.layers.Layer, patterns: str | Sequence[str]) -> tuple[str, ...]:
    """Return the patterns as a tuple, each of which matches a weight of the model."""
    rule = "be a Keras layer or model"
    is_layer = isinstance(model, keras.layers.Layer)
    checks.check(is_layer, WHO, "model", rule, repr(model), error=TypeError)
    rule, remedy = "be built, so that it has weights", "Call it on a batch first."
    checks.check(model.built, WHO, "model", rule, model.name, remedy)
    listed = [patterns] if isinstance(patterns, str) else patterns
    is_list = isinstance(listed, (list, tuple))
    rule = "be a list of patterns of weight paths, or one pattern"
    fits = is_list and all(isinstance(pattern, str) for pattern in listed)
    checks.check(fits, WHO, "patterns", rule, repr(patterns), error=TypeError)
    paths = [weight.path for layer in model._flatten_layers() for weight in _own(layer)]
    for pattern in listed:
        rule = "match the path of a weight"
        is_used = any(_matches(path, pattern) for path in paths)
        remedy = f"Paths are such as {paths[0]!r}." if paths else ""
        checks.check(is_used, WHO, "patterns", rule, repr(pattern), remedy)
    return tuple(listed)


def _own(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Return the weights of a layer that can train, without those of its sublayers."""
    return list(layer._trainable_variables)


def _frozen_by_lora(layer: keras.layers.Layer) -> Iterator[keras.Variable]:
    """Yield the weights that have a `lora_<name>_a` beside them."""
    names = {weight.name for weight in layer.weights}
    yield from (w for w in _own(layer) if f"lora_{w.name}_a" in names)


def _ids_of_kept_sublayers(layers: Sequence[keras.layers.Layer]) -> set[int]:
    """Return the ids of layers whose frozen weights a file of the model knows."""
    keepers = [layer for layer in layers if isinstance(layer, KeepsSublayers)]
    return {id(one) for layer in keepers for one in layer._flatten_layers()}


def _matches(path: str, pattern: str) -> bool:
    """Whether a pattern is a run of whole names in a path."""
    names, parts = path.split("/"), pattern.strip("/").split("/")
    return any(
        all(map(fnmatch.fnmatchcase, names[start : start + len(parts)], parts))
        for start in range(len(names) - len(parts) + 1)
    )
