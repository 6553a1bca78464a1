"""The model that encodes fused modalities."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import keras

from keras_mmembed.attention.mask import AttentionMask
from keras_mmembed.common import checks
from keras_mmembed.common.calls import clear_calls
from keras_mmembed.common.describe import describe
from keras_mmembed.common.mask_layers import AttachMask
from keras_mmembed.common.sublayer_state import KeepsSublayers
from keras_mmembed.common.types import Activation, Config, LayerArguments, Shape, Tensor
from keras_mmembed.fusion.arguments import ByModality, CallArguments
from keras_mmembed.fusion.config import (
    DropRates,
    Missing,
    ModalityConfig,
    Normalization,
    config_of,
    from_first_files,
)
from keras_mmembed.fusion.layer import MultiModalFusion
from keras_mmembed.fusion.standardize import CallByModality
from keras_mmembed.models import options
from keras_mmembed.models.block import EncoderBlock, make_blocks
from keras_mmembed.models.masks import (
    attention_masks,
    check_gated,
    check_rules,
    make_masks,
)
from keras_mmembed.models.pooling import (
    POOLINGS,
    Pooling,
    check_output_activation,
    make_head,
    pool,
    pooled_spec,
)
from keras_mmembed.models.restoring import RestoringModel

WHO = "MultiModalTransformer"


@keras.saving.register_keras_serializable(package="keras_mmembed")
@clear_calls
class MultiModalTransformer(KeepsSublayers, CallByModality, RestoringModel):
    """Encodes text, images, audio and video in one transformer.

    Modalities are fused to one sequence of tokens, which the blocks of an encoder mix;

        tokens = EncoderBlock(... EncoderBlock(MultiModalFusion(inputs)))
        outputs = head(pool(tokens))

    It is a model that can be compiled and trained as it is, and a layer that can be
    part of another model.

    Shapes:
        inputs: by name, as for `MultiModalFusion`.
        outputs: with `pooling="cls"` or `"mean"` `(batch, width)`; with `"tokens"`
            `(batch, fused length, width)`; with `"modalities"` by name
            `(batch, length, width)`. The width is `num_outputs`, or `unified_dim`.

    Args:
        modality_configs: By name, the keys of a modality, as for `MultiModalFusion`.
        unified_dim: The width of the tokens. Defaults to 512.
        num_layers: Number of blocks. Defaults to 4.
        num_heads: Number of attention heads, of which `unified_dim` is a multiple.
            Defaults to 8.
        hidden_dim: Width of the hidden layer of a block. Defaults to `None`, 4 times
            `unified_dim`.
        activation: Activation of the hidden layer. Defaults to `"gelu"`.
        norm_first: Whether blocks normalize their inputs (pre-norm), and the model its
            last tokens; or their sums (post-norm). Defaults to `True`.
        pooling: `"cls"` (default), the class token; `"mean"`, the mean of the valid
            tokens that stand for inputs; `"tokens"`, all tokens, with their mask;
            `"modalities"`, the tokens of each modality by name.
        num_outputs: Width of a dense head on what is pooled. Defaults to `None`, no
            head.
        output_activation: Activation of the head. Defaults to `None`, the identity.
        causal: Whether tokens attend only to those before, as for `AttentionMask`.
            Defaults to `False`.
        prefix: Modalities that all may attend to, as for `AttentionMask`. Defaults to
            none.
        hidden: Modalities that may not be attended to, as for `AttentionMask`. Defaults
            to `None`, none.
        gated: Names of modalities that a `ZeroGate` in every block lets in. Until it
            opens, the other tokens are as they would be without them; the mean never
            has them. Defaults to none.
        normalization: As for `MultiModalFusion`; `"shared"` by default.
        num_registers: As for `MultiModalFusion`; 0 by default.
        modality_embedding: As for `MultiModalFusion`; `True` by default.
        modality_dropout: As for `MultiModalFusion`; 0 by default.
        missing: As for `MultiModalFusion`; `"mask"` by default.
        epsilon: Added to the variance in every norm. Defaults to 1e-6.
        dropout: Share that training sets to zero of the fused tokens, the attention
            weights, and what a block adds. Defaults to 0.1.
        remat: Whether the backward pass computes the activations of blocks again
            instead of keeping them. Defaults to `False`.
        seed: Seed of all kinds of dropout. Defaults to `None`, random ones.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras model.

    Call arguments:
        inputs: Features or raw inputs of each modality.
        segment_ids: As for `MultiModalFusion`.
        positions: As for `MultiModalFusion`.
        present: As for `MultiModalFusion`.
        placeholders: As for `MultiModalFusion`.
        mask: As for `MultiModalFusion`.
        grids: As for `MultiModalFusion`.
        start_index: As for `MultiModalFusion`.
        terms: As for `MultiModalFusion`.
        masked: As for `MultiModalFusion`.
        inputs_mask: Filled in by Keras.
        training: Whether to drop anything.

    Masking: the mask of the fused sequence is given to every block.

    Precision: the head works in float32, the rest in the compute dtype.

    Raises:
        TypeError, ValueError: as the fusion; and if heads do not divide the width, or
            the arguments contradict each other.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import MultiModalTransformer
    >>> model = MultiModalTransformer({
    ...     "text": {"type": "1d", "dim": 16, "vocabulary_size": 100},
    ...     "image": {"type": "2d", "dim": 12},
    ... }, unified_dim=16, num_layers=2, num_heads=4, num_outputs=10)
    >>> words, image = np.array([[5, 7, 9]]), np.ones((1, 3, 3, 12))
    >>> tuple(model({"text": words, "image": image}).shape)
    (1, 10)

    A model is its configuration, as plain data:

    >>> same = MultiModalTransformer.from_config(model.get_config())
    >>> tuple(same({"text": words}).shape)
    (1, 10)

    References:
        W. Kim et al., "ViLT", 2021, https://arxiv.org/abs/2102.03334.
    """

    def __init__(
        self,
        modality_configs: Mapping[str, ModalityConfig],
        unified_dim: int = 512,
        *,
        num_layers: int = 4,
        num_heads: int = 8,
        hidden_dim: int | None = None,
        activation: Activation = "gelu",
        norm_first: bool = True,
        pooling: Pooling = "cls",
        num_outputs: int | None = None,
        output_activation: Activation = None,
        causal: bool = False,
        prefix: Sequence[str] = (),
        hidden: Mapping[str, Sequence[str]] | None = None,
        gated: Sequence[str] = (),
        normalization: Normalization = "shared",
        num_registers: int = 0,
        modality_embedding: bool = True,
        modality_dropout: DropRates = 0.0,
        missing: Missing = "mask",
        epsilon: float = 1e-6,
        dropout: float = 0.1,
        remat: bool = False,
        seed: int | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(autocast=False, **checks.layer_options(WHO, kwargs))
        self.supports_masking = True
        self.num_layers: int = checks.check_integer(WHO, "num_layers", num_layers)
        self.num_heads: int = checks.check_integer(WHO, "num_heads", num_heads)
        self.hidden_dim: int | None = checks.check_integer(
            WHO, "hidden_dim", hidden_dim, optional=True
        )
        self.activation: Any = checks.check_activation(WHO, "activation", activation)
        self.norm_first: bool = checks.check_flag(WHO, "norm_first", norm_first)
        self.pooling: Pooling = checks.check_choice(WHO, "pooling", pooling, POOLINGS)
        self.num_outputs: int | None = checks.check_integer(
            WHO, "num_outputs", num_outputs, optional=True
        )
        self.output_activation: Any = check_output_activation(
            WHO, output_activation, self.num_outputs
        )
        self.epsilon: float = checks.check_number(WHO, "epsilon", epsilon, 0)
        self.dropout: float = checks.check_number(WHO, "dropout", dropout, 0, 1, True)
        self.remat: bool = checks.check_flag(WHO, "remat", remat)
        self.seed: int | None = checks.check_seed(WHO, seed)
        self.fusion: MultiModalFusion = MultiModalFusion(
            modality_configs,
            unified_dim,
            normalization=normalization,
            num_registers=num_registers,
            modality_embedding=modality_embedding,
            modality_dropout=modality_dropout,
            missing=missing,
            cls_token=pooling == "cls",
            epsilon=epsilon,
            dropout=dropout,
            return_dict=True,
            seed=seed,
            dtype=self.dtype_policy,
            name="fusion",
        )
        rule = f"divide unified_dim={self.fusion.unified_dim}"
        divides = self.fusion.unified_dim % self.num_heads == 0
        checks.check(divides, WHO, "num_heads", rule, num_heads)
        modalities = self.fusion.modalities
        self.rules: dict[str, Any] = check_rules(
            WHO, modalities, causal=causal, prefix=prefix, hidden=hidden
        )
        self.gated: list[str] = check_gated(WHO, gated, self.fusion.layout)
        masks = make_masks(modalities, self.rules, self.gated)
        self.attention_mask: AttentionMask | None = masks[0]
        self.narrow_mask: AttentionMask | None = masks[1]
        self._make_sublayers()

    def _make_sublayers(self) -> None:
        width, dtype = self.fusion.unified_dim, self.dtype_policy
        self.blocks: list[EncoderBlock] = make_blocks(
            self.num_layers,
            num_heads=self.num_heads,
            hidden_dim=self.hidden_dim or 4 * width,
            activation=self.activation,
            norm_first=self.norm_first,
            epsilon=self.epsilon,
            dropout=self.dropout,
            is_gated=bool(self.gated),
            remat=self.remat,
            seed=self.seed,
            dtype=dtype,
        )
        self.norm: keras.layers.LayerNormalization | None = None
        if self.norm_first:
            self.norm = keras.layers.LayerNormalization(
                epsilon=self.epsilon, dtype=dtype, name="norm"
            )
        self.head: keras.layers.Dense | None = make_head(
            self.num_outputs, self.output_activation, self.compute_dtype
        )
        self.attach_mask: AttachMask = AttachMask(dtype=dtype)

    def build(
        self, inputs_shape: Mapping[str, Shape | None], **other_shapes: Any
    ) -> None:
        tokens_shape = (None, None, self.fusion.unified_dim)
        if not self.fusion.built:
            self.fusion.build(inputs_shape)
        for sublayer in (*self.blocks, self.norm):
            if sublayer is not None and not sublayer.built:
                sublayer.build(tokens_shape)
        if self.head is not None and not self.head.built:
            is_pooled = self.pooling in ("cls", "mean")
            self.head.build((None, tokens_shape[-1]) if is_pooled else tokens_shape)
        for mask in (self.attention_mask, self.narrow_mask):
            if mask is not None and not mask.built:
                mask.build(dict.fromkeys(("mask", "modality_ids"), tokens_shape[:2]))
        self.built = True

    def call(
        self,
        inputs: Mapping[str, Tensor | None],
        segment_ids: ByModality = None,
        positions: ByModality = None,
        present: ByModality = None,
        placeholders: ByModality = None,
        mask: ByModality = None,
        grids: Mapping[str, Any] | None = None,
        start_index: Mapping[str, Any] | None = None,
        terms: Mapping[str, Mapping[str, Tensor]] | None = None,
        masked: ByModality = None,
        inputs_mask: ByModality = None,
        training: bool | None = None,
    ) -> Any:
        others = (segment_ids, positions, present, placeholders, mask)
        others = (*others, grids, start_index, terms, masked, inputs_mask)
        arguments = self.fusion.collect(inputs, *others)
        tokens, fused = self._encode(inputs, arguments, training)[:2]
        tokens = tokens if self.norm is None else self.norm(tokens)
        names = self.fusion.modalities
        tokens = pool(self.pooling, tokens, fused, names, left_out=self.gated)
        outputs = tokens if self.head is None else self.head(tokens)
        if self.pooling in ("cls", "mean"):
            return outputs
        outputs = self.attach_mask([outputs, fused["mask"]])
        if self.pooling == "tokens":
            return outputs
        ids, masks = fused["modality_ids"], arguments.mask
        return self.fusion.split(outputs, inputs, modality_ids=ids, mask=masks)

    def attention_scores(
        self,
        inputs: Mapping[str, Tensor | None],
        segment_ids: ByModality = None,
        positions: ByModality = None,
        present: ByModality = None,
        placeholders: ByModality = None,
        mask: ByModality = None,
        grids: Mapping[str, Any] | None = None,
        start_index: Mapping[str, Any] | None = None,
        terms: Mapping[str, Mapping[str, Tensor]] | None = None,
        masked: ByModality = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the attention weights of every block, and the tokens they are of.

        Args:
            inputs: As for a call; so are the other arguments.
            segment_ids: As for `MultiModalFusion`.
            positions: As for `MultiModalFusion`.
            present: As for `MultiModalFusion`.
            placeholders: As for `MultiModalFusion`.
            mask: As for `MultiModalFusion`.
            grids: As for `MultiModalFusion`.
            start_index: As for `MultiModalFusion`.
            terms: As for `MultiModalFusion`.
            masked: As for `MultiModalFusion`.

        Returns:
            The attention weights of every block, `(batch, heads, length, length)`,
            and what the fusion returned, with `mask`, `modality_ids`, `positions`.
        """
        given = (inputs, segment_ids, positions, present, placeholders, mask)
        given = (*given, grids, start_index, terms, masked)
        inputs, *others = self.standardize(*given)
        arguments = self.fusion.collect(inputs, *others)
        if not self.built:
            shapes = {n: None if x is None else x.shape for n, x in inputs.items()}
            self.build(shapes)
        _, fused, scores = self._encode(inputs, arguments, False, with_scores=True)
        return scores, fused

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None  # attached by the call, if tokens leave it

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The fusion, the blocks, and what comes after them."""
        return [layer for layer in super().layers if layer is not self.attach_mask]

    def compute_output_spec(
        self, inputs: Mapping[str, Tensor | None], *args: Any, **kwargs: Any
    ) -> Any:
        fused = self.fusion.compute_output_spec(inputs, *args, **kwargs)["embeddings"]
        shapes = {n: None if x is None else x.shape for n, x in inputs.items()}
        return self._output_spec(fused, shapes)

    def compute_output_shape(
        self, inputs_shape: Mapping[str, Shape | None], **other_shapes: Any
    ) -> Any:
        fused = self.fusion.compute_output_shape(inputs_shape)["embeddings"]
        spec = self._output_spec(keras.KerasTensor(fused), inputs_shape)
        return keras.tree.map_structure(lambda tensor: tensor.shape, spec)

    def _output_spec(
        self, fused: keras.KerasTensor, inputs_shape: Mapping[str, Shape | None]
    ) -> Any:
        """Return the symbolic outputs for fused tokens, from inputs of some shapes."""
        dtype = self.compute_dtype if self.head is None else self.head.compute_dtype
        width = self.num_outputs or self.fusion.unified_dim
        outputs = pooled_spec(self.pooling, fused, width, dtype)
        if self.pooling != "modalities":
            return outputs
        return self.fusion.split_spec(outputs, inputs_shape)

    def get_config(self) -> Config:
        return {
            **options.fusion_config(self.fusion),
            **options.own_config(self),
            **self.rules,
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(
        cls, config: Config, custom_objects: Config | None = None
    ) -> "MultiModalTransformer":
        return cls(**from_first_files(config))

    def __repr__(self) -> str:
        config = options.fusion_config(self.fusion)
        configs = self.fusion.modality_configs
        config["modality_configs"] = {n: config_of(configs, n)["dim"] for n in configs}
        return describe(self, **config, **self.rules)

    def _encode(
        self,
        inputs: Mapping[str, Tensor | None],
        arguments: CallArguments,
        training: bool | None,
        with_scores: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        """Return the tokens after the blocks, the fusion, and attention scores."""
        fused = self.fusion.fuse(inputs, arguments, training)
        tokens, scores = fused["embeddings"], []
        masks = attention_masks(self.attention_mask, self.narrow_mask, fused)
        for block in self.blocks:
            if with_scores:
                scores.append(block.attention_scores(tokens, masks[0]))
            tokens = block(tokens, *masks, training=training)
        return tokens, fused, scores
