"""The block of a transformer encoder."""

import keras

from keras_mmembed.common.zero_gate import ZeroGate
from keras_mmembed.models.remat import rematerialize


class EncoderBlock(keras.layers.Layer):
    """Attention and a two-layer network, each added to its inputs.

    With `norm_first` (pre-norm) the inputs of both are normalised,

        x = x + Attention(LayerNorm(x)),  x = x + MLP(LayerNorm(x))

    otherwise (post-norm) the sums are. `MultiModalTransformer` makes the blocks.

    With `is_gated`, attention is worked out with two masks and a `ZeroGate` mixes the
    results: at first the tokens see only what the narrower mask lets them see.
    """

    def __init__(
        self,
        *,
        num_heads,
        hidden_dim,
        activation="gelu",
        norm_first=True,
        epsilon=1e-6,
        dropout=0.1,
        is_gated=False,
        remat=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim
        self.norm_first = norm_first
        dtype, norm = self.dtype_policy, keras.layers.LayerNormalization
        self.drop = keras.layers.Dropout(dropout, seed=seed, dtype=dtype)
        self.hidden = keras.layers.Dense(
            hidden_dim, activation=activation, dtype=dtype, name="hidden"
        )
        self.attention_norm = norm(epsilon=epsilon, dtype=dtype, name="attention_norm")
        self.mlp_norm = norm(epsilon=epsilon, dtype=dtype, name="mlp_norm")
        self.gate = ZeroGate(dtype=dtype, name="gate") if is_gated else None
        self.remat = remat
        self._dropout, self._seed = dropout, seed

    def build(self, tokens_shape, *other_shapes, **named_shapes):
        width, dtype = tokens_shape[-1], self.dtype_policy
        self.attention = keras.layers.MultiHeadAttention(
            self.num_heads,
            width // self.num_heads,
            dropout=self._dropout,
            seed=self._seed,
            dtype=dtype,
            name="attention",
        )
        self.attention.build(tokens_shape, tokens_shape)
        self.output_dense = keras.layers.Dense(width, dtype=dtype, name="output")
        for sublayer in (self.attention_norm, self.mlp_norm, self.hidden, self.drop):
            sublayer.build(tokens_shape)
        self.output_dense.build((*tokens_shape[:-1], self.hidden_dim))
        if self.gate is not None:
            self.gate.build([tokens_shape, tokens_shape])
        self.built = True

    def call(self, tokens, attention_mask=None, narrow_mask=None, training=None):
        def transform(tokens):
            return self._transform(tokens, attention_mask, narrow_mask, training)

        if self.remat and training:
            return rematerialize(transform, self, tokens)
        return transform(tokens)

    def _transform(self, tokens, attention_mask, narrow_mask, training):
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

    def attention_scores(self, tokens, attention_mask):
        """Return the weights of attention, `(batch, heads, length, length)`."""
        inputs = self.attention_norm(tokens) if self.norm_first else tokens
        return self.attention(
            inputs,
            inputs,
            attention_mask=attention_mask,
            return_attention_scores=True,
        )[1]

    def _attend(self, inputs, attention_mask, training):
        return self.attention(
            inputs, inputs, attention_mask=attention_mask, training=training
        )

    def compute_mask(self, tokens, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, tokens_shape, *other_shapes, **named_shapes):
        return tuple(tokens_shape)
