"""The layers and the learned vectors of one modality."""

import functools
import operator
import types

import keras
import numpy as np
from keras import ops

from keras_mmembed.common import checks, sublayer_state
from keras_mmembed.common.mask_layers import AttachMask, ReadMask
from keras_mmembed.common.sequences import count
from keras_mmembed.common.zero_gate import ZeroGate
from keras_mmembed.fusion import config as fusion_config
from keras_mmembed.fusion.segment import SegmentEmbedding
from keras_mmembed.fusion.tokens import (
    all_valid,
    concatenate,
    flatten_grid,
    flatten_tokens,
    pad,
    repeat,
    to_thw,
)
from keras_mmembed.positions import tables

WHO = "MultiModalFusion"


class ModalityBranch(keras.layers.Layer):
    """The layers and the learned vectors of one modality.

    `MultiModalFusion` owns one for each modality, and calls its methods: `read`
    makes features of raw inputs, `embed` makes `x + PE + M + S` of features.
    """

    def __init__(
        self,
        config,
        unified_dim,
        *,
        norm=None,
        has_stand_in=False,
        kernel_initializer,
        embeddings_initializer,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        # Keras would save the layers in a dict under the names of their classes
        self.config = types.MappingProxyType(config)
        self.unified_dim = unified_dim
        self.embeddings_initializer = embeddings_initializer
        clone, dtype = tables.clone_initializer, self.dtype_policy
        self.embedding = config.get("embedding")
        if "vocabulary_size" in config:
            self.embedding = keras.layers.Embedding(
                config["vocabulary_size"],
                config["dim"],
                embeddings_initializer=clone(embeddings_initializer),
                dtype=dtype,
                name="embedding",
            )
        if self.embedding is not None:
            self.read_mask = ReadMask(dtype=dtype)
            self.attach_mask = AttachMask(dtype=dtype)
        self.projection = None
        if config["dim"] != unified_dim:
            self.projection = keras.layers.Dense(
                unified_dim,
                kernel_initializer=clone(kernel_initializer),
                dtype=dtype,
                name="projection",
            )
        self.position = fusion_config.make_position(config, dtype)
        self.segment = None
        if "segments" in config:
            self.segment = SegmentEmbedding(
                config["segments"],
                embeddings_initializer=clone(embeddings_initializer),
                dtype=dtype,
                name="segment",
            )
        self.gate = ZeroGate(dtype=dtype, name="gate") if config.get("gate") else None
        self.norm = norm
        self.start = self.end = self.missing = None
        self._vectors = [
            *[name for name in ("start", "end") if config.get(f"{name}_token")],
            *(["missing"] if has_stand_in else []),
        ]

    def build(self, inputs_shape=None):
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
                initializer=tables.clone_initializer(self.embeddings_initializer),
                autocast=False,
            )
            setattr(self, name, weight)
        self.built = True

    def save_own_variables(self, store):
        sublayer_state.save_by_name(self, self._vectors, store)

    def load_own_variables(self, store):
        sublayer_state.load_by_name(self, self._vectors, store)

    @property
    def borders(self):
        """Whether there is a start token, and an end token."""
        return tuple(int(name in self._vectors) for name in ("start", "end"))

    @property
    def _sum_dtype(self):
        return keras.backend.result_type(self.compute_dtype, "float32")

    def features_shape(self, shape):
        """Return the shape of the features that `read` makes of inputs."""
        if self.embedding is None:
            return checks.known_shape(shape)
        return checks.known_shape(self.embedding.compute_output_shape(shape))

    def read(self, x, flag=None):
        """Return the features of inputs, and the mask that comes with them, if any.

        Args:
            x: The inputs, `(batch, ...)`.
            flag: Which samples have the modality, `(batch,)`, or `None` for all.
        """
        if self.embedding is None:
            return x, None
        if "vocabulary_size" in self.config:
            x = ops.clip(ops.cast(x, "int32"), 0, self.config["vocabulary_size"] - 1)
        elif flag is not None:
            x = self._blank(x, flag)
        features = self.embedding(x)
        return features, self.read_mask(features)

    def features_like(self, x):
        """Return something with the axes and the mask of the features of inputs."""
        if self.embedding is None:
            return x
        needs_mask = self.embedding.supports_masking and "into" in self.config
        if isinstance(self.embedding, keras.layers.Embedding) and not needs_mask:
            return ops.expand_dims(x, -1)
        shape = self.features_shape(x.shape)
        if not isinstance(x, keras.KerasTensor):
            is_known = None not in shape[:-1] and not needs_mask
            zeros = (*shape[:-1], 1)
            return ops.zeros(zeros, "int32") if is_known else self.embedding(x)
        # a functional model would save its embedding twice, and could not read it
        rule = "be features, or give features of a known size that are not placed"
        remedy = (
            "Make the features in front of the fusion, without the embedding in it."
        )
        is_known = None not in shape[1:-1] and not needs_mask
        argument = f"like[{self.name!r}].shape"
        checks.check(is_known, WHO, argument, rule, tuple(x.shape), remedy)
        first = ops.zeros_like(x[(slice(None), *[slice(0, 1)] * (len(x.shape) - 1))])
        first = ops.reshape(first, (-1,) + (1,) * (len(shape) - 1))
        zeros = np.zeros((1, *shape[1:-1], 1), "int32")
        return ops.add(ops.cast(first, "int32"), zeros)

    def embed(self, given, vector):
        """Return x + PE + M [+ S] of the tokens, start and end token included.

        Args:
            given: What the call gives of this modality, as `Given`.
            vector: The vector of the modality, `(unified_dim,)`.
        """
        features = self._project(given)
        vector = ops.cast(vector, self._sum_dtype)
        segment = self._segment_vectors(given)
        if self.config.get("count_special"):
            if segment is not None:
                features = features + segment
            features = self._surround(features, 0.0)
            total = features + self._offset(given, [vector])
        else:
            terms = [vector] if segment is None else [vector, segment]
            total = features + self._offset(given, terms)
            total = self._surround(total, vector)
        return total if self.norm is None else self.norm(total)

    def stand_in(self, vector, batch_of):
        """Return one learned token in place of a modality that is absent."""
        token = repeat(ops.add(self.missing, vector), batch_of, self._sum_dtype)
        return token if self.norm is None else self.norm(token)

    def valid(self, given):
        """Return which tokens are valid, start and end token included, as bool."""
        tokens = flatten_tokens(given.features)
        valid = all_valid(tokens) if given.mask is None else given.mask
        if given.flag is None:
            return pad(valid, self.borders, True, axis=1)
        flag = ops.expand_dims(given.flag, 1)
        if self.missing is not None:
            valid = ops.logical_or(valid, ops.logical_not(flag))
            return pad(valid, self.borders, True, axis=1)
        return ops.logical_and(pad(valid, self.borders, True, axis=1), flag)

    def token_positions(self, given):
        """Return where each token stands, `(..., length, 3)`, or `None` for nowhere."""
        if self.position is None:
            return None
        x, positions, mask = self._asked(given)
        place = self.position.token_positions(x, positions, mask=mask)
        if len(x.shape) > 3:
            place = flatten_grid(place, len(x.shape) - 2)
        place = to_thw(place, len(self.position.size_names))
        if self.config.get("count_special"):
            return place
        return pad(place, self.borders, 0.0, axis=-2)

    def _blank(self, x, flag):
        """Return raw inputs that are zero, and not NaN, where a sample has none."""
        mask = self.read_mask(x)
        flag = ops.reshape(flag, (-1,) + (1,) * (len(x.shape) - 1))
        x = ops.where(flag, x, ops.zeros_like(x))
        return x if mask is None else self.attach_mask([x, mask])

    def _project(self, given):
        tokens = flatten_tokens(given.features)
        flag = None if given.flag is None else ops.expand_dims(given.flag, 1)
        for known in (given.mask, flag):
            if known is not None:
                # before any arithmetic: not even a NaN in a pad gets further
                known = ops.expand_dims(known, -1)
                tokens = ops.where(known, tokens, ops.zeros_like(tokens))
        features = tokens if self.projection is None else self.projection(tokens)
        features = ops.cast(features, self._sum_dtype)
        if flag is not None and self.missing is not None:
            stand_in = ops.cast(self.missing, self._sum_dtype)
            features = ops.where(ops.expand_dims(flag, -1), features, stand_in)
        return features

    def _offset(self, given, terms):
        """Return PE and other terms, without a batch axis where the samples agree."""
        if self.position is not None:
            x, positions, mask = self._asked(given)
            vectors = self.position.encode(x, positions, mask=mask)
            rank = len(x.shape) - 2
            vectors = flatten_grid(vectors, rank) if rank > 1 else vectors
            terms = [ops.cast(vectors, self._sum_dtype), *terms]
        # not ops.add: on TensorFlow it reads no tokens at all as a bias
        return functools.reduce(operator.add, terms)

    def _segment_vectors(self, given):
        if self.segment is None:
            return None
        ids, rank = given.segment_ids, len(given.features.shape) - 2
        if ids is not None and rank > 1 and len(ids.shape) > 2:
            ids = ops.squeeze(flatten_grid(ops.expand_dims(ids, -1), rank), -1)
        return ops.cast(self.segment.encode(ids), self._sum_dtype)

    def _asked(self, given):
        """Return the tokens, positions and mask that the position layer works with."""
        x, positions, mask = given.features, given.positions, given.mask
        if mask is not None and len(x.shape) > 3:
            mask = ops.reshape(mask, ops.shape(x)[:-1])
        if not self.config.get("count_special"):
            return x, positions, mask
        padded = pad(x, self.borders, 0.0, axis=1)
        if mask is None:
            return padded, positions, None
        if positions is None and not self.position.skips_masked:
            # the end token follows the last valid token, not the padding after it
            place = ops.where(mask, ops.add(count(x, axis=1), 1), 0)
            last = ops.max(place, axis=1, keepdims=True) + self.borders[0]
            positions = ops.minimum(count(padded, axis=1), last)
        return padded, positions, pad(mask, self.borders, True, axis=1)

    def _surround(self, x, vector):
        """Put the start and end tokens, with `vector` added, around a sequence."""
        pieces = [
            None if row is None else repeat(ops.add(row, vector), x, x.dtype)
            for row in (self.start, self.end)
        ]
        pieces = [pieces[0], x, pieces[1]]
        return concatenate([piece for piece in pieces if piece is not None])
