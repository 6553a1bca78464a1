"""Arguments of models from published configurations: what most of them share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from keras_mmembed.common import checks
from keras_mmembed.common.types import Config, Shape
from keras_mmembed.fusion.config import serialize_configs
from keras_mmembed.published.recipe import Recipe

WHO = "MultiModalTransformer"
# published names of activations, and those of Keras or this package
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


# a size of the inputs, or the entry of a configuration that has it
Axis: TypeAlias = int | str | None
OF_ALL = ("architectures", "projection_dim")


@dataclass(frozen=True)
class Published:
    """A published model.

    Attributes:
        configure: Makes the arguments of a model of its configuration.
        recipe: What of its files goes where.
        inputs: By modality, the shapes of its inputs, with entries of the
            configuration in place of sizes.
        key: The entry of the configuration of several models that has its own.
        defaults: What may be missing there.
    """

    configure: Callable[[Mapping[str, Any]], Config]
    recipe: Recipe
    inputs: Mapping[str, tuple[Axis, ...]] = field(
        default_factory=lambda: {"text": (None, None)}
    )
    key: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def own(self, config: Mapping[str, Any]) -> Config:
        """Return the configuration of this model, also from that of several."""
        if self.key not in config:
            return dict(config)
        # projections go to the width of all, and the name of all tells of them
        outer = {name: config[name] for name in OF_ALL if config.get(name) is not None}
        return {**self.defaults, **config[self.key], **outer}

    def shapes(self, config: Mapping[str, Any]) -> dict[str, Shape]:
        """Return the shapes of the inputs for a configuration."""
        config = {"num_channels": 3, **config}
        return {
            name: tuple(
                size_of(config, axis) if isinstance(axis, str) else axis
                for axis in shape
            )
            for name, shape in self.inputs.items()
        }


def value_of(config: Mapping[str, Any], key: str) -> Any:
    """Return an entry of a published configuration, which must be there."""
    rule = f"have {key!r} in its config.json"
    checks.check(key in config, WHO, "source", rule, sorted(map(str, config)))
    return config[key]


def size_of(config: Mapping[str, Any], key: str) -> int:
    """Return a size in a published configuration."""
    value, argument = value_of(config, key), f"source['config.json'][{key!r}]"
    return checks.check_integer(WHO, argument, value)


def sizes_of(config: Mapping[str, Any], key: str, number: int = 2) -> tuple[int, ...]:
    """Return one size for each axis, of which all may be given as one."""
    value, argument = value_of(config, key), f"source['config.json'][{key!r}]"
    values = value if isinstance(value, list) else [value] * number
    rule = f"be an integer or {number} of them"
    checks.check(len(values) == number, WHO, argument, rule, repr(value))
    return tuple(checks.check_integer(WHO, argument, one) for one in values)


def check_known(config: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Raise unless each entry, if it is there, has the only value that is known.

    Args:
        config: A published configuration.
        known: Entries that change the arithmetic, each with the value that the library
            can express.
    """
    for key, expected in known.items():
        value, argument = config.get(key, expected), f"source['config.json'][{key!r}]"
        rule = f"be {expected!r}: there is no other here"
        checks.check(value == expected, WHO, argument, rule, repr(value))


def activation_of(config: Mapping[str, Any], key: str = "hidden_act") -> str:
    """Return the name of an activation."""
    argument = f"source['config.json'][{key!r}]"
    name = checks.check_choice(WHO, argument, value_of(config, key), ACTIVATIONS)
    return ACTIVATIONS[name]


def encoder_of(config: Mapping[str, Any], **more: Any) -> Config:
    """Return the arguments that are named alike in most configurations."""
    return {
        "unified_dim": size_of(config, "hidden_size"),
        "num_layers": size_of(config, "num_hidden_layers"),
        "num_heads": size_of(config, "num_attention_heads"),
        "hidden_dim": size_of(config, "intermediate_size"),
        "activation": activation_of(config),
        "epsilon": float(value_of(config, "layer_norm_eps")),
        "dropout": float(config.get("hidden_dropout_prob", 0.0)),
        "modality_embedding": False,
        **more,
    }


def modalities(**configs: Any) -> Config:
    """Return configurations of modalities with their layers as plain data."""
    return dict(serialize_configs(configs))


def tower(arguments: Config) -> Config:
    """Return a model inside another as plain data."""
    name = "MultiModalTransformer"
    return {
        "module": "keras_mmembed.models.transformer",
        "class_name": name,
        "config": arguments,
        "registered_name": f"keras_mmembed>{name}",
    }


def has_part(config: Mapping[str, Any], endings: Sequence[str]) -> bool:
    """Whether the published model is one of those that have a part, by its name."""
    names = config.get("architectures") or []
    return any(str(name).endswith(tuple(endings)) for name in names)


def labels_of(config: Mapping[str, Any], endings: Sequence[str]) -> int | None:
    """Return the number of outputs of a classifier, `None` without one.

    Args:
        config: A published configuration.
        endings: How the names of models with a classifier end.
    """
    if not has_part(config, endings):
        return None
    # a configuration says nothing of two labels
    return len(config.get("id2label") or range(2))


def padding_of(config: Mapping[str, Any]) -> Config:
    """Return the key of a modality for the id of padding, if there is one."""
    padding = config.get("pad_token_id")
    return {} if padding is None else {"padding_id": padding}
