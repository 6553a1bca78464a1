"""The attention mask of a fused sequence: which token may attend to which."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import call_arguments, checks, tensors
from keras_mmembed.common.calls import clear_calls
from keras_mmembed.common.describe import describe
from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Config, LayerArguments, Shape, Tensor

WHO = "AttentionMask"
EVERYONE = "*"
KEYS = ("mask", "modality_ids")


@keras.saving.register_keras_serializable(package="keras_mmembed")
@clear_calls
class AttentionMask(keras.layers.Layer):
    """Computes the attention mask of a fused sequence from padding and modalities.

    Query `q` may attend to key `k` if

        valid(k)  and  example(q) = example(k)  and  m(k) not in hidden[m(q)]
                  and  (not causal  or  k <= q  or  m(k) in prefix)      or  q = k

    where `m` is the modality of a token. Every token may attend to itself, so no row
    of the mask is empty: the output of attention for an empty row differs between
    backends, and on PyTorch its gradients are wrong.

    Shapes:
        fused: the dict that `MultiModalFusion` returns with `return_dict=True`; its
            `mask` and `modality_ids` are used, both `(batch, length)`.
        example_ids: `(batch, length)`, integer.
        outputs: `(batch, length, length)`, bool, as `attention_mask` of
            `keras.layers.MultiHeadAttention`.

    Args:
        modalities: Names of the modalities, in the order of their ids; those of the
            fusion are `fusion.modalities`.
        causal: Whether a token may attend only to itself and to those before it;
            `False` by default.
        prefix: Names of modalities that every token may attend to although the mask
            is causal, such as the image that a text describes; none by default, and
            none without `causal`.
        hidden: By name of a modality, the names of those that its tokens may not
            attend to; by `"*"`, those that only their own tokens may attend to. By
            default nothing is hidden. Special tokens (class, register, start and end
            tokens, with id -1) may be attended to by all, and may attend to all that
            `"*"` does not hide.
        **kwargs: `name`, as for every Keras layer.

    Call arguments:
        fused: The outputs of the fusion.
        example_ids: The example that each token belongs to, where several are packed
            in a row; by default a row is one example.

    Masking: the padding mask is read from `fused`. Pass the result to every attention
    layer: `MultiHeadAttention` does not pass on the Keras mask of its inputs.

    Raises:
        TypeError: if ids are not integer, or an argument has the wrong type.
        ValueError: if a name is not among the modalities, `prefix` comes without
            `causal`, `fused` lacks a key, shapes differ, or a known id is not of the
            modalities. Inside a compiled step one out of range is the nearest.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import AttentionMask, MultiModalFusion
    >>> fusion = MultiModalFusion({
    ...     "image": {"type": "none", "dim": 8},
    ...     "text": {"type": "1d", "dim": 8},
    ... }, unified_dim=8, return_dict=True)
    >>> fused = fusion({"image": np.ones((1, 2, 8)), "text": np.ones((1, 3, 8))})
    >>> layer = AttentionMask(fusion.modalities, causal=True, prefix=["image"])
    >>> keras.ops.convert_to_numpy(layer(fused)[0]).astype(int)
    array([[1, 1, 0, 0, 0],
           [1, 1, 0, 0, 0],
           [1, 1, 1, 0, 0],
           [1, 1, 1, 1, 0],
           [1, 1, 1, 1, 1]])

    References:
        C. Raffel et al., "T5", 2020, section 3.2.1, https://arxiv.org/abs/1910.10683
        (causal with a prefix).
    """

    if TYPE_CHECKING:

        def __call__(
            self, fused: dict[str, Tensor], example_ids: Tensor | None = None
        ) -> Tensor: ...

    else:

        def __call__(self, fused: Any = None, *args: Any, **kwargs: Any) -> Tensor:
            checks.check_fused(WHO, fused, KEYS)
            tables = {
                key: call_arguments.as_array(WHO, f"fused[{key!r}]", fused[key])
                for key in KEYS
            }
            args, kwargs = call_arguments.standardize(
                WHO, args, kwargs, required=(), optional=("example_ids",)
            )
            return super().__call__({**fused, **tables}, *args, **kwargs)

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        causal: bool = False,
        prefix: Sequence[str] = (),
        hidden: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        options = checks.layer_options(WHO, kwargs)
        super().__init__(autocast=False, **options)
        self.supports_masking = True
        self.modalities: tuple[str, ...] = checks.check_names(
            WHO, "modalities", modalities
        )
        self.causal: bool = checks.check_flag(WHO, "causal", causal)
        self.prefix: tuple[str, ...] = self._check_known("prefix", prefix)
        rule = "be left out without causal=True, where all tokens see each other"
        checks.check(causal or not prefix, WHO, "prefix", rule, repr(prefix))
        self.hidden: dict[str, list[str]] = self._check_hidden(hidden)

    def __repr__(self) -> str:
        return describe(self)

    def build(
        self, fused_shape: dict[str, Shape], example_ids_shape: Shape | None = None
    ) -> None:
        self.built = True

    def compute_output_shape(
        self, fused_shape: dict[str, Shape], example_ids_shape: Shape | None = None
    ) -> Shape:
        batch, length = fused_shape["mask"]
        return (batch, length, length)

    def call(
        self, fused: dict[str, Tensor], example_ids: Tensor | None = None
    ) -> Tensor:
        if example_ids is not None:
            example_ids = ops.convert_to_tensor(example_ids)
        self._check_call(fused, example_ids)
        # special tokens have the id -1, and the first row of the tables
        rows = ops.cast(fused["modality_ids"], "int32") + 1
        if self.causal or self.hidden:
            # not every backend reads the nearest row of a table
            rows = ops.clip(rows, 0, len(self.modalities))
        index = count(rows, axis=1)
        query, key = ops.expand_dims(index, 1), ops.expand_dims(index, 0)
        allowed = ops.expand_dims(ops.cast(fused["mask"], "bool"), 1)
        if self.causal:
            in_prefix = ops.expand_dims(_look_up(self._prefix_table(), rows), 1)
            visible = ops.logical_or(ops.less_equal(key, query), in_prefix)
            allowed = ops.logical_and(allowed, visible)
        if self.hidden:
            table = self._visible_table()
            pairs = ops.expand_dims(rows, 2) * len(table) + ops.expand_dims(rows, 1)
            allowed = ops.logical_and(allowed, _look_up(table.ravel(), pairs))
        if example_ids is not None:
            allowed = ops.logical_and(allowed, _same_example(example_ids))
        return ops.logical_or(allowed, ops.equal(query, key))

    def compute_mask(self, fused: dict[str, Tensor], previous_mask: Any = None) -> None:
        # a mask of masks would be read as one of tokens
        return None

    def compute_output_spec(
        self, fused: dict[str, Tensor], example_ids: Tensor | None = None
    ) -> keras.KerasTensor:
        self._check_call(fused, example_ids)
        batch, length = fused["mask"].shape
        return keras.KerasTensor((batch, length, length), dtype="bool")

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            "causal": self.causal,
            "prefix": list(self.prefix),
            "hidden": self.hidden,
        }

    def _prefix_table(self) -> np.ndarray:
        """Return by row of a key whether all queries see it in a causal mask."""
        return np.array([False, *(name in self.prefix for name in self.modalities)])

    def _visible_table(self) -> np.ndarray:
        """Return by row of a query and of a key whether the key is not hidden."""
        visible = np.ones((len(self.modalities) + 1,) * 2, dtype=bool)
        for name, keys in self.hidden.items():
            for key in keys:
                column = self.modalities.index(key) + 1
                if name == EVERYONE:
                    visible[np.arange(len(visible)) != column, column] = False
                else:
                    visible[self.modalities.index(name) + 1, column] = False
        return visible

    def _check_hidden(self, hidden: Any) -> dict[str, list[str]]:
        rule = "be a dict of lists of names"
        is_dict = hidden is None or isinstance(hidden, dict)
        checks.check(is_dict, WHO, "hidden", rule, repr(hidden), error=TypeError)
        hidden = hidden or {}
        self._check_known("hidden", [name for name in hidden if name != EVERYONE])
        return {
            name: list(self._check_known(f"hidden[{name!r}]", keys))
            for name, keys in hidden.items()
        }

    def _check_known(self, argument: str, names: Any) -> tuple[str, ...]:
        rule = f"hold only names among {list(self.modalities)}"
        is_list = isinstance(names, (list, tuple))
        known = [one for one in names if isinstance(one, str)] if is_list else []
        fits = is_list and len(known) == len(names)
        fits = fits and set(known) <= set(self.modalities)
        checks.check(fits, WHO, argument, rule, repr(names))
        is_single = len(set(names)) == len(names)
        checks.check(is_single, WHO, argument, "have each name once", repr(names))
        return tuple(names)

    def _check_call(self, fused: dict[str, Tensor], example_ids: Tensor | None) -> None:
        checks.check_fused(WHO, fused, KEYS)
        mask, modality_ids = (fused[key] for key in KEYS)
        expected = checks.known_shape(mask.shape)
        rank = (2,)
        checks.check_rank(WHO, "fused['mask'].shape", expected, rank, "(batch, length)")
        tensors.check_flags(WHO, "fused['mask']", mask)
        self._check_ids("fused['modality_ids']", modality_ids, expected)
        if example_ids is not None:
            self._check_ids("example_ids", example_ids, expected)
        count = len(self.modalities)
        remedy = f"The modalities are {list(self.modalities)}; -1 is a special token."
        tensors.check_range(
            WHO, "fused['modality_ids']", modality_ids, -1, count, remedy
        )

    def _check_ids(self, argument: str, ids: Tensor, expected: Shape) -> None:
        tensors.check_kind(WHO, argument, ids, "integer")
        shape = checks.known_shape(ids.shape)
        rule = f"have the shape {expected} of the fused mask"
        agrees = checks.shapes_match(shape, expected)
        checks.check(agrees, WHO, f"{argument}.shape", rule, shape)


def _look_up(table: np.ndarray, index: Tensor) -> Tensor:
    return ops.take(ops.convert_to_tensor(table), index, axis=0)


def _same_example(example_ids: Tensor) -> Tensor:
    """Return `(batch, length, length)`: whether two tokens are of one example."""
    return ops.equal(ops.expand_dims(example_ids, 2), ops.expand_dims(example_ids, 1))
