"""What one modality does in a call: from raw inputs to the sum of its terms."""

import functools
import operator
from typing import Any

import keras
from keras import ops

from keras_mmembed.common.sequences import as_mask
from keras_mmembed.common.types import Shape, Tensor
from keras_mmembed.fusion import features, position_term
from keras_mmembed.fusion.arguments import CallArguments, ModalityInputs
from keras_mmembed.fusion.branch_layers import BranchLayers
from keras_mmembed.fusion.norm import normalize, normalize_inside
from keras_mmembed.fusion.special_tokens import end_rows, mask_rows, surround
from keras_mmembed.fusion.terms import check_width, encode_values, gated
from keras_mmembed.fusion.tokens import (
    all_valid,
    flatten_tokens,
    grid_mask,
    pad,
    repeat,
)
from keras_mmembed.positions.box import BoxEmbedding


class ModalityBranch(BranchLayers):
    """The way of one modality from raw inputs to embeddings.

    `MultiModalFusion` owns one for each modality and calls its methods in this order:
    `prepare` makes features of raw inputs, `padding_mask` and `embed` make the mask
    and the sum `x + PE + M + S` of the tokens, special tokens included. The arguments
    of the constructor are those of `BranchLayers`.
    """

    def features_shape(self, shape: Shape) -> Shape:
        """Return the shape of the features of inputs."""
        return features.features_shape(
            self.embedding, shape, self.config["dim"], self._has_vectors
        )

    def features_like(self, x: Tensor) -> Tensor:
        """Return a tensor with the axes and the mask of the features of inputs."""
        is_placed = "into" in self.config
        if is_placed and "padding_id" in self.config:
            return self.attach_mask([x, ops.not_equal(x, self.config["padding_id"])])
        like = features.features_like(
            self.embedding, x, self.name, self.config["dim"], is_placed
        )
        has_ids = isinstance(self.embedding, keras.layers.Embedding)
        return like if has_ids else features.as_tokens(like, self._has_vectors)

    def passes_mask(self, x: Tensor, mask: Tensor) -> bool:
        """Whether a mask is the Keras mask of raw inputs, which an embedding gets."""
        if not getattr(self.embedding, "supports_masking", False):
            return False
        if isinstance(self.embedding, BoxEmbedding):
            return False  # a box is a token
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
            x = features.embed(self.embedding, x, arguments.mask.get(name))
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
            arguments.terms.get(name) or {},
            arguments.masked.get(name),
        )

    def padding_mask(self, inputs: ModalityInputs) -> Tensor:
        """Return which tokens are valid, special tokens included, as bool."""
        mask = inputs.mask
        if mask is None:
            mask = all_valid(flatten_tokens(inputs.features))
        if self.row_token is not None:
            mask = mask_rows(mask, ops.shape(inputs.features)[1:-1])
        if inputs.present is None:
            return pad(mask, self.borders, True, axis=1)
        present = ops.expand_dims(inputs.present, 1)
        if self.missing is not None:
            mask = ops.logical_or(mask, ops.logical_not(present))
            return pad(mask, self.borders, True, axis=1)
        return ops.logical_and(pad(mask, self.borders, True, axis=1), present)

    def embed(self, inputs: ModalityInputs, vector: Tensor | None) -> Tensor:
        """Return x + PE + M [+ S, ...] of the tokens, special tokens included.

        Args:
            inputs: The features, and what the call says of them.
            vector: The vector of the modality, `(unified_dim,)`, or `None`.
        """
        vectors = [] if vector is None else [ops.cast(vector, self._sum_dtype)]
        early, late = ([], vectors) if self.place == "modality" else (vectors, [])
        x, terms = self._tokens(inputs), self._terms(inputs)
        start, end, row = self._special_tokens()
        norm = None if self.place == "features" else self.norm
        if self.counts_special:
            x = surround(_sum([x, *terms]), start, end, 0.0)
            total = _sum([x, _sum([*self._position_term(inputs, x), *early])])
            exempt = self.borders if self.exempts_special else (0, 0)
            total = normalize_inside(norm, total, exempt)
        else:
            # what all samples share is added up once
            shared = [*self._position_term(inputs, x), *early, *terms]
            total = _sum([x, _sum(shared)])
            total = normalize(norm, total) if self.exempts_special else total
            beside = early[0] if early else 0.0
            if row is not None:
                axes = ops.shape(inputs.features)[1:-1]
                total = end_rows(total, axes, ops.add(row, beside))
            total = surround(total, start, end, beside)
            total = total if self.exempts_special else normalize(norm, total)
        return _sum([total, *late])

    def stand_in(self, vector: Tensor | None, batch_of: Tensor) -> Tensor:
        """Return one learned token in place of a modality that is absent."""
        rows = [ops.convert_to_tensor(self.missing)]
        rows += [] if vector is None else [vector]
        norm = None if self.place == "features" else self.norm
        if self.place == "modality":
            token = repeat(rows[0], batch_of, self._sum_dtype)
            return _sum([normalize(norm, token), *rows[1:]])
        return normalize(norm, repeat(_sum(rows), batch_of, self._sum_dtype))

    def token_positions(self, inputs: ModalityInputs) -> Tensor | None:
        """Return the position of each token, `(..., length, 3)`, `None` for none."""
        if self.position is None:
            return None
        positions = position_term.token_positions(
            self.position, inputs, self.borders, self.counts_special
        )
        if self.row_token is not None:
            positions = end_rows(positions, ops.shape(inputs.features)[1:-1], 0.0)
        return (
            positions if self.counts_special else pad(positions, self.borders, 0.0, -2)
        )

    def modality_ids(self, inputs: ModalityInputs, number: int) -> Tensor:
        """Return the id of each token, -1 for special tokens, `(batch, length)`."""
        tokens = ops.zeros_like(flatten_tokens(inputs.features)[..., :1], "int32")
        ids = tokens + number
        if self.row_token is not None:
            ids = end_rows(ids, ops.shape(inputs.features)[1:-1], -1)
        return pad(ids[..., 0], self.borders, -1, axis=1)

    def _blank(self, x: Tensor, present: Tensor) -> Tensor:
        """Return raw inputs that are zero, and not NaN, where a sample has none."""
        mask = self.read_mask(x)
        present = ops.reshape(present, (-1,) + (1,) * (len(x.shape) - 1))
        x = ops.where(present, x, ops.zeros_like(x))
        return x if mask is None else self.attach_mask([x, mask])

    def _tokens(self, inputs: ModalityInputs) -> Tensor:
        """Return the projected features, with the tokens that replace some of them."""
        x, present = flatten_tokens(inputs.features), inputs.present
        present = None if present is None else ops.expand_dims(present, 1)
        for known in (inputs.mask, present):
            if known is not None:
                # before any arithmetic: not even a NaN in the padding gets further
                known = ops.expand_dims(known, -1)
                x = ops.where(known, x, ops.zeros_like(x))
        x = x if self.projection is None else self.projection(x)
        x = ops.cast(x, self._sum_dtype)
        if self.place == "features":
            x = normalize(self.norm, x)
        if inputs.masked is not None:
            marked = ops.reshape(ops.cast(inputs.masked, "bool"), ops.shape(x)[:-1])
            token = ops.cast(self.mask_token, self._sum_dtype)
            x = ops.where(ops.expand_dims(marked, -1), token, x)
        if present is not None and self.missing is not None:
            stand_in = ops.cast(self.missing, self._sum_dtype)
            x = ops.where(ops.expand_dims(present, -1), x, stand_in)
        return x

    def _special_tokens(self) -> list[Tensor | None]:
        """Return start, end and row token; they go through a norm of the features."""
        rows = (self.start, self.end, self.row_token)
        tokens = [None if row is None else ops.convert_to_tensor(row) for row in rows]
        if self.place == "features" and not self.exempts_special:
            tokens = [
                None if row is None else normalize(self.norm, row) for row in tokens
            ]
        positions = (self.start_position, self.end_position, None)
        return [
            token if row is None else ops.add(token, self._gated_position(row))
            for token, row in zip(tokens, positions, strict=True)
        ]

    def _position_term(self, inputs: ModalityInputs, x: Tensor) -> list[Tensor]:
        """Return the positional encoding of tokens `x`, or nothing."""
        if self.conv_position is not None:
            mask, present = inputs.mask, inputs.present
            if mask is not None and present is not None and self.missing is not None:
                # the tokens that stand in are valid
                mask = ops.logical_or(mask, ops.logical_not(present[:, None]))
            vectors = self.conv_position.encode(x, mask)
        elif self.position is not None and self.adds_position:
            vectors = position_term.encode(
                self.position, inputs, self.borders, self.counts_special
            )
        else:
            return []
        return [self._gated_position(vectors)]

    def _gated_position(self, vectors: Tensor) -> Tensor:
        gate, kind = getattr(self, "gate_position", None), self._gates.get("position")
        return gated(ops.cast(vectors, self._sum_dtype), gate, kind)

    def _terms(self, inputs: ModalityInputs) -> list[Tensor]:
        """Return what segments and further terms add to the tokens."""
        terms, x, valid = [], inputs.features, inputs.mask
        if inputs.present is not None:
            everywhere = all_valid(flatten_tokens(x)) if valid is None else valid
            present = ops.expand_dims(inputs.present, 1)
            valid = ops.logical_and(everywhere, present)
        if self.segment is not None:
            values = inputs.segment_ids
            terms.append(encode_values(self.segment, values, x, valid))
        for name, options in self.config.get("terms", {}).items():
            layer, values = options["layer"], inputs.terms.get(name)
            pooling = options.get("pooling")
            vectors = encode_values(layer, values, x, valid, name, pooling)
            if vectors is None:
                continue
            check_width(name, vectors, self.unified_dim)
            vectors = ops.cast(vectors, self._sum_dtype)
            vectors = normalize(getattr(self, f"norm_{name}", None), vectors)
            gate = getattr(self, f"gate_{name}", None)
            terms.append(gated(vectors, gate, options.get("gate")))
        terms = [ops.cast(vectors, self._sum_dtype) for vectors in terms]
        if inputs.present is not None and self.missing is not None:
            present = ops.reshape(inputs.present, (-1, 1, 1))
            terms = [ops.where(present, one, ops.zeros_like(one)) for one in terms]
        return terms


def _sum(terms: list[Any]) -> Any:
    """Return the sum of terms, of which an empty sum is one that adds nothing."""
    terms = [term for term in terms if term is not None]
    # not ops.add: on TensorFlow it reads no tokens at all as a bias
    return functools.reduce(operator.add, terms) if terms else None
