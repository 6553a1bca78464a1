"""Published weights into the weights of a model, every tensor accounted for."""

import fnmatch
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

import keras
import numpy as np

from keras_mmembed.common import checks
from keras_mmembed.common.types import Shape
from keras_mmembed.published import recipe as recipes
from keras_mmembed.published.reader import Stored
from keras_mmembed.published.recipe import Origin, Patterns, Recipe


@dataclass(frozen=True)
class Plan:
    """Where the values of one weight come from.

    Attributes:
        weight: The weight.
        names: The published tensors that it is made of.
        read: Returns its values, in the shape of the weight.
    """

    weight: keras.Variable
    names: tuple[str, ...]
    read: Callable[[], np.ndarray]


class Loader:
    """Pairs weights with published tensors, checks all pairs, and assigns them.

    Args:
        who: The name of what loads, for messages.
        recipe: What goes where.
        tensors: The published tensors by their names.
        label: The recipe, for messages.
    """

    def __init__(
        self, who: str, recipe: Recipe, tensors: Mapping[str, Stored], label: str
    ) -> None:
        self._who, self._label = who, label
        self._tensors: Mapping[str, Stored] = tensors
        self._prefixes: tuple[str, ...] = ("", *recipe.get("prefixes", ()))
        self._unused: Sequence[str] = recipe.get("unused", ())
        self._patterns: Patterns = Patterns(recipe["weights"])
        self._known: Patterns = Patterns(
            {
                prefix + name: name
                for origin in recipe["weights"].values()
                for name in recipes.names_in(origin)
                for prefix in self._prefixes
            }
        )

    def load(
        self,
        weights: Mapping[str, keras.Variable],
        only: Sequence[str] | None = None,
        *,
        is_part: bool = False,
        keeps_new: bool = False,
    ) -> None:
        """Assign weights by their paths; or raise, and leave all as they were.

        Args:
            weights: The weights of a model by their paths.
            only: Patterns of the paths of those that are loaded, or `None` for all.
            is_part: Whether the weights are a part of the model of the recipe.
            keeps_new: Whether weights of which the recipe knows nothing keep their
                values.
        """
        chosen, is_part = weights, is_part or only is not None
        if only is not None:
            chosen = {
                path: weight
                for path, weight in weights.items()
                if any(matches(path, pattern) for pattern in only)
            }
        plans, nothing = [], []
        for path, weight in chosen.items():
            if keeps_new and self._patterns.find(path) is None:
                continue
            plan = self._plan(path, weight)
            (nothing if plan is None else plans).append(path if plan is None else plan)
        used = {name for plan in plans for name in plan.names}
        left = [name for name in self._tensors if name not in used]
        left = [name for name in left if not self._may_be_left(name, is_part)]
        self._check_accounts(nothing, left)
        for plan in plans:
            if plan.read is not keep:
                plan.weight.assign(plan.read())

    def _plan(self, path: str, weight: keras.Variable) -> Plan | None:
        """Return where a weight comes from, or `None` if nothing is there for it."""
        found = self._patterns.find(path)
        if found is None:
            return None
        origin = recipes.filled(*found)
        for one in origin if isinstance(origin, list) else [origin]:
            if one is None:
                return Plan(weight, (), keep)
            if isinstance(one, (int, float)):
                return Plan(weight, (), _constant(weight, one))
            names = [self._find(name) for name in recipes.names_of(one)]
            if None not in names:
                return self._plan_of(path, weight, one, [n for n in names if n])
        return None

    def _plan_of(
        self, path: str, weight: keras.Variable, origin: Origin, names: list[str]
    ) -> Plan:
        """Return the plan for tensors that exist; raise if they do not fit."""
        tensors = [self._tensors[name] for name in names]
        for name, tensor in zip(names, tensors, strict=True):
            rule = f"have floats in {name!r}, for the weight {path!r}"
            fits = tensor.is_float and "float" in str(weight.dtype)
            checks.check(fits, self._who, "source", rule, "another dtype")

        def made() -> np.ndarray:
            values = [tensor.read() for tensor in tensors]
            return origin[0](*values) if isinstance(origin, tuple) else values[0]

        if isinstance(origin, tuple):
            shape = self._shape_of(path, made, names)
        else:
            shape = tensors[0].shape
        is_kernel, target = weight.name == "kernel", tuple(weight.shape)
        arranged = outputs_last(shape) if is_kernel else shape
        rule = f"fit the shape {target} of the weight {path!r}"
        received = f"{shape} of {', '.join(map(repr, names))}"
        remedy = "Its first two axes are outputs and inputs." if is_kernel else ""
        fits = one_splits_other(arranged, target)
        checks.check(fits, self._who, "source", rule, received, remedy)

        def read() -> np.ndarray:
            values = made()
            if is_kernel and values.ndim > 1:
                values = np.moveaxis(values, (0, 1), (-1, -2))
            return np.ascontiguousarray(values).reshape(target)

        return Plan(weight, tuple(names), read)

    def _shape_of(
        self, path: str, made: Callable[[], np.ndarray], names: list[str]
    ) -> tuple[int, ...]:
        """Return the shape of what a function makes of tensors."""
        try:
            return np.shape(made())
        except Exception as error:  # whatever a function of the user's does
            rule = f"have a function for {path!r} that takes {names}"
            received = f"{type(error).__name__}: {error}"
            text = checks.error_text(self._who, "recipe", rule, received)
            raise ValueError(text) from error

    def _find(self, name: str) -> str | None:
        """Return the name that a tensor has in the file, or `None`."""
        found = [p + name for p in self._prefixes if p + name in self._tensors]
        rule = f"have {name!r} once"
        checks.check(len(found) < 2, self._who, "source", rule, found)
        return found[0] if found else None

    def _may_be_left(self, name: str, is_partial: bool) -> bool:
        """Whether a tensor may go unused, as one without values may."""
        if 0 in self._tensors[name].shape:
            return True
        unused = [p + one for one in self._unused for p in self._prefixes]
        if any(fnmatch.fnmatchcase(name, one) for one in unused):
            return True
        return is_partial and self._known.find(name) is not None

    def _check_accounts(self, nothing: Sequence[str], left: Sequence[str]) -> None:
        rule = "have a tensor for every weight, and a weight for every tensor"
        parts = []
        if nothing:
            named = [f"{path} <- {self._looked_for(path)}" for path in nothing]
            parts.append(f"Weights without a tensor: {recipes.collapsed(named)}.")
        if left:
            parts.append(f"Tensors without a weight: {recipes.collapsed(left)}.")
        fits = not nothing and not left
        checks.check(fits, self._who, "recipe", rule, self._label, " ".join(parts))

    def _looked_for(self, path: str) -> str:
        """Return the names of a weight's tensors, for a message."""
        found = self._patterns.find(path)
        if found is None:
            return "no entry"
        origin = recipes.filled(*found)
        last = origin[-1] if isinstance(origin, list) else origin
        return " + ".join(recipes.names_of(last))


