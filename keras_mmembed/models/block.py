"""The block of a transformer: attention and an MLP, each with a residual connection."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

import keras
from keras import ops

from keras_mmembed.attention.cache import Cache, spec_of
from keras_mmembed.attention.direct import LayerCall, by_keras
from keras_mmembed.attention.parts import BiasSpec, RotarySpec, Rotations
from keras_mmembed.common import checks
from keras_mmembed.common.types import (
    Activation,
    Config,
    LayerArguments,
    Shape,
    Tensor,
)
from keras_mmembed.models.block_layers import BlockLayers
from keras_mmembed.models.block_options import (
    MLP,
    OPTIONS,
    CrossAttention,
    NormType,
    QKNorm,
    UseBias,
    check_call,
    check_options,
    check_parts,
    check_tokens,
    standardize_call,
)
from keras_mmembed.models.cached_block import (
    BlockCache,
    call_cached,
    standardize_cache_of,
)
from keras_mmembed.models.remat import rematerialize

WHO = "TransformerBlock"


@keras.saving.register_keras_serializable(package="keras_mmembed")
class TransformerBlock(BlockLayers):
    """One block of a transformer, of an encoder or of a decoder.

    With `norm_first` (pre-norm) the inputs of each part are normalized,

        x = x + Attention(Norm(x))
        x = x + CrossAttention(Norm(x), encoded)      with cross-attention
        x = x + MLP(Norm(x))

    otherwise (post-norm) the sums are. The MLP is `Dense(activation(Dense(x)))`, or
    with `mlp="gated"` `Dense(activation(Dense(x)) * Dense(x))`.

    Shapes:
        tokens: `(batch, length, width)`.
        attention_mask, narrow_mask: `(batch or 1, length, length)`, bool.
        encoded: `(batch, encoded length, any width)`.
        encoded_mask: `(batch, encoded length)`, bool.
        positions: as for `MultiModalAttention`.
        attention_bias: `(batch or 1, num_heads, length, length)`.
        outputs: `(batch, length, width)`, compute dtype.

    Args:
        num_heads: Number of attention heads.
        hidden_dim: Width of the hidden layer of the MLP. Defaults to `None`, 4 times
            the width of the tokens.
        norm_first: Pre-norm (`True`, the default) or post-norm.
        norm_type: `"layer"` (default) or `"rms"` (T5, Llama).
        mlp: `"dense"` (default) or `"gated"`: with `activation="silu"` the SwiGLU of
            Llama.
        activation: Activation of the hidden layer. Defaults to `"gelu"`.
        num_key_value_heads: Number of heads of keys and values, as for
            `MultiModalAttention`. Defaults to `None`, `num_heads`.
        head_dim: Number of channels of a head. Defaults to `None`, the width divided by
            `num_heads`.
        use_bias: Whether dense layers have biases; `"qkv"` for those of queries, keys
            and values alone (Qwen2). Defaults to `True`.
        scale: Factor on the product of queries and keys. Defaults to `None`,
            `head_dim ** -0.5`; T5 has 1.
        rotary: The rotary embedding of queries and keys: the name of a convention, a
            dict of arguments of `RotaryEmbedding`, or such a layer. Defaults to `None`,
            none.
        relative_bias: The relative position bias: the name of a convention, a dict of
            arguments of `RelativePositionBias`, or such a layer. Defaults to `None`,
            none.
        qk_norm: The norm of each head of queries and keys: `"rms"`, `"layer"` or `None`
            (default).
        layer_scale: The first value of learned factors, one for each channel, on what
            attention and MLP add (CaiT, DINOv2). Defaults to `None`, no factors.
        cross_attention: Whether tokens attend to another sequence too, `encoded`, after
            they attended to each other (the decoder of T5); `"only"` if they do not
            attend to each other at all (Perceiver). Defaults to `False`.
        epsilon: Added to the variance, or the mean square, in the norms. Defaults to
            1e-6.
        dropout: Share of the attention weights, and of what is added, that training
            sets to zero. Defaults to 0.1.
        gated: Whether attention is computed with two masks and a `ZeroGate` mixes the
            results: at first tokens see only what the narrower mask lets them see.
            Defaults to `False`.
        remat: Whether the backward pass computes activations again instead of keeping
            them. Defaults to `False`.
        seed: Seed of the dropout. Defaults to `None`, a random one.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        tokens: The tokens.
        attention_mask: Which token may attend to which, such as what `AttentionMask`
            returns. Defaults to `None`, to all valid ones.
        narrow_mask: The narrower mask of a block that is gated.
        encoded: The tokens of another sequence, with cross-attention.
        encoded_mask: Its padding mask. Defaults to the Keras mask of `encoded`.
        positions: Positions of the tokens. Defaults to `None`, 0, 1, 2, ...
        attention_bias: A bias of the scores that several blocks share. Defaults to
            `None`, none.
        rotations: What `RotaryEmbedding.rotations` returns, in place of positions, so
            that several blocks share it. Defaults to `None`.
        use_causal_mask: Whether a token attends only to itself and to those before it.
            Defaults to `False`.
        training: Whether to drop anything.
        cache: What `make_cache` returns, or the call before, for decoding with a KV
            cache. The outputs are then a pair of tokens and the new cache. Defaults to
            `None`, no cache.
        cache_index: The slot of the first token, as for `MultiModalAttention`.
        key_positions: Positions of all slots of the cache, for a relative bias.

    Masking: the Keras mask of `tokens` is passed on; padding is not attended to.

    Precision: as `MultiModalAttention`; norms and sums are in the compute dtype.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if options contradict each other, as for `MultiModalAttention`, or
            if `encoded` is missing or has no use.

    Example:
    >>> import numpy as np
    >>> from keras_mmembed import TransformerBlock
    >>> block = TransformerBlock(
    ...     4, norm_type="rms", mlp="gated", activation="silu", rotary="llama",
    ...     num_key_value_heads=2, use_bias=False)
    >>> tuple(block(np.ones((2, 5, 32)), use_causal_mask=True).shape)
    (2, 5, 32)

    The decoder beside an encoder:

    >>> decoder = TransformerBlock(4, cross_attention=True)
    >>> captions, frames = np.ones((2, 5, 32)), np.ones((2, 7, 48))
    >>> tuple(decoder(captions, encoded=frames, use_causal_mask=True).shape)
    (2, 5, 32)

    References:
        A. Vaswani et al., "Attention Is All You Need", 2017, section 3,
        https://arxiv.org/abs/1706.03762.
        N. Shazeer, "GLU Variants", 2020, https://arxiv.org/abs/2002.05202 (MLP).
        H. Touvron et al., "CaiT", 2021, https://arxiv.org/abs/2103.17239 (layer scale).
    """

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int | None = None,
        *,
        norm_first: bool = True,
        norm_type: NormType = "layer",
        mlp: MLP = "dense",
        activation: Activation = "gelu",
        num_key_value_heads: int | None = None,
        head_dim: int | None = None,
        use_bias: UseBias = True,
        scale: float | None = None,
        rotary: RotarySpec = None,
        relative_bias: BiasSpec = None,
        qk_norm: QKNorm = None,
        layer_scale: float | None = None,
        cross_attention: CrossAttention = False,
        epsilon: float = 1e-6,
        dropout: float = 0.1,
        gated: bool = False,
        remat: bool = False,
        seed: int | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        options = {name: value for name, value in locals().items() if name in OPTIONS}
        # positions must not be rounded to half precision on their way in
        super().__init__(autocast=False, **checks.layer_options(WHO, kwargs))
        self.supports_masking = True
        for name, value in check_options(WHO, options).items():
            setattr(self, name, value)
        parts = check_parts(self, rotary, relative_bias)
        self.rotary, self.relative_bias = parts
        self.gated = checks.check_flag(WHO, "gated", gated)
        rule = 'be False with cross_attention="only", which has one mask'
        fits = not gated or self.cross_attention != "only"
        checks.check(fits, WHO, "gated", rule, gated)
        self._make_sublayers()

    def call(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None = None,
        narrow_mask: Tensor | None = None,
        encoded: Tensor | None = None,
        encoded_mask: Tensor | None = None,
        positions: Tensor | None = None,
        attention_bias: Tensor | None = None,
        rotations: Rotations | None = None,
        use_causal_mask: bool = False,
        training: bool | None = None,
        cache: BlockCache | None = None,
        cache_index: int | Tensor | None = None,
        key_positions: Tensor | None = None,
    ) -> Any:
        if cache is not None:
            masks = attention_mask, narrow_mask, encoded_mask
            places = {
                "positions": positions,
                "key_positions": key_positions,
                "attention_bias": attention_bias,
                "rotations": rotations,
            }
            check_tokens(self, tokens)
            given = (tokens, encoded, masks, places, cache, cache_index)
            return call_cached(self, *given, is_step=False)
        own: Config = {
            "positions": positions,
            "rotations": rotations,
            "use_causal_mask": use_causal_mask,
            "training": training,
        }
        others = {"encoded": encoded, "attention_bias": attention_bias}
        masks = {"attention_mask": attention_mask, "narrow_mask": narrow_mask}
        given = {**own, **others, **masks, "encoded_mask": encoded_mask}
        check_call(self, tokens, given)

        def transform(
            tokens: Tensor,
            encoded: Tensor | None = None,
            attention_bias: Tensor | None = None,
        ) -> Tensor:
            mixed, more = tokens, {**own, "attention_bias": attention_bias}
            if self.attention is not None:
                mixed = self._attend(mixed, attention_mask, narrow_mask, more)
            if self.cross is not None:
                mixed = self._attend_to(mixed, encoded, encoded_mask, training)
            return self.add_part("mlp", mixed, self.multiply, training)

        if self.remat and training:
            return rematerialize(transform, self, tokens, **others)
        return transform(tokens, **others)

    if TYPE_CHECKING:
        __call__ = call

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            args, kwargs = standardize_call(WHO, args, kwargs)
            standardize_cache_of(self, kwargs)
            return super().__call__(*args, **kwargs)

    def _attend(
        self,
        tokens: Tensor,
        mask: Tensor | None,
        narrow_mask: Tensor | None,
        options: Mapping[str, Any],
    ) -> Tensor:
        """Return the tokens with what they attend to among themselves."""
        attention: Any = self.attention

        def mix(inputs: Tensor) -> Tensor:
            mixed = attention(inputs, attention_mask=mask, **options)
            if self.gate is None:
                return mixed
            narrow = attention(inputs, attention_mask=narrow_mask, **options)
            return self.gate([narrow, mixed])

        return self.add_part("attention", tokens, mix, options["training"])

    def _attend_to(
        self,
        tokens: Tensor,
        encoded: Tensor,
        mask: Tensor | None,
        training: bool | None,
    ) -> Tensor:
        """Return the tokens with what they attend to in another sequence."""
        attention: Any = self.cross

        def mix(inputs: Tensor) -> Tensor:
            return attention(inputs, encoded, value_mask=mask, training=training)

        return self.add_part("cross", tokens, mix, training)

    def make_cache(
        self, batch: Any, length: int, encoded_length: Any = 0
    ) -> dict[str, Cache]:
        """Return an empty KV cache of a built block.

        Args:
            batch: Number of samples, an integer or a scalar tensor.
            length: Number of slots.
            encoded_length: Length of the other sequence, with cross-attention.
        """
        parts = {"attention": (self.attention, length)}
        parts["cross"] = (self.cross, encoded_length)
        return {
            name: layer.make_cache(batch, slots)
            for name, (layer, slots) in parts.items()
            if layer is not None
        }

    def multiply(self, inputs: Tensor, call: LayerCall = by_keras) -> Tensor:
        """Return what the MLP makes of tokens."""
        hidden = call(self.hidden, inputs)
        if self.mlp == "gated":
            hidden = hidden * call(self.up, inputs)
        return call(self.output_dense, hidden)

    def add_part(
        self,
        name: str,
        tokens: Tensor,
        mix: Callable[[Tensor], Tensor],
        training: bool | None,
        call: LayerCall = by_keras,
    ) -> Tensor:
        """Return tokens and what a part makes of them, normalized before or after."""
        norm = getattr(self, f"{name}_norm")
        mixed = mix(call(norm, tokens) if self.norm_first else tokens)
        scale = getattr(self, f"{name}_scale")
        mixed = mixed if scale is None else call(scale, mixed)
        if training is not False:
            mixed = self.drop(mixed, training=training)
        # cast here, behind the norm, which passes on the Keras mask
        tokens = ops.cast(tokens, self.compute_dtype) + mixed
        return tokens if self.norm_first else call(norm, tokens)

    def attention_scores(
        self, tokens: Tensor, attention_mask: Tensor | None = None, **options: Any
    ) -> Tensor:
        """Return the attention weights, `(batch, heads, length, length)`.

        Args:
            tokens: As for a call; so are the other arguments.
            attention_mask: As for a call.
            **options: `positions`, `attention_bias`, `rotations`, `use_causal_mask`.
        """
        rule = "be False or True for a block whose tokens attend to each other"
        has_own = self.attention is not None and self.attention_norm is not None
        checks.check(has_own, WHO, "cross_attention", rule, repr(self.cross_attention))
        assert self.attention is not None and self.attention_norm is not None
        inputs = self.attention_norm(tokens) if self.norm_first else tokens
        return self.attention(
            inputs,
            attention_mask=attention_mask,
            return_attention_scores=True,
            **options,
        )[1]

    def compute_mask(self, tokens: Tensor, previous_mask: Any = None) -> Any:
        return previous_mask

    def compute_output_shape(self, tokens_shape: Shape, **others: Any) -> Shape:
        return tuple(tokens_shape)

    def compute_output_spec(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None = None,
        narrow_mask: Tensor | None = None,
        encoded: Tensor | None = None,
        encoded_mask: Tensor | None = None,
        positions: Tensor | None = None,
        attention_bias: Tensor | None = None,
        rotations: Rotations | None = None,
        use_causal_mask: bool = False,
        training: bool | None = None,
        cache: BlockCache | None = None,
        **other: Any,
    ) -> Any:
        if cache is not None:
            check_tokens(self, tokens)
            outputs = keras.KerasTensor(tokens.shape, dtype=self.compute_dtype)
            return outputs, keras.tree.map_structure(spec_of, dict(cache))
        own: Config = {
            "attention_mask": attention_mask,
            "positions": positions,
            "attention_bias": attention_bias,
            "rotations": rotations,
        }
        more: Config = {"encoded": encoded, "encoded_mask": encoded_mask}
        more = {"narrow_mask": narrow_mask, "use_causal_mask": use_causal_mask, **more}
        check_call(self, tokens, {**own, **more})
        if self.attention is not None:
            self.attention.compute_output_spec(tokens, **own)
        return keras.KerasTensor(tokens.shape, dtype=self.compute_dtype)
