"""Multi-head attention that uses the positions of tokens."""

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack, cast, get_args

import keras
from keras import initializers, ops

# Keras has no public function for the mask that a tensor carries
from keras.src.backend.common.masking import get_keras_mask

from keras_mmembed.attention.biased_attention import BiasedAttention
from keras_mmembed.attention.cache import Cache, spec_of
from keras_mmembed.attention.cache_checks import check_cache, standardize_cache
from keras_mmembed.attention.layer_checks import (
    MASKS,
    check_call,
    check_factor,
    check_flash,
    check_masks,
    check_optional_flag,
    check_shapes,
    shared_width,
    standardize_call,
)
from keras_mmembed.attention.parts import (
    CONFIGURED,
    BiasSpec,
    RotarySpec,
    Rotations,
    build_parts,
    deserialize_parts,
    make_bias,
    make_head_norm,
    make_projection,
    make_rotary,
    serialize_parts,
    total_bias,
    turn,
    without_masks,
)
from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.attention.rotary import RotaryEmbedding
from keras_mmembed.common import checks
from keras_mmembed.common.describe import describe
from keras_mmembed.common.sublayer_state import KeepsSublayers
from keras_mmembed.common.types import (
    Config,
    Initializer,
    LayerArguments,
    Shape,
    Tensor,
)

WHO = "MultiModalAttention"

HeadNorm: TypeAlias = Literal["rms", "layer"]
HEAD_NORMS: tuple[HeadNorm, ...] = get_args(HeadNorm)


