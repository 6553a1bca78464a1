"""The attention mask of a fused sequence: which token may attend to which."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_mmembed.attention.mask_checks import (
    WHO,
    check_call,
    check_hidden,
    check_known,
    standardize_fused,
    standardize_query,
)
from keras_mmembed.attention.mask_rules import (
    hidden_rules,
    keys_before,
    look_up,
    rows_of,
    same_token,
    visible_keys,
)
from keras_mmembed.common import call_arguments, checks
from keras_mmembed.common.calls import clear_calls
from keras_mmembed.common.describe import describe
from keras_mmembed.common.sequences import count
from keras_mmembed.common.types import Config, LayerArguments, Shape, Tensor
from keras_mmembed.positions.call_arguments import standardize_start


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

    By default the queries are all tokens. In a step of cached decoding they are some:
    `fused` then describes the keys, all slots of the cache, and `query` the tokens of
    the step, which are those from `start_index` on.

    Shapes:
        fused: the dict that `MultiModalFusion` returns with `return_dict=True`; its
            `mask` and `modality_ids` are used, both `(batch, length)`.
        example_ids: `(batch, length)`, integer.
        query: a dict with `modality_ids` and, if the call has them, `example_ids`, both
            `(batch, query length)`, integer.
        start_index: an integer, or `()` or `(batch,)`, integer.
        outputs: `(batch, length, length)`, or `(batch, query length, length)` with
            `query`; bool, as `attention_mask` of `keras.layers.MultiHeadAttention`.

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
        query: The tokens of a step of cached decoding, such as what the fusion returns
            for them. Defaults to `None`: all tokens attend.
        start_index: The index, among the keys, of the first token of `query`.

    Masking: the padding mask is read from `fused`. Pass the result to every attention
    layer: `MultiHeadAttention` does not pass on the Keras mask of its inputs.

    Raises:
        TypeError: if ids are not integer, or an argument has the wrong type.
        ValueError: if a name is not among the modalities, `prefix` comes without
            `causal`, `fused` lacks a key, shapes differ, a known id is not of the
            modalities, or queries with a known `start_index` are not among the keys.
            Inside a compiled step an id out of range is the nearest.

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

    The last two words in a step of cached decoding:

    >>> step = {"modality_ids": fused["modality_ids"][:, 3:]}
    >>> allowed = layer(fused, query=step, start_index=3)
    >>> keras.ops.convert_to_numpy(allowed[0]).astype(int)
    array([[1, 1, 1, 1, 0],
           [1, 1, 1, 1, 1]])

    References:
        C. Raffel et al., "T5", 2020, section 3.2.1, https://arxiv.org/abs/1910.10683
        (causal with a prefix).
    """

    if TYPE_CHECKING:

        def __call__(
            self,
            fused: dict[str, Tensor],
            example_ids: Tensor | None = None,
            query: Mapping[str, Tensor] | None = None,
            start_index: int | Tensor | None = None,
        ) -> Tensor: ...

    else:

        def __call__(
            self,
            fused: Any = None,
            example_ids: Any = None,
            query: Any = None,
            start_index: Any = None,
            **kwargs: Any,
        ) -> Tensor:
            fused = standardize_fused(fused)
            if example_ids is not None:
                as_array = call_arguments.as_array
                kwargs["example_ids"] = as_array(WHO, "example_ids", example_ids)
            if query is not None:
                kwargs["query"] = standardize_query(query)
            if start_index is not None:
                # before Keras makes a tensor of it, which JAX cuts to 32 bits
                kwargs["start_index"] = standardize_start(WHO, start_index)
            return super().__call__(fused, **kwargs)

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
        self.prefix: tuple[str, ...] = check_known("prefix", prefix, self.modalities)
        rule = "be left out without causal=True, where all tokens see each other"
        checks.check(causal or not prefix, WHO, "prefix", rule, repr(prefix))
        self.hidden: dict[str, list[str]] = check_hidden(hidden, self.modalities)

    def __repr__(self) -> str:
        return describe(self)

    def build(
        self,
        fused_shape: dict[str, Shape],
        example_ids_shape: Shape | None = None,
        query_shape: dict[str, Shape] | None = None,
        start_index_shape: Shape | None = None,
    ) -> None:
        self.built = True

    def compute_output_shape(
        self,
        fused_shape: dict[str, Shape],
        example_ids_shape: Shape | None = None,
        query_shape: dict[str, Shape] | None = None,
        start_index_shape: Shape | None = None,
    ) -> Shape:
        batch, length = fused_shape["mask"]
        queries = length if query_shape is None else query_shape["modality_ids"][1]
        return (batch, queries, length)

    def call(
        self,
        fused: dict[str, Tensor],
        example_ids: Tensor | None = None,
        query: Mapping[str, Tensor] | None = None,
        start_index: int | Tensor | None = None,
    ) -> Tensor:
        check_call(fused, example_ids, query, start_index, self.modalities)
        key_ids, valid = fused["modality_ids"], ops.cast(fused["mask"], "bool")
        query_ids = key_ids if query is None else query["modality_ids"]
        keys, queries = count(key_ids, axis=1), count(query_ids, axis=1)
        if start_index is not None:
            start = ops.expand_dims(ops.cast(start_index, "int32"), -1)
            queries = ops.add(start, queries)
        # the index of each query, of each key, and how many both are
        pairs = ops.expand_dims(queries, -1), keys, None
        if query is None:
            pairs = *pairs[:2], key_ids.shape[1]
        key_rows = rows_of(key_ids, len(self.modalities))
        if self.hidden:
            rules = hidden_rules(self.modalities, self.hidden)
            query_rows = rows_of(query_ids, len(self.modalities))
            allowed = visible_keys(rules, valid, query_rows, key_rows)
        else:
            allowed = ops.expand_dims(valid, 1)
        if example_ids is not None:
            of_queries = example_ids if query is None else query["example_ids"]
            same = _same_example(of_queries, example_ids)
            allowed = ops.logical_and(allowed, same)
        if self.causal:
            before = keys_before(*pairs)
            # even of none: XLA computes a wrong softmax of the bare comparison
            prefix = ops.expand_dims(look_up(self._prefix_table(), key_rows), 1)
            before = ops.logical_or(before, prefix)
            allowed = ops.logical_and(allowed, before)
        return ops.logical_or(allowed, same_token(*pairs))

    def compute_mask(self, fused: dict[str, Tensor], previous_mask: Any = None) -> None:
        # a mask of masks would be read as one of tokens
        return None

    def compute_output_spec(
        self,
        fused: dict[str, Tensor],
        example_ids: Tensor | None = None,
        query: Mapping[str, Tensor] | None = None,
        start_index: int | Tensor | None = None,
    ) -> keras.KerasTensor:
        check_call(fused, example_ids, query, start_index, self.modalities)
        batch, length = fused["mask"].shape
        queries = length if query is None else query["modality_ids"].shape[1]
        return keras.KerasTensor((batch, queries, length), dtype="bool")

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


def _same_example(query_ids: Tensor, key_ids: Tensor) -> Tensor:
    """Return `(batch, queries, keys)`: whether two tokens are of one example."""
    return ops.equal(ops.expand_dims(query_ids, 2), ops.expand_dims(key_ids, 1))
