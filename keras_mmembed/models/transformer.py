"""The model that encodes fused modalities."""

import os
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
from keras_mmembed.models import activations, options
from keras_mmembed.models.block import EncoderBlock, make_blocks
from keras_mmembed.models.from_preset import from_preset
from keras_mmembed.models.masks import (
    attention_masks,
    check_gated,
    check_rules,
    make_masks,
)
from keras_mmembed.models.pooling import UNPOOLED, Pooling
from keras_mmembed.models.readout import FinalNorm, Head, ReadsOut
from keras_mmembed.models.restoring import RestoringModel

WHO = "MultiModalTransformer"


@keras.saving.register_keras_serializable(package="keras_mmembed")
@clear_calls
class MultiModalTransformer(KeepsSublayers, CallByModality, ReadsOut, RestoringModel):
    """Encodes text, images, audio and video in one transformer.

    Modalities are fused to one sequence of tokens, which the blocks of an encoder mix;

        tokens = EncoderBlock(... EncoderBlock(MultiModalFusion(inputs)))
        outputs = head(pool(tokens))

    It is a model that can be compiled and trained as it is, and a layer that can be
    part of another model.

    Shapes:
        inputs: by name, as for `MultiModalFusion`.
        outputs: with `pooling="tokens"` `(batch, fused length, width)`; with
            `"modalities"` by name `(batch, length, width)`; else `(batch, width)`. The
            width is `num_outputs`, that of `head`, or `unified_dim`.

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
        pooling: `"cls"` (default), the class token; `"first"` or `"last"`, the first or
            the last valid token; `"mean"`, the mean of the valid tokens that stand for
            inputs; `"special"`, that of class and register tokens; `"attention"`, what
            a learned query reads from the valid tokens (SigLIP); `"tokens"`, all
            tokens, with their mask; `"modalities"`, the tokens of each modality by
            name.
        cls_token: Whether a class token comes first. Defaults to `None`, with
            `pooling="cls"` alone.
        final_norm: Whether the last tokens are normalized, or with `"pooled"` what is
            pooled of them. Defaults to `None`, as `norm_first`.
        pooler: Whether a dense layer with a tanh follows the pooling, as in BERT.
            Defaults to `False`.
        num_outputs: Width of a dense head on what is pooled. Defaults to `None`, no
            head.
        output_activation: Activation of the head. Defaults to `None`, the identity.
        head: A layer of the user's own as the head, such as a `keras.Sequential` of
            two dense layers, in place of `num_outputs`. Defaults to `None`.
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
        cls_token: bool | None = None,
        final_norm: FinalNorm = None,
        pooler: bool = False,
        num_outputs: int | None = None,
        output_activation: Activation = None,
        head: Head = None,
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
        self.activation: Any = activations.check_activation(
            WHO, "activation", activation
        )
        self.norm_first: bool = checks.check_flag(WHO, "norm_first", norm_first)
        own_head = self._check_readout(
            WHO,
            pooling=pooling,
            cls_token=cls_token,
            final_norm=final_norm,
            pooler=pooler,
            num_outputs=num_outputs,
            output_activation=output_activation,
            head=head,
            norm_first=self.norm_first,
            num_registers=checks.check_integer(
                WHO, "num_registers", num_registers, minimum=0
            ),
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
            cls_token=self.has_cls_token,
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
        modalities, borders = self.fusion.modalities, self.fusion.layout.borders
        self.rules: dict[str, Any] = check_rules(
            WHO, modalities, causal=causal, prefix=prefix, hidden=hidden
        )
        self.gated: list[str] = check_gated(WHO, gated, modalities, borders)
        masks = make_masks(modalities, self.rules, self.gated)
        self.attention_mask: AttentionMask | None = masks[0]
        self.narrow_mask: AttentionMask | None = masks[1]
        self._make_sublayers(own_head)

    def _make_sublayers(self, head: keras.layers.Layer | None) -> None:
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
        self._make_readout(
            width,
            head=head,
            num_heads=self.num_heads,
            hidden_dim=self.hidden_dim or 4 * width,
            activation=self.activation,
            epsilon=self.epsilon,
        )
        self.attach_mask: AttachMask = AttachMask(dtype=dtype)

    def build(
        self, inputs_shape: Mapping[str, Shape | None], **other_shapes: Any
    ) -> None:
        tokens_shape = (None, None, self.fusion.unified_dim)
        if not self.fusion.built:
            self.fusion.build(inputs_shape)
        for block in self.blocks:
            if not block.built:
                block.build(tokens_shape)
        self._build_readout(self.fusion.unified_dim)
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
        names = self.fusion.modalities
        outputs = self._read_out(tokens, fused, names, self.gated, training)
        if self.pooling not in UNPOOLED:
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
        outputs = self._readout_spec(fused)
        if self.pooling != "modalities":
            return outputs
        return self.fusion.split_spec(outputs, inputs_shape)

    def get_config(self) -> Config:
        return {
            **options.fusion_config(self.fusion),
            **options.own_config(self),
            **self._readout_config(),
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

    @classmethod
    def from_preset(
        cls,
        source: str | os.PathLike[str],
        *,
        model_type: str | None = None,
        **overrides: Any,
    ) -> "MultiModalTransformer":
        """Return a model with the configuration and the weights of a published one.

        Modalities are named `text`, `image`, `audio`, `video`. The result is an
        ordinary model: it trains, and its `.keras` file needs nothing published.

        Args:
            source: A folder with `config.json` and safetensors, as
                `huggingface_hub.snapshot_download` returns one.
            model_type: Which model of the folder, if it holds several, as that of CLIP
                does. Defaults to `None`, that of `config.json`.
            **overrides: Arguments of the model in place of the published ones. Those
                of modalities are merged key by key; another pooling has no head and no
                pooler unless they are given; what an argument adds is new.

        Raises:
            ValueError: if the folder lacks a file, or has a damaged one; if its model
                is none of those known, or has options that are not; or if weights and
                tensors do not fit.
        """
        return from_preset(cls, source, model_type, overrides)

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
