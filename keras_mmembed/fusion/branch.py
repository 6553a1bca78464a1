"""The layers and the learned vectors of one modality."""

import functools
import operator
import types
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_mmembed.common import checks, sublayer_state
from keras_mmembed.common.mask_layers import AttachMask, ReadMask
from keras_mmembed.common.sequences import as_mask
from keras_mmembed.common.tensors import float32_or_better
from keras_mmembed.common.types import Initializer, Shape, Tensor
from keras_mmembed.common.zero_gate import ZeroGate
from keras_mmembed.fusion import features, position_term
from keras_mmembed.fusion.arguments import CallArguments, ModalityInputs
from keras_mmembed.fusion.config import ModalityConfig, make_position
from keras_mmembed.fusion.segment import SegmentEmbedding
from keras_mmembed.fusion.special_tokens import surround
from keras_mmembed.fusion.tokens import (
    all_valid,
    flatten_grid,
    flatten_tokens,
    grid_mask,
    pad,
    repeat,
)
from keras_mmembed.positions.base import PositionEmbedding
from keras_mmembed.positions.tables import clone_initializer

WHO = "MultiModalFusion"


class ModalityBranch(keras.layers.Layer):
    """The layers and the learned vectors of one modality.

    `MultiModalFusion` owns one for each modality and calls its methods in this order:
    `prepare` makes features of raw inputs, `padding_mask` and `embed` make the mask
    and the sum `x + PE + M + S` of the tokens, start and end token included.

    Args:
        config: The configuration of the modality.
        unified_dim: The common width.
        norm: The norm of the modality, if it has one of its own.
        has_stand_in: Whether a learned token stands in where the modality is absent.
        kernel_initializer: Initializer of the projection.
        embeddings_initializer: Initializer of the learned vectors.
        **kwargs: As for every Keras layer.
    """

    def __init__(
        self,
        config: ModalityConfig,
        unified_dim: int,
        *,
        norm: keras.layers.Layer | None = None,
        has_stand_in: bool = False,
        kernel_initializer: Initializer,
        embeddings_initializer: Initializer,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        # Keras would save the layers in a dict under the names of their classes
        self.config: Mapping[str, Any] = types.MappingProxyType(config)
        self.unified_dim: int = unified_dim
        self.embeddings_initializer: Initializer = embeddings_initializer
        clone, dtype = clone_initializer, self.dtype_policy
        self.embedding: keras.layers.Layer | None = self.config.get("embedding")
        if "vocabulary_size" in config:
            self.embedding = keras.layers.Embedding(
                config["vocabulary_size"],
                config["dim"],
                embeddings_initializer=clone(embeddings_initializer),
                dtype=dtype,
                name="embedding",
            )
        if self.embedding is not None:
            self.read_mask: ReadMask = ReadMask(dtype=dtype)
            self.attach_mask: AttachMask = AttachMask(dtype=dtype)
        self.projection: keras.layers.Dense | None = None
        if self.config["dim"] != unified_dim:
            self.projection = keras.layers.Dense(
                unified_dim,
                kernel_initializer=clone(kernel_initializer),
                dtype=dtype,
                name="projection",
            )
        self.position: PositionEmbedding | None = make_position(config, dtype)
        self.segment: SegmentEmbedding | None = None
        if "segments" in config:
            self.segment = SegmentEmbedding(
                config["segments"],
                embeddings_initializer=clone(embeddings_initializer),
                dtype=dtype,
                name="segment",
            )
        self.gate: ZeroGate | None = None
        if config.get("gate"):
            self.gate = ZeroGate(dtype=dtype, name="gate")
        self.norm: keras.layers.Layer | None = norm
        self.start: keras.Variable | None = None
        self.end: keras.Variable | None = None
        self.missing: keras.Variable | None = None
        self._vectors = [
            *[name for name in ("start", "end") if config.get(f"{name}_token")],
            *(["missing"] if has_stand_in else []),
        ]

    def build(self, inputs_shape: Shape | None = None) -> None:
        fused_shape = (None, None, self.unified_dim)
        if self.embedding is not None and not self.embedding.built:
            needs_shape = not isinstance(self.embedding, keras.layers.Embedding)
            rule = "be given in the first call, because its embedding is not built"
            remedy = f"Or build the embedding of modality {self.name!r} before."
            is_known = inputs_shape is not None or not needs_shape
            argument = f"inputs[{self.name!r}]"
            checks.check(is_known, WHO, argument, rule, None, remedy)
            self.embedding.build(inputs_shape)
        if self.projection is not None and not self.projection.built:
            self.projection.build((None, None, self.config["dim"]))
        for sublayer in (self.position, self.segment, self.gate, self.norm):
            if sublayer is not None and not sublayer.built:
                sublayer.build(fused_shape)
        for name in self._vectors:
            weight = self.add_weight(
                name=name,
                shape=(1, self.unified_dim),
                initializer=clone_initializer(self.embeddings_initializer),
                autocast=False,
            )
            setattr(self, name, weight)
        self.built = True

    def save_own_variables(self, store: Any) -> None:
        sublayer_state.save_by_name(self, self._vectors, store)

    def load_own_variables(self, store: Any) -> None:
        sublayer_state.load_by_name(self, self._vectors, store)

    @property
    def borders(self) -> tuple[int, int]:
        """Whether there is a start token, and an end token."""
        return int("start" in self._vectors), int("end" in self._vectors)

    @property
    def counts_special(self) -> bool:
        """Whether the start and the end token have positions."""
        return bool(self.config.get("count_special"))

    @property
    def _has_vectors(self) -> bool:
        return self.config["type"] == "none"

    @property
    def _sum_dtype(self) -> str:
        return float32_or_better(self.compute_dtype)

    def features_shape(self, shape: Shape) -> Shape:
        """Return the shape of the features of inputs."""
        return features.features_shape(self.embedding, shape, self._has_vectors)

    def features_like(self, x: Tensor) -> Tensor:
        """Return a tensor with the axes and the mask of the features of inputs."""
        is_placed = "into" in self.config
        if is_placed and "padding_id" in self.config:
            return self.attach_mask([x, ops.not_equal(x, self.config["padding_id"])])
        like = features.features_like(self.embedding, x, self.name, is_placed)
        has_ids = isinstance(self.embedding, keras.layers.Embedding)
        return like if has_ids else features.as_tokens(like, self._has_vectors)

    def passes_mask(self, x: Tensor, mask: Tensor) -> bool:
        """Whether a mask is the Keras mask of raw inputs, which an embedding gets."""
        if not getattr(self.embedding, "supports_masking", False):
            return False
        if isinstance(x, keras.KerasTensor):
            return mask is getattr(x, "_keras_mask", None)
        return mask is self.read_mask(x)

    def prepare(
        self,
        x: Tensor,
        arguments: CallArguments,
        name: str,
        present: Tensor | None = None,
    ) -> ModalityInputs:
        """Return the features of inputs, with all that the call says of them.

        Args:
            x: The inputs, `(batch, ...)`.
            arguments: The other arguments of the call.
            name: Name of the modality, which may be another instance of this one.
            present: Which samples have the modality, `(batch,)`, or `None` for all.
        """
        mask = padding = None
        if self.embedding is not None:
            if "padding_id" in self.config:
                padding = ops.not_equal(x, self.config["padding_id"])
            if "vocabulary_size" in self.config:
                last = self.config["vocabulary_size"] - 1
                x = ops.clip(ops.cast(x, "int32"), 0, last)
            elif present is not None:
                x = self._blank(x, present)
            x = self.embedding(x)
            mask = self.read_mask(x)
        x = features.as_tokens(x, self._has_vectors)
        mask = arguments.mask.get(name, mask)
        if mask is not None:
            mask = as_mask(mask, flatten_tokens(x))
        if padding is not None:
            mask = padding if mask is None else ops.logical_and(mask, padding)
        grid, start = arguments.grids.get(name), arguments.start_index.get(name)
        if grid is not None:
            inside = grid_mask(x, grid)
            mask = inside if mask is None else ops.logical_and(mask, inside)
        return ModalityInputs(
            x,
            mask,
            present,
            arguments.positions.get(name),
            arguments.segment_ids.get(name),
            # inputs that come as grids are measured by their mask
            grid if len(x.shape) == 3 else None,
            0 if start is None else start,
        )

    def padding_mask(self, inputs: ModalityInputs) -> Tensor:
        """Return which tokens are valid, start and end token included, as bool."""
        mask = inputs.mask
        if mask is None:
            mask = all_valid(flatten_tokens(inputs.features))
        if inputs.present is None:
            return pad(mask, self.borders, True, axis=1)
        present = ops.expand_dims(inputs.present, 1)
        if self.missing is not None:
            mask = ops.logical_or(mask, ops.logical_not(present))
            return pad(mask, self.borders, True, axis=1)
        return ops.logical_and(pad(mask, self.borders, True, axis=1), present)

    def embed(self, inputs: ModalityInputs, vector: Tensor) -> Tensor:
        """Return x + PE + M [+ S] of the tokens, start and end token included.

        Args:
            inputs: The features, and what the call says of them.
            vector: The vector of the modality, `(unified_dim,)`.
        """
        x = self._project(inputs)
        vector = ops.cast(vector, self._sum_dtype)
        segment = self._segment_vectors(inputs)
        if self.counts_special:
            x = x if segment is None else x + segment
            x = surround(x, self.start, self.end, 0.0)
            total = x + self._sum_of_terms(inputs, [vector])
        else:
            terms = [vector] if segment is None else [vector, segment]
            total = x + self._sum_of_terms(inputs, terms)
            total = surround(total, self.start, self.end, vector)
        return total if self.norm is None else self.norm(total)

    def stand_in(self, vector: Tensor, batch_of: Tensor) -> Tensor:
        """Return one learned token in place of a modality that is absent."""
        token = repeat(ops.add(self.missing, vector), batch_of, self._sum_dtype)
        return token if self.norm is None else self.norm(token)

    def token_positions(self, inputs: ModalityInputs) -> Tensor | None:
        """Return the position of each token, `(..., length, 3)`, `None` for none."""
        if self.position is None:
            return None
        return position_term.token_positions(
            self.position, inputs, self.borders, self.counts_special
        )

    def _blank(self, x: Tensor, present: Tensor) -> Tensor:
        """Return raw inputs that are zero, and not NaN, where a sample has none."""
        mask = self.read_mask(x)
        present = ops.reshape(present, (-1,) + (1,) * (len(x.shape) - 1))
        x = ops.where(present, x, ops.zeros_like(x))
        return x if mask is None else self.attach_mask([x, mask])

    def _project(self, inputs: ModalityInputs) -> Tensor:
        x, present = flatten_tokens(inputs.features), inputs.present
        present = None if present is None else ops.expand_dims(present, 1)
        for known in (inputs.mask, present):
            if known is not None:
                # before any arithmetic: not even a NaN in the padding gets further
                known = ops.expand_dims(known, -1)
                x = ops.where(known, x, ops.zeros_like(x))
        x = x if self.projection is None else self.projection(x)
        x = ops.cast(x, self._sum_dtype)
        if present is not None and self.missing is not None:
            stand_in = ops.cast(self.missing, self._sum_dtype)
            x = ops.where(ops.expand_dims(present, -1), x, stand_in)
        return x

    def _sum_of_terms(self, inputs: ModalityInputs, terms: list[Tensor]) -> Tensor:
        """Return PE and other terms, without a batch axis where the samples agree."""
        if self.position is not None:
            vectors = position_term.encode(
                self.position, inputs, self.borders, self.counts_special
            )
            terms = [ops.cast(vectors, self._sum_dtype), *terms]
        # not ops.add: on TensorFlow it reads no tokens at all as a bias
        return functools.reduce(operator.add, terms)

    def _segment_vectors(self, inputs: ModalityInputs) -> Tensor | None:
        if self.segment is None:
            return None
        ids, rank = inputs.segment_ids, len(inputs.features.shape) - 2
        if ids is not None and rank > 1 and len(ids.shape) > 2:
            ids = ops.squeeze(flatten_grid(ops.expand_dims(ids, -1), rank), -1)
        return ops.cast(self.segment.encode(ids), self._sum_dtype)
