"""The layer that fuses modalities in one sequence of tokens."""

import keras
import numpy as np
from keras import initializers, ops

from keras_mmembed import (
    _checks,
    _fusion_checks,
    _fusion_config,
    _initializers,
    _tokens,
)
from keras_mmembed.modality import ModalityEmbedding
from keras_mmembed.segment import SegmentEmbedding
from keras_mmembed.split import AttachMask, ModalitySplit

NORMALIZATIONS = ("shared", "per_modality", "joint", "both", None)
WHO = "MultiModalFusion"


@keras.saving.register_keras_serializable(package="keras_mmembed")
class MultiModalFusion(keras.layers.Layer):
    """Fuses text, image, audio and video features in one sequence of tokens.

    Token `t` of modality `i`, after a projection to the common width, becomes

        E[i, t] = x[i, t] + PE_i[t] + M_i [+ S_j]

    the sum of its features, its position within the modality, the vector of the
    modality and, if configured, the vector of its segment; then

        outputs = concat over i of Dropout(LayerNorm(E[i]))

    Modalities are known by name: ids, weights and the order of concatenation follow
    the configuration, never the order of the inputs.

    Shapes:
        inputs: by name `(batch, length, dim)`; for grids `(batch, height, width, dim)`
            and `(batch, frames, height, width, dim)` too.
        segment_ids: by name, the axes of the tokens, integer.
        positions: by name, as for the position layer of the modality.
        present: by name `(batch,)`, bool.
        mask: by name, the axes of the tokens, of any dtype; or `(batch,)` lengths.
        outputs: `(batch, fused length, unified_dim)`, compute dtype. The fused length
            is that of all tokens, and of the class token and registers before them.

    Args:
        modality_configs: By name, a dict with `type`: `"1d"`, `"2d"`, `"3d"` or
            `"none"` for no positions; `dim`, the width of the features; the sizes
            `max_len`, or `height` and `width`, and `frames`; `position`:
            `"sinusoidal"`, `"learned"` or a position layer; `segments`, their number.
        unified_dim: The common width. Features of another width are projected.
        normalization: `"shared"` or `"joint"`, one norm for all tokens, before or
            after the concatenation, which is the same; `"per_modality"`, one for each
            modality; `"both"`, one for each modality and then one for all; `None`.
        norm_type: `"layer"`, or `"rms"` for norms that divide by the root mean square
            and neither center nor shift (T5, LLaMA).
        epsilon: Added to the variance, or the mean square, in a norm.
        dropout: Share of the outputs that training sets to zero.
        cls_token: Whether a learned class token comes first.
        num_registers: Number of learned register tokens after it.
        modality_dropout: Probability, or one by name, with which training takes a
            modality from a sample; one that is there always stays.
        missing: What a modality becomes that a sample lacks: `"mask"`, nothing, its
            tokens are masked; `"token"`, a learned vector in place of its features.
        return_dict: Whether to return `embeddings`, and with them `mask` (bool) and
            `modality_ids` (int32), both `(batch, fused length)`, and `positions`
            (float32) `(batch, fused length, 3)`: frame, row, column. A sequence
            counts along the first. Class and register tokens have the id -1.
        seed: Seed of both kinds of dropout.
        kernel_initializer: Initializer of the projections.
        embeddings_initializer: Initializer of learned vectors; normal, 0.02, by
            default.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens of each modality. A modality may be left out or
            `None`; it then has no tokens, or one with `missing="token"`.
        segment_ids: Segment of each token; segment 0 where they are left out.
        positions: Positions in place of 0, 1, 2, ...
        present: Which samples have the modality.
        mask: Which tokens are valid, in place of the masks that Keras hands on.
        inputs_mask: Filled in by Keras.
        training: Whether to drop anything.

    Masking: masks of the inputs and flags of presence are joined to one mask of the
    fused length, which the outputs carry. No mask means that all tokens are valid.
    What stands in masked tokens reaches no output, and gets no gradient.

    Precision: the terms and the norm are summed in float32 and rounded once.

    Raises:
        TypeError: if features are not float, ids not integer, or an argument no dict.
        ValueError: if the configuration is wrong, or the arguments of a call do not
            fit it or each other; the message names the modality and the shapes.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_mmembed import MultiModalFusion
    >>> fusion = MultiModalFusion({
    ...     "text": {"type": "1d", "max_len": 512, "dim": 768},
    ...     "image": {"type": "2d", "height": 14, "width": 14, "dim": 512},
    ... }, unified_dim=512)
    >>> text, image = np.ones((4, 50, 768)), np.ones((4, 196, 512))
    >>> outputs = fusion({"text": text, "image": image})
    >>> tuple(outputs.shape)
    (4, 246, 512)

    The order of the inputs does not matter, and a split undoes the fusion:

    >>> same = fusion({"image": image, "text": text})
    >>> bool(keras.ops.all(outputs == same))
    True
    >>> parts = fusion.split(outputs, like={"text": text, "image": image})
    >>> tuple(parts["image"].shape)
    (4, 196, 512)

    References:
        W. Kim et al., "ViLT", 2021, section 3.1, https://arxiv.org/abs/2102.03334.
        Unlike there, every modality is normalised, and none depends on its place
        among the inputs.
    """

    def __init__(
        self,
        modality_configs,
        unified_dim=512,
        *,
        normalization="shared",
        norm_type="layer",
        epsilon=1e-6,
        dropout=0.1,
        cls_token=False,
        num_registers=0,
        modality_dropout=0.0,
        missing="mask",
        return_dict=False,
        seed=None,
        kernel_initializer="glorot_uniform",
        embeddings_initializer=None,
        **kwargs,
    ):
        # sublayers cast for themselves; the sum of the terms is taken in float32
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.modality_configs = _fusion_config.check_configs(WHO, modality_configs)
        self.modalities = tuple(self.modality_configs)
        self.unified_dim = _checks.check_integer(WHO, "unified_dim", unified_dim)
        self.normalization = _checks.check_choice(
            WHO, "normalization", normalization, NORMALIZATIONS
        )
        self.norm_type = _checks.check_choice(
            WHO, "norm_type", norm_type, ("layer", "rms")
        )
        self.epsilon = _checks.check_number(WHO, "epsilon", epsilon, 0)
        self.dropout = _checks.check_number(WHO, "dropout", dropout, 0, 1, True)
        self.cls_token = bool(cls_token)
        self.num_registers = _checks.check_integer(
            WHO, "num_registers", num_registers, minimum=0
        )
        self.modality_dropout = modality_dropout
        self._drop_rates = _fusion_checks.check_rates(modality_dropout, self.modalities)
        self.missing = _checks.check_choice(WHO, "missing", missing, ("mask", "token"))
        self.return_dict = bool(return_dict)
        self.seed = seed
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.embeddings_initializer = _initializers.default_initializer(
            embeddings_initializer
        )
        self._make_sublayers()

    def _make_sublayers(self):
        dtype = self.dtype_policy
        initializer = self.embeddings_initializer
        self.modality = ModalityEmbedding(
            self.modalities,
            embeddings_initializer=_initializers.clone_initializer(initializer),
            dtype=dtype,
            name="modality",
        )
        # one attribute per modality: a dict of layers would be saved by its order
        for name, config in self.modality_configs.items():
            if config["dim"] != self.unified_dim:
                projection = keras.layers.Dense(
                    self.unified_dim,
                    kernel_initializer=_initializers.clone_initializer(
                        self.kernel_initializer
                    ),
                    dtype=dtype,
                    name=f"projection_{name}",
                )
                setattr(self, f"projection_{name}", projection)
            position = _fusion_config.make_position(config, f"position_{name}", dtype)
            if position is not None:
                setattr(self, f"position_{name}", position)
            if "segments" in config:
                segment = SegmentEmbedding(
                    config["segments"],
                    embeddings_initializer=_initializers.clone_initializer(initializer),
                    dtype=dtype,
                    name=f"segment_{name}",
                )
                setattr(self, f"segment_{name}", segment)
            if self.normalization in ("per_modality", "both"):
                setattr(self, f"norm_{name}", self._make_norm(f"norm_{name}"))
        if self.normalization == "per_modality" and self._num_special:
            self.norm_special = self._make_norm("norm_special")
        if self.normalization in ("shared", "joint", "both"):
            self.norm = self._make_norm("norm")
        self.attach_mask = AttachMask(dtype=dtype)
        self.drop = keras.layers.Dropout(self.dropout, seed=self.seed, dtype=dtype)
        if any(self._drop_rates):
            self.seed_generator = keras.random.SeedGenerator(self.seed)

    def _make_norm(self, name):
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        norm_class = {
            "layer": keras.layers.LayerNormalization,
            "rms": keras.layers.RMSNormalization,
        }[self.norm_type]
        return norm_class(epsilon=self.epsilon, dtype=dtype, name=name)

    def build(self, inputs_shape, **other_shapes):
        inputs_shape = _fusion_checks.plain(inputs_shape)
        _fusion_checks.check_shapes(self, inputs_shape)
        fused_shape = (None, None, self.unified_dim)
        for name, config in self.modality_configs.items():
            parts = {
                "projection": (None, None, config["dim"]),
                "position": fused_shape,
                "segment": fused_shape,
                "norm": fused_shape,
            }
            for part, shape in parts.items():
                sublayer = getattr(self, f"{part}_{name}", None)
                if sublayer is not None and not sublayer.built:
                    sublayer.build(shape)
            if self.missing == "token":
                self._add_vectors(f"missing_{name}", (self.unified_dim,))
        if self.cls_token:
            self._add_vectors("cls_embedding", (1, self.unified_dim))
        if self.num_registers:
            shape = (self.num_registers, self.unified_dim)
            self._add_vectors("register_embeddings", shape)
        for part in ("norm", "norm_special", "modality", "drop"):
            sublayer = getattr(self, part, None)
            if sublayer is not None:
                sublayer.build(fused_shape)
        self.built = True

    def _add_vectors(self, name, shape):
        weight = self.add_weight(
            name=name,
            shape=shape,
            initializer=_initializers.clone_initializer(self.embeddings_initializer),
            autocast=False,
        )
        setattr(self, name, weight)

    def call(
        self,
        inputs,
        segment_ids=None,
        positions=None,
        present=None,
        mask=None,
        inputs_mask=None,
        training=None,
    ):
        given = _fusion_checks.gather(
            segment_ids, positions, present, mask, inputs_mask
        )
        _fusion_checks.check_call(self, inputs, given)
        inputs = self._by_configuration(inputs)
        flags = self._draw_flags(inputs, given["present"], training)
        masks = self._masks(inputs, given["mask"], flags)
        parts = [
            self._special_tokens(part_mask)
            if name is None
            else self._stand_in(name, part_mask)
            if name not in inputs
            else self._embed(name, inputs[name], given, flags.get(name))
            for name, part_mask in masks
        ]
        fused = _concatenate(parts)
        norm = getattr(self, "norm", None)
        fused = fused if norm is None else norm(fused)
        fused = self.drop(ops.cast(fused, self.compute_dtype), training=training)
        fused_mask = _concatenate([part_mask for _, part_mask in masks])
        # only here are presence flags and dropped modalities known
        fused = self.attach_mask([fused, fused_mask])
        if not self.return_dict:
            return fused
        metadata = self._metadata(inputs, given["positions"], masks)
        return {"embeddings": fused, "mask": fused_mask, **metadata}

    def split(self, tensor, like, grids=False):
        """Cut a tensor of the fused length back in its modalities.

        Args:
            tensor: `(batch, fused length, ...)`, such as the output of an encoder.
            like: The inputs of the fusion; their shapes give the lengths.
            grids: Whether images and videos that came as grids go back to grids.

        Returns:
            A dict by name of `(batch, length, ...)`, or `(batch, height, width, ...)`
            and the like with `grids`, for each modality of `like`.
        """
        splitter = ModalitySplit(
            self.modalities,
            self._num_special,
            counts_absent=self.missing == "token",
            grids=grids,
        )
        return splitter([tensor, self._by_configuration(like)])

    def compute_mask(self, inputs, previous_mask=None):
        inputs = self._by_configuration(inputs)
        if any(isinstance(x, keras.KerasTensor) for x in inputs.values()):
            shape = (next(iter(inputs.values())).shape[0], self._fused_length(inputs))
            mask = keras.KerasTensor(shape, dtype="bool")
        else:
            masks = _fusion_checks.merge_masks(previous_mask, None)
            parts = self._masks(inputs, masks, flags={})
            mask = _concatenate([part_mask for _, part_mask in parts])
        if not self.return_dict:
            return mask
        others = ("mask", "modality_ids", "positions")
        return {"embeddings": mask, **dict.fromkeys(others)}

    def compute_output_shape(self, inputs_shape, **other_shapes):
        shapes = _fusion_checks.plain(inputs_shape)
        _fusion_checks.check_shapes(self, shapes)
        specs = {name: keras.KerasTensor(shape) for name, shape in shapes.items()}
        _fusion_checks.check_lengths(self, specs, {})
        batch = next(iter(shapes.values()))[0]
        place = (batch, self._fused_length(specs))
        if not self.return_dict:
            return (*place, self.unified_dim)
        return {
            "embeddings": (*place, self.unified_dim),
            "mask": place,
            "modality_ids": place,
            "positions": (*place, 3),
        }

    def compute_output_spec(
        self,
        inputs,
        segment_ids=None,
        positions=None,
        present=None,
        mask=None,
        inputs_mask=None,
        training=None,
    ):
        given = _fusion_checks.gather(
            segment_ids, positions, present, mask, inputs_mask
        )
        _fusion_checks.check_call(self, inputs, given)
        inputs = self._by_configuration(inputs)
        _fusion_checks.check_lengths(self, inputs, given["positions"])
        place = (next(iter(inputs.values())).shape[0], self._fused_length(inputs))
        fused = keras.KerasTensor((*place, self.unified_dim), dtype=self.compute_dtype)
        if not self.return_dict:
            return fused
        return {
            "embeddings": fused,
            "mask": keras.KerasTensor(place, dtype="bool"),
            "modality_ids": keras.KerasTensor(place, dtype="int32"),
            "positions": keras.KerasTensor((*place, 3), dtype="float32"),
        }

    def get_config(self):
        names = (
            "unified_dim",
            "normalization",
            "norm_type",
            "epsilon",
            "dropout",
            "cls_token",
            "num_registers",
            "modality_dropout",
            "missing",
            "return_dict",
            "seed",
        )
        configs = _fusion_config.serialize_configs(self.modality_configs)
        return {
            **super().get_config(),
            "modality_configs": configs,
            **{name: getattr(self, name) for name in names},
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "embeddings_initializer": initializers.serialize(
                self.embeddings_initializer
            ),
        }

    @property
    def _num_special(self):
        return int(self.cls_token) + self.num_registers

    @property
    def _sum_dtype(self):
        return keras.backend.result_type(self.compute_dtype, "float32")

    def _by_configuration(self, inputs):
        """Return what is given of the inputs, in the order of the configuration."""
        given = {name: inputs.get(name) for name in self.modalities}
        return {name: x for name, x in given.items() if x is not None}

    def _fused_length(self, inputs):
        lengths = [_tokens.token_count(x.shape) for x in inputs.values()]
        if any(length is None for length in lengths):
            return None
        stand_ins = len(self.modalities) - len(inputs)
        return (
            self._num_special
            + sum(lengths)
            + (stand_ins if self.missing == "token" else 0)
        )

    def _masks(self, inputs, masks, flags):
        """Return a list of (name, mask) of the parts; special tokens have no name."""
        parts = []
        any_input = _tokens.flatten_tokens(next(iter(inputs.values())))
        if self._num_special:
            parts.append((None, _tokens.valid_tokens(any_input, self._num_special)))
        for name in self.modalities:
            if name not in inputs:
                if self.missing == "token":
                    parts.append((name, _tokens.valid_tokens(any_input, 1)))
                continue
            tokens = _tokens.flatten_tokens(inputs[name])
            mask, flag = masks.get(name), flags.get(name)
            valid = (
                _tokens.all_valid(tokens)
                if mask is None
                else _tokens.as_mask(mask, tokens)
            )
            if flag is not None:
                flag = ops.expand_dims(flag, 1)
                valid = (
                    ops.logical_and(valid, flag)
                    if self.missing == "mask"
                    else ops.logical_or(valid, ops.logical_not(flag))
                )
            parts.append((name, valid))
        return parts

    def _embed(self, name, x, given, flag):
        """Return x + PE + M [+ S] of one modality, `(batch, length, unified_dim)`."""
        tokens = _tokens.flatten_tokens(x)
        mask = given["mask"].get(name)
        mask = None if mask is None else _tokens.as_mask(mask, tokens)
        flag = None if flag is None else ops.expand_dims(flag, 1)
        for known in (mask, flag):
            if known is not None:
                # before any arithmetic: not even a NaN in a pad gets further
                known = ops.expand_dims(known, -1)
                tokens = ops.where(known, tokens, ops.zeros_like(tokens))
        projection = getattr(self, f"projection_{name}", None)
        features = tokens if projection is None else projection(tokens)
        features = ops.cast(features, self._sum_dtype)
        if flag is not None and self.missing == "token":
            stand_in = ops.cast(getattr(self, f"missing_{name}"), self._sum_dtype)
            features = ops.where(ops.expand_dims(flag, -1), features, stand_in)
        offset = self._offset(name, x, mask, given)
        total = ops.add(features, ops.cast(offset, self._sum_dtype))
        norm = getattr(self, f"norm_{name}", None)
        return total if norm is None else norm(total)

    def _offset(self, name, x, mask, given):
        """Return PE + M [+ S], without a batch axis wherever the samples agree."""
        offset = ops.cast(self.modality.encode(name), self._sum_dtype)
        position = getattr(self, f"position_{name}", None)
        rank = len(x.shape) - 2
        if position is not None:
            if mask is not None and rank > 1:
                mask = ops.reshape(mask, ops.shape(x)[:-1])
            with _fusion_checks.naming(name):
                vectors = position.encode(x, given["positions"].get(name), mask=mask)
            vectors = _tokens.flatten_grid(vectors, rank) if rank > 1 else vectors
            offset = ops.add(ops.cast(vectors, self._sum_dtype), offset)
        segment = getattr(self, f"segment_{name}", None)
        if segment is not None:
            ids = given["segment_ids"].get(name)
            if ids is not None and rank > 1 and len(ids.shape) > 2:
                ids = ops.squeeze(
                    _tokens.flatten_grid(ops.expand_dims(ids, -1), rank), -1
                )
            with _fusion_checks.naming(name):
                vectors = segment.encode(ids)
            offset = ops.add(offset, ops.cast(vectors, self._sum_dtype))
        return offset

    def _stand_in(self, name, mask):
        """Return one learned token in place of a modality that is absent."""
        vector = ops.add(getattr(self, f"missing_{name}"), self.modality.encode(name))
        token = self._repeat(ops.expand_dims(vector, 0), mask)
        norm = getattr(self, f"norm_{name}", None)
        return token if norm is None else norm(token)

    def _special_tokens(self, mask):
        names = ("cls_embedding", "register_embeddings")
        rows = [getattr(self, name) for name in names if hasattr(self, name)]
        tokens = self._repeat(
            _concatenate([ops.convert_to_tensor(r) for r in rows], 0), mask
        )
        norm = getattr(self, "norm_special", None)
        return tokens if norm is None else norm(tokens)

    def _repeat(self, rows, mask):
        """Repeat `(tokens, width)` for every sample of a mask `(batch, tokens)`."""
        zeros = ops.zeros_like(ops.expand_dims(mask, -1), dtype=self._sum_dtype)
        return ops.add(zeros, ops.cast(rows, self._sum_dtype))

    def _draw_flags(self, inputs, present, training):
        """Return which samples have each modality, where that is not all of them."""
        flags = {
            name: ops.cast(flag, "bool")
            for name, flag in present.items()
            if flag is not None
        }
        if not training or not any(self._drop_rates):
            return flags
        batch = ops.shape(next(iter(inputs.values())))[0]
        everywhere = ops.ones((batch,), dtype="bool")
        present = ops.stack([flags.get(n, everywhere) for n in inputs], axis=1)
        rates = [self._drop_rates[self.modalities.index(name)] for name in inputs]
        present = _tokens.draw_present(present, rates, self.seed_generator)
        return {name: present[:, index] for index, name in enumerate(inputs)}

    def _metadata(self, inputs, positions, parts):
        """Return the modality id and the (t, h, w) position of every token."""
        ids, places = [], []
        for name, part_mask in parts:
            index = self.modalities.index(name) if name else -1
            ids.append(ops.full_like(part_mask, index, dtype="int32"))
            place = np.zeros((1, 1, 3), "float32")
            position = getattr(self, f"position_{name}", None)
            x = inputs.get(name)
            if x is not None and position is not None:
                place = position.token_positions(x, positions.get(name))
                if len(x.shape) > 3:
                    place = _tokens.flatten_grid(place, len(x.shape) - 2)
                place = _tokens.to_thw(place, len(position.size_names))
            zeros = ops.zeros_like(ops.expand_dims(part_mask, -1), dtype="float32")
            # not ops.add: on TensorFlow it reads three places as a bias of 3 tokens
            places.append(zeros + ops.convert_to_tensor(place, dtype="float32"))
        return {
            "modality_ids": _concatenate(ids),
            "positions": _concatenate(places),
        }


def _concatenate(parts, axis=1):
    return ops.concatenate(parts, axis=axis) if len(parts) > 1 else parts[0]
