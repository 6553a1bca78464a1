"""The block of a transformer encoder."""

from typing import Any, cast

import keras

from keras_mmembed.common.types import Activation, Shape, Tensor
from keras_mmembed.common.zero_gate import ZeroGate
from keras_mmembed.models.remat import rematerialize


class EncoderBlock(keras.layers.Layer):
    """Self-attention and a two-layer network, each with a residual connection.

    With `norm_first` (pre-norm) the inputs of both are normalized,

        x = x + Attention(LayerNorm(x)),  x = x + MLP(LayerNorm(x))

    otherwise (post-norm) the sums are. `MultiModalTransformer` makes the blocks.

    With `is_gated`, attention is computed with two masks and a `ZeroGate` mixes the
    results: at first the tokens see only what the narrower mask lets them see.

    Args:
        num_heads: Number of attention heads.
        hidden_dim: Width of the hidden layer.
        activation: Activation of the hidden layer; `"gelu"` by default.
        norm_first: Pre-norm (the default) or post-norm.
        epsilon: Added to the variance in the norms; 1e-6 by default.
        dropout: Dropout rate of the attention weights and of what is added; 0.1 by
            default.
        is_gated: Whether a `ZeroGate` mixes the results of two masks.
        remat: Whether the backward pass computes activations again.
        seed: Seed of the dropout.
        **kwargs: As for every Keras layer.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        hidden_dim: int,
        activation: Activation = "gelu",
        norm_first: bool = True,
        epsilon: float = 1e-6,
        dropout: float = 0.1,
        is_gated: bool = False,
        remat: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.num_heads: int = num_heads
        self.hidden_dim: int = hidden_dim
        self.norm_first: bool = norm_first
        dtype, norm = self.dtype_policy, keras.layers.LayerNormalization
        self.drop: keras.layers.Dropout = keras.layers.Dropout(
            dropout, seed=seed, dtype=dtype
        )
        self.hidden: keras.layers.Dense = keras.layers.Dense(
            hidden_dim, activation=activation, dtype=dtype, name="hidden"
        )
        self.attention_norm: keras.layers.LayerNormalization = norm(
            epsilon=epsilon, dtype=dtype, name="attention_norm"
        )
        self.mlp_norm: keras.layers.LayerNormalization = norm(
            epsilon=epsilon, dtype=dtype, name="mlp_norm"
        )
        self.gate: ZeroGate | None = None
        if is_gated:
            self.gate = ZeroGate(dtype=dtype, name="gate")
        self.remat: bool = remat
        self._dropout, self._seed = dropout, seed

    def build(
        self, tokens_shape: Shape, *other_shapes: Any, **named_shapes: Any
    ) -> None:
        width, dtype = cast(int, tokens_shape[-1]), self.dtype_policy
        self.attention: keras.layers.MultiHeadAttention = (
            keras.layers.MultiHeadAttention(
                self.num_heads,
                width // self.num_heads,
                dropout=self._dropout,
                seed=self._seed,
                dtype=dtype,
                name="attention",
            )
        )
        self.attention.build(tokens_shape, tokens_shape)
        self.output_dense: keras.layers.Dense = keras.layers.Dense(
            width, dtype=dtype, name="output"
        )
        for sublayer in (self.attention_norm, self.mlp_norm, self.hidden, self.drop):
            sublayer.build(tokens_shape)
        self.output_dense.build((*tokens_shape[:-1], self.hidden_dim))
        if self.gate is not None:
            self.gate.build([tokens_shape, tokens_shape])
        self.built = True

    def call(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None = None,
        narrow_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        def transform(tokens: Tensor) -> Tensor:
            return self._transform(tokens, attention_mask, narrow_mask, training)

        if self.remat and training:
            return rematerialize(transform, self, tokens)
        return transform(tokens)

    def _transform(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None,
        narrow_mask: Tensor | None,
        training: bool | None,
    ) -> Tensor:
        inputs = self.attention_norm(tokens) if self.norm_first else tokens
        mixed = self._attend(inputs, attention_mask, training)
        if self.gate is not None:
            mixed = self.gate([self._attend(inputs, narrow_mask, training), mixed])
        tokens = tokens + self.drop(mixed, training=training)
        tokens = tokens if self.norm_first else self.attention_norm(tokens)
        inputs = self.mlp_norm(tokens) if self.norm_first else tokens
        mixed = self.output_dense(self.hidden(inputs))
        tokens = tokens + self.drop(mixed, training=training)
        return tokens if self.norm_first else self.mlp_norm(tokens)

    def attention_scores(self, tokens: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the attention weights, `(batch, heads, length, length)`."""
        inputs = self.attention_norm(tokens) if self.norm_first else tokens
        return self.attention(
            inputs,
            inputs,
            attention_mask=attention_mask,
            return_attention_scores=True,
        )[1]

    def _attend(
        self, inputs: Tensor, attention_mask: Tensor | None, training: bool | None
    ) -> Tensor:
        return self.attention(
            inputs, inputs, attention_mask=attention_mask, training=training
        )

    def compute_mask(self, tokens: Tensor, previous_mask: Any = None) -> Any:
        return previous_mask

    def compute_output_shape(
        self, tokens_shape: Shape, *other_shapes: Any, **named_shapes: Any
    ) -> Shape:
        return tuple(tokens_shape)


def make_blocks(
    num_layers: int, *, seed: int | None, **options: Any
) -> list[EncoderBlock]:
    """Return the blocks of an encoder, each with a name and a seed of its own."""
    return [
        EncoderBlock(
            seed=None if seed is None else seed + index + 1,
            name=f"block_{index}",
            **options,
        )
        for index in range(num_layers)
    ]