@keras.saving.register_keras_serializable(package="keras_mmembed")
class MultiModalAttention(KeepsSublayers, BiasedAttention):
    """Multi-head attention with rotary embedding, relative bias and grouped heads.

    It is `keras.layers.MultiHeadAttention`, whose weights and masks it has, and

        scores = scale turn(norm(query)) . turn(norm(key)) + bias

    where `turn` is a rotary embedding and `bias` a relative position bias of the
    positions of queries and keys.

    Shapes:
        query: `(batch, length, width)`.
        value, key: `(batch, key length, any width)`.
        attention_mask: `(batch or 1, length, key length)`, bool; or with an axis of
            heads behind the batch.
        positions, key_positions: as for `RotaryEmbedding` and `RelativePositionBias`.
        attention_bias: `(batch or 1, num_heads, length, key length)`.
        cache: a pair of `(batch, cache length, num_key_value_heads, head_dim)`, keys
            and values; `key length` is then `cache length` elsewhere.
        outputs: `(batch, length, width)`, compute dtype; with
            `return_attention_scores` a pair of it and
            `(batch, num_heads, length, key length)`; with `cache` a pair of it and
            the new cache.
        query/kernel: `(width, num_heads, head_dim)`, trainable.
        key/kernel, value/kernel: `(width, num_key_value_heads, head_dim)`, trainable.
        attention_output/kernel: `(num_heads, head_dim, width)`, trainable.
        query_norm/scale, key_norm/scale: `(head_dim,)` with `qk_norm`, trainable.

    Args:
        num_heads: Number of heads of queries.
        num_key_value_heads: Number of heads of keys and values, which divides that of
            queries; several heads of queries share one. Defaults to `None`, as many.
        head_dim: Number of channels of a head. Defaults to `None`, the width divided by
            `num_heads`.
        rotary: The rotary embedding of queries and keys: the name of a convention, a
            dict of arguments of `RotaryEmbedding`, or such a layer. Defaults to `None`,
            none.
        bias: The relative position bias: the name of a convention, a dict of arguments
            of `RelativePositionBias`, or such a layer. Defaults to `None`, none.
        qk_norm: The norm of each head of queries and keys: `"rms"`, `"layer"` or `None`
            (default).
        epsilon: Added to the mean square, or the variance, in these norms. Defaults to
            1e-6.
        scale: Factor on the product of queries and keys. Defaults to `None`,
            `head_dim ** -0.5`; T5 has 1.
        soft_cap: The bound `c` of scores that become `c tanh(scores / c)`. Defaults to
            `None`, no bound.
        dropout: Share of the attention weights that training sets to zero. Defaults to
            0.
        use_bias: Whether the projections have biases. Defaults to `True`.
        use_output_bias: Whether that of the outputs has one. Defaults to `None`, as
            `use_bias`; Qwen2 has biases but none of the outputs.
        flash_attention: Whether to use flash attention. Defaults to `None`, where the
            backend can.
        kernel_initializer: Initializer of the projections. Defaults to
            `"glorot_uniform"`.
        bias_initializer: Initializer of their biases. Defaults to `"zeros"`.
        seed: Seed of the dropout. Defaults to `None`, a random one.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        query: Tokens that attend.
        value: Tokens that are attended to. Defaults to `None`, those of `query`.
        key: What the scores of `value` are of. Defaults to `None`, `value`.
        query_mask: Filled in by Keras.
        value_mask: Filled in by Keras.
        key_mask: Filled in by Keras.
        attention_mask: Which token may attend to which. Defaults to `None`, all.
        positions: Positions of the queries. Defaults to `None`, which counts them, for
            positions of one axis.
        key_positions: Positions of the keys. Defaults to `None`: `positions` in
            self-attention, else counted, for positions of one axis.
        attention_bias: A bias of the scores, such as one that several layers share; it
            is added to that of the layer. Defaults to `None`, none.
        rotations: What `layer.rotary.rotations(positions)` returns, in place of the
            positions of self-attention, so that several layers share it. Defaults to
            `None`.
        cache: Keys and values of the tokens before (KV cache), in whose slots those of
            the query are written. Tokens attend to the slots of the cache. Defaults to
            `None`, no cache.
        cache_index: The slot of the first token of the query, an integer, or a scalar
            tensor for a query of one token. Defaults to `None`: nothing is written, and
            the cache holds all keys and values, as of an encoded sequence.
        return_attention_scores: Whether to return the attention weights too. Defaults
            to `False`.
        training: Whether to drop anything.
        use_causal_mask: Whether a token may attend only to itself and to those before
            it. Defaults to `False`.

    Masking: as `keras.layers.MultiHeadAttention`: the masks of the inputs and
    `attention_mask` are joined, and the outputs carry that of `query`. With a cache
    `attention_mask` alone counts; without it, a token attends to its own slot and to
    those before.

    Precision: positions, turns and, with a bias, scores are computed in float32.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if heads cannot share keys, if the bias has other heads, if the
            convention of positions is unknown, or if positions of several axes are
            left out.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import MultiModalAttention
    >>> layer = MultiModalAttention(
    ...     8, num_key_value_heads=2, rotary="pixtral", qk_norm="rms")
    >>> patches = np.ones((2, 6, 128))
    >>> rows_and_columns = np.array([(r, c) for r in range(2) for c in range(3)])
    >>> tuple(layer(patches, positions=rows_and_columns).shape)
    (2, 6, 128)

    References:
        A. Vaswani et al., "Attention Is All You Need", 2017, section 3.2.2,
        https://arxiv.org/abs/1706.03762.
        J. Ainslie et al., "GQA", 2023, https://arxiv.org/abs/2305.13245 (heads).
        M. Dehghani et al., "ViT-22B", 2023, https://arxiv.org/abs/2302.05442 (norms).
    """

    def __init__(
        self,
        num_heads: int,
        *,
        num_key_value_heads: int | None = None,
        head_dim: int | None = None,
        rotary: RotarySpec = None,
        bias: BiasSpec = None,
        qk_norm: HeadNorm | None = None,
        epsilon: float = 1e-6,
        scale: float | None = None,
        soft_cap: float | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        use_output_bias: bool | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        seed: int | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        heads = checks.check_integer(WHO, "num_heads", num_heads)
        check_flash(flash_attention, dropout)
        check_initializer = partial(checks.check_initializer, WHO)
        self.head_dim: int | None = checks.check_integer(
            WHO, "head_dim", head_dim, optional=True
        )
        super().__init__(
            heads,
            # that of a width which is not known yet
            self.head_dim or 1,
            dropout=checks.check_number(WHO, "dropout", dropout, 0, 1, open_end=True),
            use_bias=checks.check_flag(WHO, "use_bias", use_bias),
            flash_attention=flash_attention,
            kernel_initializer=check_initializer(
                "kernel_initializer", kernel_initializer
            ),
            bias_initializer=check_initializer("bias_initializer", bias_initializer),
            seed=checks.check_seed(WHO, seed),
            # positions must not be rounded to half precision on their way in
            autocast=False,
            **checks.layer_options(WHO, kwargs),
        )
        self.num_key_value_heads: int | None = checks.check_integer(
            WHO, "num_key_value_heads", num_key_value_heads, optional=True
        )
        rule = f"divide num_heads={heads}"
        fits = heads % (self.num_key_value_heads or heads) == 0
        checks.check(fits, WHO, "num_key_value_heads", rule, num_key_value_heads)
        self.rotary: RotaryEmbedding | None = make_rotary(self, rotary)
        self.bias: RelativePositionBias | None = make_bias(self, bias, heads)
        self.qk_norm: HeadNorm | None = checks.check_choice(
            WHO, "qk_norm", qk_norm, (None, *HEAD_NORMS)
        )
        self.epsilon: float = checks.check_number(WHO, "epsilon", epsilon, 0)
        self.scale: float | None = check_factor("scale", scale)
        self.soft_cap: float | None = check_factor("soft_cap", soft_cap)
        self.use_output_bias: bool | None = check_optional_flag(
            "use_output_bias", use_output_bias
        )
        self.flash_attention: bool | None = flash_attention
        self.kernel_initializer: Initializer = initializers.get(kernel_initializer)
        self.bias_initializer: Initializer = initializers.get(bias_initializer)

    def __repr__(self) -> str:
        return describe(self)

    def build(
        self,
        query_shape: Shape,
        value_shape: Shape | None = None,
        key_shape: Shape | None = None,
    ) -> None:
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        check_shapes(query_shape, value_shape, key_shape)
        width = cast(int, query_shape[-1])
        head_dim = self.head_dim or shared_width(width, self.num_heads)
        self._key_dim = self._value_dim = head_dim
        self._inverse_sqrt_key_dim = self.scale or head_dim**-0.5
        heads, shared = self.num_heads, self.num_key_value_heads or self.num_heads
        self._query_dense = make_projection(self, "query", heads, query_shape)
        self._key_dense = make_projection(self, "key", shared, key_shape)
        self._value_dense = make_projection(self, "value", shared, value_shape)
        # the axes of queries: batch, length, heads, channels
        self._build_attention(4)
        heads_shape = (*query_shape[:-1], heads, head_dim)
        self._output_dense = make_projection(
            self, "attention_output", width, heads_shape
        )
        if self.qk_norm is not None:
            for name in ("query_norm", "key_norm"):
                norm = make_head_norm(self, self.qk_norm, self.epsilon, name)
                norm.build(heads_shape)
                setattr(self, name, norm)
        build_parts(self.rotary, self.bias, heads_shape)
        self.built = True

    def call(
        self,
        query: Tensor,
        value: Tensor | None = None,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        key_positions: Tensor | None = None,
        attention_bias: Tensor | None = None,
        rotations: Rotations | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
        cache: Cache | None = None,
        cache_index: int | Tensor | None = None,
    ) -> Any:
        if cache is not None:
            places = positions, key_positions, attention_bias, rotations
            written = cache, cache_index, attention_mask, places
            check_cache(self, query, value, *written)
            return self._attend_cached(
                query, value, attention_mask, places, cache, cache_index
            )
        is_self = value is None
        if is_self:
            # Keras fills in masks only where there are several tensors
            query_mask = get_keras_mask(query) if query_mask is None else query_mask
            value, value_mask = query, query_mask
        key = value if key is None else key
        parts = positions, key_positions, attention_bias, rotations
        check_call(self, query, value, key, *parts)
        check_masks(query, key, query_mask, value_mask, key_mask, attention_mask)
        if key_positions is None and is_self:
            key_positions = positions
        bias = total_bias(
            self.bias, query, key, positions, key_positions, attention_bias
        )
        queries, keys, values = without_masks(
            (self._query_dense, query),
            (self._key_dense, key),
            (self._value_dense, value),
        )
        if self.qk_norm is not None:
            queries, keys = self.query_norm(queries), self.key_norm(keys)
        if self.rotary is not None:
            queries, keys = turn(
                self.rotary, queries, keys, positions, key_positions, rotations
            )
        masks = (query_mask, value_mask, key_mask, attention_mask)
        is_causal = use_causal_mask and all(mask is None for mask in masks)
        mask = None
        if not is_causal:
            mask = self._compute_attention_mask(
                query, value, *masks, use_causal_mask=use_causal_mask
            )
        outputs, weights = self._compute_attention(
            queries,
            keys,
            values,
            mask,
            training,
            return_attention_scores,
            is_causal,
            attention_bias=bias,
        )
        outputs = self._output_dense(outputs)
        return (outputs, weights) if return_attention_scores else outputs

    def make_cache(self, batch: Any, length: Any) -> Cache:
        """Return an empty KV cache of a built layer, with `length` slots.

        Args:
            batch: Number of samples, an integer or a scalar tensor.
            length: Number of slots.
        """
        checks.check_built(self)
        heads = self.num_key_value_heads or self.num_heads
        shape = (batch, length, heads, self.key_dim)
        return ops.zeros(shape, self.compute_dtype), ops.zeros(
            shape, self.compute_dtype
        )

    if TYPE_CHECKING:
        __call__ = call

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            args, kwargs = standardize_call(args, kwargs)
            standardize_cache(WHO, kwargs.get("cache"), kwargs.get("cache_index"))
            return super().__call__(*args, **kwargs)

    def compute_mask(self, query: Tensor, previous_mask: Any = None) -> Any:
        return previous_mask

    def compute_output_shape(
        self,
        query_shape: Shape,
        value_shape: Shape | None = None,
        key_shape: Shape | None = None,
    ) -> Shape:
        return tuple(query_shape)

    def compute_output_spec(
        self,
        query: Tensor,
        value: Tensor | None = None,
        key: Tensor | None = None,
        *masks: Any,
        positions: Tensor | None = None,
        attention_bias: Tensor | None = None,
        rotations: Rotations | None = None,
        return_attention_scores: bool = False,
        **other: Any,
    ) -> Any:
        values: Tensor = query if value is None else value
        keys: Tensor = values if key is None else key
        parts = positions, other.get("key_positions"), attention_bias, rotations
        check_call(self, query, values, keys, *parts)
        named = {**other, **dict(zip(MASKS, masks, strict=False))}
        check_masks(query, keys, *(named.get(name) for name in MASKS))
        outputs = keras.KerasTensor(query.shape, dtype=self.compute_dtype)
        if other.get("cache") is not None:
            return outputs, keras.tree.map_structure(spec_of, tuple(other["cache"]))
        if not return_attention_scores:
            return outputs
        shape = (query.shape[0], self.num_heads, query.shape[1], keys.shape[1])
        return outputs, keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        return {
            **keras.layers.Layer.get_config(self),
            **{name: getattr(self, name) for name in CONFIGURED},
            **serialize_parts(rotary=self.rotary, bias=self.bias),
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }

    @classmethod
    def from_config(cls, config: Config) -> "MultiModalAttention":
        return cls(**deserialize_parts(config))
