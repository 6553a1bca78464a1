"""From the tokens of an encoder to the outputs of a model: norm, pooling and head."""

import contextlib
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import keras

from keras_mmembed.common import checks
from keras_mmembed.common.mask_layers import AttachMask
from keras_mmembed.common.tensors import float32_or_better
from keras_mmembed.common.types import Activation, Config, Shape, Tensor
from keras_mmembed.fusion.arguments import CallArguments
from keras_mmembed.fusion.layer import MultiModalFusion
from keras_mmembed.models import activations, merging
from keras_mmembed.models.attention_pooling import AttentionPooling
from keras_mmembed.models.block_options import NormType, make_norm
from keras_mmembed.models.logits import tied_logits
from keras_mmembed.models.pooling import (
    POOLINGS,
    UNPOOLED,
    Pooling,
    pool,
)

FinalNorm: TypeAlias = bool | Literal["pooled"]
FINAL_NORMS: tuple[FinalNorm, ...] = (True, False, "pooled")
Head: TypeAlias = keras.layers.Layer | Config | None
# what a model of this kind has in its configuration as it is
OPTIONS = ("pooling", "cls_token", "final_norm", "pooler", "num_outputs")


class ReadsOut(keras.Model):
    """The part of a model that comes after its blocks.

        outputs = head(pooler(pool(norm(tokens))))

    A model calls the methods in their order: it checks the arguments, makes and builds
    the layers, and calls them.
    """

    fusion: MultiModalFusion
    gated: list[str]
    tied_size: int
    attach_mask: AttachMask

    def _check_readout(
        self,
        who: str,
        *,
        pooling: Pooling,
        cls_token: bool | None,
        final_norm: FinalNorm | None,
        pooler: bool,
        num_outputs: int | None,
        output_activation: Activation,
        head: Head,
        norm_first: bool,
        num_registers: int,
    ) -> keras.layers.Layer | None:
        """Return a head of the user's own."""
        self.pooling: Pooling = checks.check_choice(who, "pooling", pooling, POOLINGS)
        self.cls_token: bool | None = check_optional(who, "cls_token", cls_token)
        rule, fits = "be True or None with pooling='cls'", self.cls_token is not False
        checks.check(fits or pooling != "cls", who, "cls_token", rule, cls_token)
        final: Any = norm_first if final_norm is None else final_norm
        final = checks.check_choice(who, "final_norm", final, FINAL_NORMS)
        self.final_norm: FinalNorm = final
        self.pooler: bool = checks.check_flag(who, "pooler", pooler)
        is_pooled = pooling not in UNPOOLED
        rule = f"be another with pooling={pooling!r}, which leaves all tokens"
        fits = is_pooled or final != "pooled"
        checks.check(fits, who, "final_norm", rule, repr(final))
        rule = f"be False with pooling={pooling!r}, which leaves all tokens"
        checks.check(is_pooled or not pooler, who, "pooler", rule, pooler)
        registers = checks.check_integer(who, "num_registers", num_registers, 0)
        self._num_special: int = int(self.has_cls_token) + registers
        rule = "be another without class token and registers, of which it is the mean"
        fits = pooling != "special" or self._num_special > 0
        checks.check(fits, who, "pooling", rule, repr(pooling))
        self.num_outputs: int | None = checks.check_integer(
            who, "num_outputs", num_outputs, optional=True
        )
        self.output_activation: Any = check_output_activation(
            who, output_activation, self.num_outputs
        )
        return check_head(who, head, self.num_outputs)

    @property
    def has_cls_token(self) -> bool:
        """Whether a class token comes first."""
        return self.pooling == "cls" if self.cls_token is None else self.cls_token

    def _make_readout(
        self,
        width: int,
        head: keras.layers.Layer | None,
        *,
        norm_type: NormType,
        epsilon: float,
        num_heads: int,
        hidden_dim: int,
        activation: Activation,
        **other_options: Any,
    ) -> None:
        dtype, self._pooled_width = self.dtype_policy, width
        if self.pooling == "merged":
            merging.check_merged(self.fusion)
            self._pooled_width = width * merging.SIDE**2
        self.norm: Any = None
        if self.final_norm:
            self.norm = make_norm(norm_type, epsilon, dtype, "norm")
        self.attention_pooling: AttentionPooling | None = None
        if self.pooling == "attention":
            self.attention_pooling = AttentionPooling(
                num_heads=num_heads,
                hidden_dim=hidden_dim,
                activation=activation,
                epsilon=epsilon,
                dtype=dtype,
                name="attention_pooling",
            )
        self.pooler_dense: keras.layers.Dense | None = None
        if self.pooler:
            self.pooler_dense = keras.layers.Dense(
                width, activation="tanh", dtype=dtype, name="pooler"
            )
        self.head: keras.layers.Layer | None = head
        if self.num_outputs is not None:
            self.head = keras.layers.Dense(
                self.num_outputs,
                activation=self.output_activation,
                dtype=float32_or_better(self.compute_dtype),
                name="head",
            )

    def _build_readout(self, width: int) -> None:
        shape = tokens_shape = (None, None, width)
        if self.pooling == "merged":
            shape = (None, None, None, self._pooled_width)
        elif self.pooling not in UNPOOLED:
            shape = (None, width)
        norm_shape = shape if self.final_norm == "pooled" else tokens_shape
        shapes = [
            (self.norm, norm_shape),
            (self.attention_pooling, tokens_shape),
            (self.pooler_dense, shape),
            (self.head, shape),
        ]
        for layer, layer_shape in shapes:
            if layer is not None and not layer.built:
                layer.build(layer_shape)

    def _read_out(
        self,
        tokens: Tensor,
        fused: dict[str, Tensor],
        inputs: Mapping[str, Tensor | None],
        arguments: CallArguments,
        training: bool | None,
    ) -> Any:
        """Return the outputs of a call for the tokens after the blocks."""
        tokens = tokens if self.final_norm is not True else self.norm(tokens)
        special, mask = self._num_special, fused["mask"]
        if self.pooling == "merged":
            shapes = {name: x.shape for name, x in inputs.items() if x is not None}
            sizes = merging.grid_sizes(self.fusion, shapes, fused)
            tokens = merging.merge(tokens[:, special:], sizes)
            mask = merging.merge_mask(mask[:, special:], sizes)
        elif self.pooling not in UNPOOLED:
            names, attention = self.fusion.modalities, self.attention_pooling
            tokens = pool(
                self.pooling, tokens, fused, names, self.gated, special, attention
            )
            tokens = tokens if self.final_norm != "pooled" else self.norm(tokens)
            if self.pooler_dense is not None:
                tokens = self.pooler_dense(tokens)
        outputs = self._add_head(tokens, training)
        if self.pooling not in UNPOOLED:
            return outputs
        outputs = self.attach_mask([outputs, mask])
        if self.pooling != "modalities":
            return outputs
        ids, masks = fused["modality_ids"], arguments.mask
        return self.fusion.split(outputs, inputs, modality_ids=ids, mask=masks)

    def _add_head(self, tokens: Tensor, training: bool | None) -> Tensor:
        """Return what the head makes of tokens, or of what is pooled."""
        if self.tied_size:
            return tied_logits(self, tokens)
        if self.head is None:
            return tokens
        # a layer of the user's need not know whether it trains
        known = {"training": training} if self.head._call_has_training_arg else {}
        return self.head(tokens, **known)

    def _readout_spec(
        self, tokens: keras.KerasTensor, inputs_shape: Mapping[str, Shape | None]
    ) -> Any:
        """Return the symbolic outputs for symbolic tokens, from inputs of shapes."""
        leading: Shape = tokens.shape[: 2 if self.pooling in UNPOOLED else 1]
        if self.pooling == "merged":
            sizes = merging.grid_sizes(self.fusion, inputs_shape, {})
            sizes = [None if size is None else size // merging.SIDE for size in sizes]
            leading = (leading[0], *sizes)
        shape, dtype = (*leading, self._pooled_width), self.compute_dtype
        if self.tied_size:
            shape, dtype = (*leading, self.tied_size), float32_or_better(dtype)
        elif self.head is not None:
            shape = self.head.compute_output_shape(shape)
            dtype = self.head.compute_dtype
        outputs = keras.KerasTensor(shape, dtype=dtype)
        if self.pooling != "modalities":
            return outputs
        return self.fusion.split_spec(outputs, inputs_shape)

    @property
    def head_size(self) -> int | None:
        """Width of the outputs of the head, `None` without one."""
        return (
            None
            if self.head is None
            else self.head.compute_output_shape((None, self._pooled_width))[-1]
        )

    def _readout_config(self) -> Config:
        head = self.head if self.num_outputs is None else None
        serialized = keras.saving.serialize_keras_object
        return {
            **{name: getattr(self, name) for name in OPTIONS},
            "output_activation": activations.serialize(self.output_activation),
            "head": None if head is None else serialized(head),
        }


def check_optional(who: str, name: str, value: Any) -> bool | None:
    """Return a flag, or `None`."""
    return None if value is None else checks.check_flag(who, name, value)


def check_output_activation(who: str, activation: Any, num_outputs: int | None) -> Any:
    """Return the activation of the head as a function; raise if there is no head."""
    function = activations.check_activation(who, "output_activation", activation)
    # a configuration says "linear" for none
    is_used = function is keras.activations.linear or num_outputs is not None
    rule = "be left out without `num_outputs`, which makes the head"
    checks.check(is_used, who, "output_activation", rule, repr(activation))
    return function


def check_head(
    who: str, head: Any, num_outputs: int | None
) -> keras.layers.Layer | None:
    """Return a head of the user's own as a layer."""
    rule = "be left out with `num_outputs`, which makes a head"
    fits = head is None or num_outputs is None
    checks.check(fits, who, "head", rule, repr(head))
    if isinstance(head, dict):
        # what is no configuration stays what it is
        with contextlib.suppress(TypeError, ValueError, KeyError, AttributeError):
            head = keras.saving.deserialize_keras_object(head)
    rule = "be a Keras layer, or the configuration of one"
    fits = head is None or isinstance(head, keras.Layer)
    checks.check(fits, who, "head", rule, repr(head), error=TypeError)
    return head
