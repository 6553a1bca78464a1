"""The model that encodes fused modalities."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Unpack, cast

import keras
import numpy as np

from keras_mmembed.attention.parts import BiasSpec, RotarySpec, make_rotary
from keras_mmembed.common import checks
from keras_mmembed.common.calls import clear_calls
from keras_mmembed.common.types import Activation, LayerArguments, Shape, Tensor
from keras_mmembed.fusion.arguments import ByModality, CallArguments
from keras_mmembed.fusion.config import (
    DropRates,
    Missing,
    ModalityConfig,
    Normalization,
)
from keras_mmembed.fusion.layer import MultiModalFusion
from keras_mmembed.models import options
from keras_mmembed.models.attention_inputs import (
    RotaryRule,
    attention_inputs,
    check_rotary_rule,
    grid_modalities,
    make_shared_bias,
)
from keras_mmembed.models.block_options import (
    MLP,
    NormType,
    QKNorm,
    UseBias,
    check_encoded,
    check_options,
)
from keras_mmembed.models.from_preset import from_preset
from keras_mmembed.models.generation import begin_generation
from keras_mmembed.models.generation_checks import check_sampling
from keras_mmembed.models.generator import TokenGenerator
from keras_mmembed.models.logits import tied_vocabulary
from keras_mmembed.models.masks import attention_masks, check_gated, check_rules
from keras_mmembed.models.model_call import ENCODED
from keras_mmembed.models.pooling import Pooling
from keras_mmembed.models.readout import FinalNorm, Head
from keras_mmembed.models.transformer_layers import TransformerLayers

WHO = "MultiModalTransformer"


@keras.saving.register_keras_serializable(package="keras_mmembed")
@clear_calls
class MultiModalTransformer(TransformerLayers):
    """Encodes text, images, audio and video in one transformer.

    Modalities are fused to one sequence of tokens, which the blocks of an encoder mix;

        tokens = TransformerBlock(... TransformerBlock(MultiModalFusion(inputs)))
        outputs = head(pool(tokens))

    It is a model that can be compiled and trained as it is, and a layer that can be
    part of another model.

    Shapes:
        inputs: by name, as for `MultiModalFusion`.
        outputs: with `pooling="tokens"` `(batch, fused length, width)`; with
            `"modalities"` by name `(batch, length, width)`; with `"merged"`
            `(batch, rows, columns, width)`; else `(batch, width)`. The width is
            `num_outputs`, that of `head`, or `unified_dim`, 4 times that if merged.

    Args:
        modality_configs: By name, the keys of a modality, as for `MultiModalFusion`.
        unified_dim: The width of the tokens. Defaults to 512.
        num_layers: Number of blocks. Defaults to 4.
        num_heads: Number of attention heads, of which `unified_dim` is a multiple.
            Defaults to 8.
        hidden_dim: Width of the hidden layer of a block. Defaults to `None`, 4 times
            `unified_dim`.
        activation: Activation of the hidden layer. Defaults to `"gelu"`.
        norm_first: Whether blocks normalize their inputs (pre-norm), or their sums
            (post-norm). Defaults to `True`.
        final_norm: Whether the tokens of the last block are normalized, or with
            `"pooled"` what is pooled of them. Defaults to `None`, as `norm_first`.
        norm_type: The type of all norms, `"layer"` (default) or `"rms"`.
        mlp: `"dense"` (default) or `"gated"`, as for `TransformerBlock`.
        num_key_value_heads: As for `TransformerBlock`. Defaults to `None`, `num_heads`.
        head_dim: As for `TransformerBlock`. Defaults to `None`, `unified_dim` divided
            by `num_heads`.
        use_bias: As for `TransformerBlock`. Defaults to `True`.
        scale: As for `TransformerBlock`. Defaults to `None`, `head_dim ** -0.5`.
        rotary: The rotary embedding in every block, as for `TransformerBlock`. Defaults
            to `None`, none.
        rotary_rule: The rule of its positions, as for `rotary_positions`: `"sequence"`
            (default), or another name, or a dict with the keys `rule`, `audio` and
            `rate`. Images and clips are the modalities of type `"2d"` and `"3d"`.
        relative_bias: The relative position bias in every block: the name of a
            convention, a dict of arguments of `RelativePositionBias`, or such a layer.
            All blocks share a layer, and a bias of `"t5"` or `"alibi"`; of `"swin"`
            and `"beit"` each block has its own. Positions are those of the fused
            sequence, or of a grid. Defaults to `None`, none.
        qk_norm: As for `TransformerBlock`. Defaults to `None`, none.
        layer_scale: As for `TransformerBlock`. Defaults to `None`, none.
        cross_attention: Whether the tokens attend to another sequence too, `encoded`,
            as for `TransformerBlock`. Defaults to `False`.
        pooling: `"cls"` (default), the class token; `"first"` or `"last"`, the first or
            the last valid token; `"mean"`, the mean of the valid tokens that stand for
            inputs; `"special"`, that of class and register tokens; `"attention"`, what
            a learned query reads from the valid tokens (SigLIP); `"tokens"`, all
            tokens, with their mask; `"modalities"`, the tokens of each modality by
            name; `"merged"`, those of one image as a grid whose tokens hold two by two
            neighbours (Qwen2-VL).
        cls_token: Whether a class token comes first. Defaults to `None`, with
            `pooling="cls"` alone.
        pooler: Whether a dense layer with a tanh follows the pooling, as in BERT.
            Defaults to `False`.
        num_outputs: Width of a dense head on what is pooled. Defaults to `None`, no
            head.
        tie_embeddings: Whether the outputs are the products of each token and the
            vectors of the vocabulary of the last modality: a head without weights of
            its own. Defaults to `False`.
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
        encoded: The tokens of another sequence, `(batch, encoded length, any width)`,
            with `cross_attention`.
        encoded_mask: Its padding mask. Defaults to the Keras mask of `encoded`.
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
        final_norm: FinalNorm | None = None,
        norm_type: NormType = "layer",
        mlp: MLP = "dense",
        num_key_value_heads: int | None = None,
        head_dim: int | None = None,
        use_bias: UseBias = True,
        scale: float | None = None,
        rotary: RotarySpec = None,
        rotary_rule: RotaryRule = "sequence",
        relative_bias: BiasSpec = None,
        qk_norm: QKNorm = None,
        layer_scale: float | None = None,
        cross_attention: bool = False,
        pooling: Pooling = "cls",
        cls_token: bool | None = None,
        pooler: bool = False,
        num_outputs: int | None = None,
        tie_embeddings: bool = False,
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
        block = {n: value for n, value in locals().items() if n in options.OF_BLOCKS}
        super().__init__(autocast=False, **checks.layer_options(WHO, kwargs))
        self.supports_masking = True
        self.num_layers = checks.check_integer(WHO, "num_layers", num_layers)
        checks.check_flag(WHO, "cross_attention", cross_attention)
        for name, value in check_options(WHO, block).items():
            setattr(self, name, value)
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
            num_registers=num_registers,
        )
        self.fusion = MultiModalFusion(
            modality_configs,
            unified_dim,
            normalization=normalization,
            norm_type=norm_type,
            num_registers=num_registers,
            modality_embedding=modality_embedding,
            modality_dropout=modality_dropout,
            missing=missing,
            cls_token=self.has_cls_token,
            epsilon=self.epsilon,
            dropout=self.dropout,
            return_dict=True,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="fusion",
        )
        self.tie_embeddings = tie_embeddings
        outputs = tie_embeddings, num_outputs if own_head is None else own_head
        self.tied_size = tied_vocabulary(WHO, self.fusion, *outputs)
        rule = f"divide unified_dim={self.fusion.unified_dim}"
        divides = head_dim is not None or self.fusion.unified_dim % num_heads == 0
        checks.check(divides, WHO, "num_heads", rule, num_heads, "Or set `head_dim`.")
        self.rotary = make_rotary(self, rotary)
        grids = grid_modalities(self.fusion)
        self.rotary_rule = check_rotary_rule(WHO, rotary_rule, self.rotary, grids)
        bias = make_shared_bias(self, relative_bias, self.num_heads)
        # written as arguments, each block makes its own
        self.relative_bias = cast(Any, relative_bias) if bias is None else bias
        layout = self.fusion.layout
        self.rules = check_rules(WHO, layout.modalities, causal, prefix, hidden)
        self.gated = check_gated(WHO, gated, layout)
        self._make_sublayers(own_head)

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
        encoded: Tensor | None = None,
        encoded_mask: Tensor | None = None,
        inputs_mask: ByModality = None,
        training: bool | None = None,
    ) -> Any:
        others = (segment_ids, positions, present, placeholders, mask)
        others = (*others, grids, start_index, terms, masked, inputs_mask)
        arguments = self.fusion.collect(inputs, *others)
        more = {"encoded": encoded, "encoded_mask": encoded_mask, "training": training}
        tokens, fused = self._encode(inputs, arguments, more)[:2]
        return self._read_out(tokens, fused, inputs, arguments, training)

    def generate(
        self,
        inputs: Mapping[str, Tensor | None],
        max_new_tokens: int,
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop_ids: int | Sequence[int] | None = None,
        seed: int | None = None,
        max_length: int | None = None,
        stream: bool = False,
        **arguments: Any,
    ) -> Any:
        """Return the tokens that follow a prompt, one after another.

        The modality with a vocabulary that comes last grows, in a model that is causal
        and has logits for each token. The prompt goes through the model once; then each
        step computes one token, which attends to the keys and values of those before,
        the KV cache. Steps are compiled once for a shape on JAX and TensorFlow, and
        eager on PyTorch.

        Args:
            inputs: The prompt, as for a call; padding may be left or right of it.
            max_new_tokens: How many tokens are generated at most.
            temperature: What logits are divided by before a token is drawn. Defaults to
                0, the most likely token (greedy).
            top_k: Draws among that many of the most likely tokens. Defaults to `None`,
                all.
            top_p: Draws among the most likely tokens that have this probability
                together (nucleus sampling). Defaults to `None`, all.
            stop_ids: An id, or several, behind which a sample is finished. Defaults to
                `None`, none.
            seed: Seed of what is drawn, the same on every backend. Defaults to `None`,
                a random one.
            max_length: Number of slots of the cache. Defaults to `None`, the fused
                length of the prompt plus `max_new_tokens`.
            stream: Whether to return an iterator over the tokens of each step,
                `(batch,)`, as they come. Defaults to `False`.
            **arguments: `mask`, `placeholders`, `grids`, `positions`, `encoded` and the
                other arguments of a call.

        Returns:
            The new tokens, `(batch, length)`, a NumPy array of int32. The length is
            `max_new_tokens`, or shorter if all samples have stopped; behind a stop id
            stands the `padding_id` of the modality, or else the stop id again.

        Raises:
            TypeError: if an argument has the wrong type.
            ValueError: if the model is not causal, has no logits of the vocabulary, or
                if an argument is out of range.

        References:
            A. Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020,
            https://arxiv.org/abs/1904.09751 (nucleus sampling).
        """
        chosen = check_sampling(temperature, top_k, top_p, seed)
        tokens = begin_generation(
            self, inputs, arguments, max_new_tokens, max_length, stop_ids, chosen
        )
        if checks.check_flag(WHO, "stream", stream):
            return tokens
        return np.stack(list(tokens), axis=1)

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

    def generator(
        self, max_new_tokens: int, stop_ids: int | Sequence[int] | None = None
    ) -> TokenGenerator:
        """Return a layer that generates greedily, with its loop in the graph.

        It has the call of the model, and can be part of a functional model, which
        `export_for_serving` writes for a server.

        Args:
            max_new_tokens: How many tokens it generates.
            stop_ids: As for `generate`. Defaults to `None`, none.
        """
        return TokenGenerator(self, max_new_tokens, stop_ids, name="generator")

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
        encoded: Tensor | None = None,
        encoded_mask: Tensor | None = None,
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
            encoded: As for a call.
            encoded_mask: As for a call.

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
            self.build(shapes, None if encoded is None else encoded.shape)
        more = {"encoded": encoded, "encoded_mask": encoded_mask, "training": False}
        _, fused, scores = self._encode(inputs, arguments, more, with_scores=True)
        return scores, fused

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None  # attached by the call, if tokens leave it

    def compute_output_spec(
        self, inputs: Mapping[str, Tensor | None], *args: Any, **kwargs: Any
    ) -> Any:
        other = {name: kwargs.pop(name, None) for name in ENCODED}
        fused = self.fusion.compute_output_spec(inputs, *args, **kwargs)["embeddings"]
        check_encoded(self, other, fused.shape[0])
        shapes = {n: None if x is None else x.shape for n, x in inputs.items()}
        return self._readout_spec(fused, shapes)

    def compute_output_shape(
        self, inputs_shape: Mapping[str, Shape | None], **other_shapes: Any
    ) -> Any:
        shapes = self.by_name(inputs_shape)
        fused = self.fusion.compute_output_shape(shapes)["embeddings"]
        spec = self._readout_spec(keras.KerasTensor(fused), shapes)
        if shapes is not inputs_shape and isinstance(spec, dict):
            (spec,) = spec.values()
        return keras.tree.map_structure(lambda tensor: tensor.shape, spec)

    def _encode(
        self,
        inputs: Mapping[str, Tensor | None],
        arguments: CallArguments,
        more: Mapping[str, Any],
        with_scores: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        """Return the tokens after the blocks, the fusion, and attention scores."""
        fused = self.fusion.fuse(inputs, arguments, more["training"])
        tokens, scores = fused["embeddings"], []
        masks = attention_masks(self.attention_mask, self.narrow_mask, fused)
        shared = attention_inputs(self, fused)
        for block in self.blocks:
            if with_scores:
                scores.append(block.attention_scores(tokens, masks[0], **shared))
            tokens = block(tokens, *masks, **shared, **more)
        return tokens, fused, scores
