"""The sublayers of a transformer block, and its configuration."""

from typing import Any

import keras

from keras_mmembed.attention.layer import MultiModalAttention
from keras_mmembed.attention.parts import deserialize_parts, serialize_parts
from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.attention.rotary import RotaryEmbedding
from keras_mmembed.common.describe import describe
from keras_mmembed.common.sublayer_state import KeepsSublayers
from keras_mmembed.common.types import Activation, Config, Shape
from keras_mmembed.common.zero_gate import ZeroGate
from keras_mmembed.models import activations
from keras_mmembed.models.block_options import (
    PLAIN,
    BlockOptions,
    check_tokens_shape,
    make_norm,
)
from keras_mmembed.models.layer_scale import LayerScale


class BlockLayers(BlockOptions, KeepsSublayers, keras.layers.Layer):
    """What a `TransformerBlock` holds; its constructor checked the options."""

    rotary: RotaryEmbedding | None
    relative_bias: RelativePositionBias | None
    gated: bool

    def _make_sublayers(self) -> None:
        self.drop: keras.layers.Dropout = keras.layers.Dropout(
            self.dropout, seed=self.seed, dtype=self.dtype_policy
        )
        self.hidden: keras.layers.Dense | None = None
        if self.hidden_dim is not None:
            self.hidden = self._make_dense("hidden", self.hidden_dim, self.activation)
        has_own = self.cross_attention != "only"
        self.attention_norm: keras.layers.Layer | None = None
        if has_own:
            self.attention_norm = self._make_norm("attention_norm")
        self.mlp_norm: keras.layers.Layer = self._make_norm("mlp_norm")
        self.gate: ZeroGate | None = None
        if self.gated:
            self.gate = ZeroGate(dtype=self.dtype_policy, name="gate")
        self.attention: MultiModalAttention | None = None
        if has_own:
            parts = {"rotary": self.rotary, "bias": self.relative_bias}
            self.attention = self._make_attention("attention", **parts)
        self.cross: MultiModalAttention | None = None
        self.cross_norm: keras.layers.Layer | None = None
        if self.cross_attention:
            self.cross = self._make_attention("cross_attention")
            self.cross_norm = self._make_norm("cross_norm")
        for part in ("attention", "cross", "mlp"):
            has_scale = self.layer_scale is not None
            has_scale = has_scale and getattr(self, f"{part}_norm") is not None
            scale = self._make_scale(f"{part}_scale") if has_scale else None
            setattr(self, f"{part}_scale", scale)

    def _make_norm(self, name: str) -> keras.layers.Layer:
        return make_norm(self.norm_type, self.epsilon, self.dtype_policy, name)

    def _make_scale(self, name: str) -> LayerScale:
        return LayerScale(self.layer_scale, dtype=self.dtype_policy, name=name)

    def _make_dense(
        self, name: str, units: int, activation: Activation = None
    ) -> keras.layers.Dense:
        return keras.layers.Dense(
            units,
            activation=activation,
            use_bias=self.use_bias is True,
            dtype=self.dtype_policy,
            name=name,
        )

    def _make_attention(self, name: str, **parts: Any) -> MultiModalAttention:
        return MultiModalAttention(
            self.num_heads,
            num_key_value_heads=self.num_key_value_heads,
            head_dim=self.head_dim,
            qk_norm=self.qk_norm,
            epsilon=self.epsilon,
            scale=self.scale,
            dropout=self.dropout,
            use_bias=self.use_bias is not False,
            use_output_bias=self.use_bias is True,
            seed=self.seed,
            dtype=self.dtype_policy,
            name=name,
            **parts,
        )

    def build(
        self, tokens_shape: Shape, encoded_shape: Shape | None = None, **others: Any
    ) -> None:
        check_tokens_shape("TransformerBlock", tokens_shape)
        width: Any = tokens_shape[-1]
        hidden_dim = self.hidden_dim or 4 * width
        if self.hidden is None:
            self.hidden = self._make_dense("hidden", hidden_dim, self.activation)
        if self.attention is not None:
            self.attention.build(tokens_shape)
        self.output_dense: keras.layers.Dense = self._make_dense("output", width)
        if self.mlp == "gated":
            self.up: keras.layers.Dense = self._make_dense("up", hidden_dim)
            self.up.build(tokens_shape)
        if self.cross is not None:
            encoded_shape = encoded_shape or tokens_shape
            check_tokens_shape("TransformerBlock", encoded_shape, "encoded")
            self.cross.build(tokens_shape, encoded_shape)
        norms = (self.attention_norm, self.mlp_norm, self.cross_norm)
        parts = ("attention", "cross", "mlp")
        scales = [getattr(self, f"{part}_scale") for part in parts]
        for sublayer in (*norms, *scales, self.hidden, self.drop):
            if sublayer is not None:
                sublayer.build(tokens_shape)
        self.output_dense.build((*tokens_shape[:-1], hidden_dim))
        if self.gate is not None:
            self.gate.build([tokens_shape, tokens_shape])
        if not self.trainable:
            # those that were made here
            self.trainable = False
        self.built = True

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in PLAIN},
            **serialize_parts(rotary=self.rotary, relative_bias=self.relative_bias),
            "activation": activations.serialize(self.activation),
            "gated": self.gated,
        }

    @classmethod
    def from_config(cls, config: Config) -> Any:
        return cls(**deserialize_parts(config, ("rotary", "relative_bias")))

    def __repr__(self) -> str:
        return describe(self)
