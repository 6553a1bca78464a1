"""The layer that fuses modalities in one sequence of tokens."""

import keras
from keras import initializers

from keras_mmembed.common import checks, sublayer_state
from keras_mmembed.common.mask_layers import AttachMask
from keras_mmembed.fusion import call_inputs, split
from keras_mmembed.fusion import checks as fusion_checks
from keras_mmembed.fusion import config as fusion_config
from keras_mmembed.fusion.branch import ModalityBranch
from keras_mmembed.fusion.fuse import by_configuration, fuse, output_spec
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.modality import ModalityEmbedding
from keras_mmembed.fusion.norm import TokenNorm
from keras_mmembed.positions import tables

NORMALIZATIONS = ("shared", "per_modality", "joint", "both", None)
VECTORS = {"cls_token": "cls_embedding", "num_registers": "register_embeddings"}
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
            and `(batch, frames, height, width, dim)` too; what `embedding` takes.
        segment_ids: by name, the axes of the tokens, integer.
        positions: by name, as for the position layer of the modality; those of start
            and end token too, with `count_special`.
        present: by name `(batch,)`, bool.
        placeholders: by name `(batch, length of the other modality)`, bool.
        mask: by name, the axes of the tokens, of any dtype; or `(batch,)` lengths.
        outputs: `(batch, fused length, unified_dim)`, compute dtype. The fused length
            is that of all tokens, and of class, register, start and end tokens.

    Keys of a modality:
        type: `"1d"`, `"2d"`, `"3d"`, or `"none"` for no positions.
        dim: The width of the features. Another than `unified_dim` is projected.
        max_len, or height and width, and frames: The sizes, as for the position layer.
        position: `"sinusoidal"`, `"learned"` or a position layer.
        segments: The number of segments, if there are any.
        vocabulary_size: The inputs are integer ids, `(batch, length)`, and embedded.
        embedding: A layer that makes features of raw inputs, such as
            `PatchEmbedding`, or `keras.layers.Embedding` with a mask. It is given the
            mask of its inputs; its own is that of the tokens.
        into: The name of another modality, at whose `placeholders` the tokens are
            placed in their order, instead of being concatenated. A place that is left
            over is masked, a token that is left over goes nowhere; where both numbers
            are known, that they differ is an error.
        gate: Whether a modality that is placed comes in through a `ZeroGate`: at first
            the other modality keeps its own tokens at the places.
        start_token, end_token: Whether a learned token comes before, or after.
        count_special: Whether they have positions too; of a sequence only. The start
            token then stands at 0, and the end token behind the last valid one.
        instance_of: The name of a modality of which this is another instance, such as
            a second image. It shares all layers and vectors, and has one vector more.

    Args:
        modality_configs: By name, a dict with the keys above.
        unified_dim: The common width.
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
            modality from a sample; one that is there always stays, and so does one
            that others are placed into.
        missing: What a modality becomes that a sample lacks: `"mask"`, nothing, its
            tokens are masked; `"token"`, a learned vector in place of its features.
        return_dict: Whether to return `embeddings`, and with them `mask` (bool) and
            `modality_ids` (int32), both `(batch, fused length)`, and `positions`
            (float32) `(batch, fused length, 3)`: frame, row, column. A sequence
            counts along the first. Class, register, start and end tokens have the id
            -1; one that stands in has that of its modality.
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
        placeholders: Where in another modality the tokens of a placed one go.
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
    >>> from keras_mmembed import (MultiModalFusion)
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
        self.modality_configs = fusion_config.check_configs(WHO, modality_configs)
        self.modalities = tuple(self.modality_configs)
        self.unified_dim = checks.check_integer(WHO, "unified_dim", unified_dim)
        self.normalization = checks.check_choice(
            WHO, "normalization", normalization, NORMALIZATIONS
        )
        self.norm_type = checks.check_choice(
            WHO, "norm_type", norm_type, ("layer", "rms")
        )
        self.epsilon = checks.check_number(WHO, "epsilon", epsilon, 0)
        self.dropout = checks.check_number(WHO, "dropout", dropout, 0, 1, True)
        self.cls_token = bool(cls_token)
        self.num_registers = checks.check_integer(
            WHO, "num_registers", num_registers, minimum=0
        )
        self.modality_dropout = modality_dropout
        self.drop_rates = fusion_checks.check_rates(
            modality_dropout, self.modality_configs
        )
        self.missing = checks.check_choice(WHO, "missing", missing, ("mask", "token"))
        self.return_dict = bool(return_dict)
        self.seed = seed
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.embeddings_initializer = tables.default_initializer(embeddings_initializer)
        self._make_sublayers()

    def _make_sublayers(self):
        dtype, clone = self.dtype_policy, tables.clone_initializer
        self.modality = ModalityEmbedding(
            self.modalities,
            embeddings_initializer=clone(self.embeddings_initializer),
            dtype=dtype,
            name="modality",
        )
        has_norms = self.normalization in ("per_modality", "both")
        for name, config in self.modality_configs.items():
            if "instance_of" in config:
                continue
            branch = ModalityBranch(
                config,
                self.unified_dim,
                norm=self._make_norm("norm") if has_norms else None,
                has_stand_in=self.missing == "token",
                kernel_initializer=self.kernel_initializer,
                embeddings_initializer=self.embeddings_initializer,
                dtype=dtype,
                name=name,
            )
            # an attribute each: a dict of layers would be saved by its order
            setattr(self, f"branch_{name}", branch)
        num_special = int(self.cls_token) + self.num_registers
        if self.normalization == "per_modality" and num_special:
            self.norm_special = self._make_norm("norm_special")
        if self.normalization in ("shared", "joint", "both"):
            self.norm = self._make_norm("norm")
        self.attach_mask = AttachMask(dtype=dtype)
        self.drop = keras.layers.Dropout(self.dropout, seed=self.seed, dtype=dtype)
        if any(self.drop_rates):
            self.seed_generator = keras.random.SeedGenerator(self.seed)
        configs = {n: self.branch(n).config for n in self.modalities}
        self.layout = Layout(
            self.modalities,
            num_special,
            self.missing == "token",
            {
                name: config["into"]
                for name, config in configs.items()
                if "into" in config
            },
            {name: self.branch(name).borders for name in self.modalities},
        )

    def branch(self, name):
        """Return the sublayer that holds the layers and vectors of a modality."""
        checks.check_choice(WHO, "name", name, self.modalities)
        owner = fusion_config.owner_of(self.modality_configs, name)
        return getattr(self, f"branch_{owner}")

    def _make_norm(self, name):
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        options = {"epsilon": self.epsilon, "dtype": dtype, "name": name}
        if self.norm_type == "rms":
            return keras.layers.RMSNormalization(**options)
        return TokenNorm(has_dropout=self.dropout > 0, **options)

    def build(self, inputs_shape, **other_shapes):
        fusion_checks.features_shapes(self, inputs_shape)
        shapes = {}
        for name in self.modalities:
            owner = fusion_config.owner_of(self.modality_configs, name)
            shapes[owner] = shapes.get(owner) or inputs_shape.get(name)
        for name, shape in shapes.items():
            if not self.branch(name).built:
                self.branch(name).build(shape)
        fused_shape = (None, None, self.unified_dim)
        for part in ("norm", "norm_special", "modality", "drop"):
            sublayer = getattr(self, part, None)
            if sublayer is not None:
                sublayer.build(fused_shape)
        for argument, name in VECTORS.items():
            if getattr(self, argument):
                weight = self.add_weight(
                    name=name,
                    shape=(int(getattr(self, argument)), self.unified_dim),
                    initializer=tables.clone_initializer(self.embeddings_initializer),
                    autocast=False,
                )
                setattr(self, name, weight)
        self.built = True

    def call(
        self,
        inputs,
        segment_ids=None,
        positions=None,
        present=None,
        placeholders=None,
        mask=None,
        inputs_mask=None,
        training=None,
    ):
        extras = (segment_ids, positions, present, placeholders)
        arguments = call_inputs.gather(self, inputs, extras, (mask, inputs_mask))
        fused = fuse(self, inputs, arguments, training)
        # only in the call are presence flags and dropped modalities known
        embeddings = self.attach_mask([fused["embeddings"], fused["mask"]])
        return {**fused, "embeddings": embeddings} if self.return_dict else embeddings

    def split(self, tensor, like, grids=False, modality_ids=None, mask=None):
        """Cut a tensor of the fused length back in its modalities.

        Args:
            tensor: `(batch, fused length, ...)`, such as the output of an encoder.
            like: The inputs of the fusion; their shapes give the lengths. Raw inputs
                of an `embedding` must have a known size in a functional model.
            grids: Whether images and videos that came as grids go back to grids.
            modality_ids: The ids that the fusion returned; needed where modalities
                are placed into others, because only they tell the places.
            mask: The masks that the fusion was given for placed modalities.

        Returns:
            A dict by name of `(batch, length, ...)`, or `(batch, height, width, ...)`
            and the like with `grids`, for each modality of `like`. What belongs to a
            placed token stands in its host's slice and in its own; a token that found
            no place gets zeros.
        """
        like = self._like(like)
        return split.split(
            self.layout,
            tensor,
            like,
            grids=grids,
            modality_ids=modality_ids,
            mask=mask,
        )

    def split_spec(self, tensor, shapes):
        """Return the symbolic outputs of `split` for a symbolic tensor.

        Args:
            tensor: A `KerasTensor`.
            shapes: By name, the shapes of the inputs of the fusion.
        """
        like = {
            name: keras.KerasTensor(self.branch(name).features_shape(shape))
            for name, shape in by_configuration(self, shapes).items()
        }
        splitter = split.ModalitySplit(self.layout)
        return splitter.compute_output_spec({"tensor": tensor, "like": like})

    def split_attention(self, scores, like, modality_ids=None, mask=None):
        """Cut attention scores into blocks, one for each pair of modalities.

        Args:
            scores: `(batch, heads, fused length, fused length)`, as
                `MultiHeadAttention` returns them with `return_attention_scores`.
            like: The inputs of the fusion.
            modality_ids: As for `split`.
            mask: As for `split`.

        Returns:
            `blocks[query][key]` of `(batch, heads, query length, key length)`, by the
            names of the modalities of the queries and keys.
        """
        like = self._like(like)
        return split.split_attention(
            self.layout, scores, like, modality_ids=modality_ids, mask=mask
        )

    def compute_mask(self, inputs, previous_mask=None):
        return None  # attached by the call

    def compute_output_shape(self, inputs_shape, **other_shapes):
        spec = output_spec(self, inputs_shape, {})
        return keras.tree.map_structure(lambda tensor: tensor.shape, spec)

    def compute_output_spec(
        self,
        inputs,
        segment_ids=None,
        positions=None,
        present=None,
        placeholders=None,
        mask=None,
        inputs_mask=None,
        training=None,
    ):
        extras = (segment_ids, positions, present, placeholders)
        arguments = call_inputs.gather(self, inputs, extras, (mask, inputs_mask))
        fusion_checks.check_call(self, inputs, arguments)
        return output_spec(self, _shapes(inputs), arguments["positions"])

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
        configs = fusion_config.serialize_configs(self.modality_configs)
        return {
            **super().get_config(),
            "modality_configs": configs,
            **{name: getattr(self, name) for name in names},
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "embeddings_initializer": initializers.serialize(
                self.embeddings_initializer
            ),
        }

    def get_build_config(self):
        changes = sublayer_state.changes_of(self)
        return {"build": super().get_build_config(), "changes": changes}

    def build_from_config(self, config):
        super().build_from_config(config["build"])
        sublayer_state.repeat_changes(self, config["changes"])

    def save_own_variables(self, store):
        sublayer_state.save_by_name(self, self.special_vectors, store)

    def load_own_variables(self, store):
        sublayer_state.load_by_name(self, self.special_vectors, store)

    @property
    def special_vectors(self):
        """The attributes that hold class and register tokens."""
        return [name for key, name in VECTORS.items() if getattr(self, key)]

    def _like(self, inputs):
        """Return tensors with the axes of the features of inputs, for a split."""
        fusion_checks.check_inputs(inputs, "like")
        fusion_checks.check_keys("like", inputs, self.modalities)
        given = by_configuration(self, inputs)
        return {name: self.branch(name).features_like(x) for name, x in given.items()}


def _shapes(inputs):
    return {name: None if x is None else x.shape for name, x in inputs.items()}