def keep() -> np.ndarray:
    """Stand for the values that a weight has."""
    raise NotImplementedError


def _constant(weight: keras.Variable, number: float) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        return np.full(tuple(weight.shape), number, "float32")

    return read


def outputs_last(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a kernel as Keras has it: inputs and outputs come last."""
    return (*shape[2:], *shape[1::-1])


def one_splits_other(shape: Sequence[int], target: Shape) -> bool:
    """Whether axes of one shape are split, or none, in the other.

    A reshape to it then mixes nothing: a kernel that is transposed has as many values.
    """
    ends = [set(accumulate((n for n in one if n != 1), mul)) for one in (shape, target)]
    sizes = [[n or 0 for n in one] for one in (shape, target)]
    return math.prod(sizes[0]) == math.prod(sizes[1]) and (
        ends[0] <= ends[1] or ends[1] <= ends[0]
    )


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern is a run of whole names in a path."""
    names, parts = path.split("/"), pattern.strip("/").split("/")
    return any(
        all(map(fnmatch.fnmatchcase, names[start : start + len(parts)], parts))
        for start in range(len(names) - len(parts) + 1)
    )


def weights_by_path(who: str, layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Return the weights of a layer by the names that lead to them.

    Unlike `weight.path`, it does not depend on where the layer was built.
    """
    found: dict[str, keras.Variable] = {}
    seen: set[int] = set()
    for path, weight in _walk(layer, ""):
        if id(weight) in seen:
            continue
        seen.add(id(weight))
        rule = f"have one weight with the path {path!r}"
        remedy = "Give its layers names that differ."
        checks.check(path not in found, who, "model", rule, layer.name, remedy)
        found[path] = weight
    return found


def _walk(
    layer: keras.layers.Layer, prefix: str
) -> Iterator[tuple[str, keras.Variable]]:
    for weight in (*layer._trainable_variables, *layer._non_trainable_variables):
        yield f"{prefix}{weight.name}", weight
    for sublayer in layer._layers:
        yield from _walk(sublayer, f"{prefix}{sublayer.name}/")
