"""Pooling by attention: a learned query reads the tokens."""

from typing import Any, cast

import keras
from keras import ops

from keras_mmembed.common.types import Activation, Shape, Tensor


class AttentionPooling(keras.layers.Layer):
    """One vector of a sequence, by attention with a learned query.

    The query `probe` attends to the valid tokens, then a two-layer network follows:

        x = Attention(probe, tokens),  outputs = x + MLP(LayerNorm(x))

    as in the head of SigLIP. `MultiModalTransformer` makes it for
    `pooling="attention"`.

    Args:
        num_heads: Number of attention heads.
        hidden_dim: Width of the hidden layer.
        activation: Activation of the hidden layer.
        epsilon: Added to the variance in the norm.
        **kwargs: As for every Keras layer.

    References:
        X. Zhai et al., "Scaling Vision Transformers", 2022, section 3.2,
        https://arxiv.org/abs/2106.04560.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        hidden_dim: int,
        activation: Activation,
        epsilon: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads: int = num_heads
        dtype = self.dtype_policy
        self.norm: keras.layers.LayerNormalization = keras.layers.LayerNormalization(
            epsilon=epsilon, dtype=dtype, name="norm"
        )
        self.hidden: keras.layers.Dense = keras.layers.Dense(
            hidden_dim, activation=activation, dtype=dtype, name="hidden"
        )

    def build(self, tokens_shape: Shape, *other_shapes: Any) -> None:
        width = cast(int, tokens_shape[-1])
        self.probe: keras.Variable = self.add_weight(
            name="probe", shape=(1, width), initializer="glorot_uniform"
        )
        self.attention: keras.layers.MultiHeadAttention = (
            keras.layers.MultiHeadAttention(
                self.num_heads,
                width // self.num_heads,
                dtype=self.dtype_policy,
                name="attention",
            )
        )
        self.attention.build((None, 1, width), tokens_shape)
        self.norm.build((None, 1, width))
        self.hidden.build((None, 1, width))
        self.output_dense: keras.layers.Dense = keras.layers.Dense(
            width, dtype=self.dtype_policy, name="output"
        )
        self.output_dense.build((None, 1, self.hidden.units))
        self.built = True

    def call(self, tokens: Tensor, valid: Tensor) -> Tensor:
        # of the tokens' own axes, so that a batch that only a step knows is kept
        query = ops.zeros_like(ops.sum(tokens, axis=1, keepdims=True))
        query = query + ops.cast(self.probe, query.dtype)
        mask = ops.expand_dims(valid, 1)
        x = self.attention(query, tokens, attention_mask=mask)
        x = x + self.output_dense(self.hidden(self.norm(x)))
        return x[:, 0]

    def compute_output_shape(self, tokens_shape: Shape, *other_shapes: Any) -> Shape:
        return tokens_shape[0], tokens_shape[-1]
