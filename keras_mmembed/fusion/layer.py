"""The layer that fuses modalities in one sequence of tokens."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack, get_args

import keras

from keras_mmembed.common import checks, sublayer_state
from keras_mmembed.common.calls import clear_calls
from keras_mmembed.common.describe import describe
from keras_mmembed.common.mask_layers import AttachMask
from keras_mmembed.common.sublayer_state import KeepsSublayers
from keras_mmembed.common.tensors import float32_or_better
from keras_mmembed.common.types import (
    Config,
    Initializer,
    LayerArguments,
    Shape,
    Tensor,
)
from keras_mmembed.fusion import checks as fusion_checks
from keras_mmembed.fusion import config as fusion_config
from keras_mmembed.fusion.arguments import (
    ByModality,
    CallArguments,
    FusionCall,
    collect,
)
from keras_mmembed.fusion.branch import ModalityBranch
from keras_mmembed.fusion.config import ModalityConfig
from keras_mmembed.fusion.config_checks import check_configs
from keras_mmembed.fusion.fuse import FusionParts, fuse
from keras_mmembed.fusion.layout import Layout
from keras_mmembed.fusion.modality import ModalityEmbedding
from keras_mmembed.fusion.norm import make_norm
from keras_mmembed.fusion.output_spec import ordered, output_spec
from keras_mmembed.fusion.split import SplitsTokens
from keras_mmembed.fusion.standardize import CallByModality
from keras_mmembed.fusion.sublayers import (
    make_branches,
    make_layout,
    make_modality_embedding,
)
from keras_mmembed.positions.tables import clone_initializer, default_initializer

WHO = "MultiModalFusion"


@keras.saving.register_keras_serializable(package="keras_mmembed")
@clear_calls
class MultiModalFusion(
    KeepsSublayers, CallByModality, SplitsTokens, keras.layers.Layer
):
    """Fuses text, image, audio and video features in one sequence of tokens.

    Token `t` of modality `i`, after a projection to the common width, becomes

        E[i, t] = x[i, t] + PE_i[t] + M_i [+ S_j + ...]

    the sum of its features, its position within the modality, the vector of the
    modality and, if configured, the vector of its segment and further terms; then

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
        grids: by name, an integer for each axis, `(axes,)`, `(batch, axes)` or, for
            several images or clips of a sample, `(batch, items, axes)`.
        start_index: by name, an integer or `(batch,)`, integer.
        terms: by name, a dict by term, `(batch, ...)` of the axes of the tokens, then
            those of a value: none for ids, one for boxes; with `pooling` another before
            these. `(batch, 1, ...)` is one value of a sample, `(1, length, ...)` are
            those of every sample. Without `pooling`, layers of this package take
            `(length, ...)` too.
        masked: by name, the axes of the tokens, bool.
        outputs: `(batch, fused length, unified_dim)`, compute dtype. The fused length
            is that of all tokens, and of class, register, start and end tokens.

    Keys of a modality:
        type: `"1d"`, `"2d"`, `"3d"`, or `"none"` for no positions.
        dim: The width of the features. Another than `unified_dim` is projected.
        max_len, or height and width, and frames: The sizes, as for the position layer.
        position: `"sinusoidal"`, `"learned"` or a position layer, of a sequence also
            a `ConvPositionEmbedding`; `None` adds nothing, but the tokens keep their
            positions in the metadata. A dict with the keys `layer` and `gate` scales
            it, as for `terms`.
        modality: `False` for a modality without a modality vector.
        projection: `True` for a projection though the widths are equal, `False` for
            none, or a dict of arguments of `keras.layers.Dense`, such as `use_bias`.
        normalization: The norm of this modality alone, in place of the one that the
            constructor asks for, or `None` for no norm. A dict of `type` and `epsilon`,
            as for the constructor; `place`, `"sum"` (default), `"features"`, before
            the other terms are added, or `"modality"`, before M is added; `special`,
            `False` to leave out the special tokens of the modality.
        segments: The number of segments, if there are any.
        terms: A dict by name of further terms of the sum: layers with a method
            `encode(values)`, such as `SegmentEmbedding` or `BoxEmbedding`, or dicts of
            `layer`, `gate` (`"linear"`, a learned factor that starts at 1, `"tanh"`,
            one that starts at 0), `normalization` (`type` and `epsilon`) and `pooling`
            (`"mean"`, of several values for each token, of which negative ones are
            none, the mean of their vectors).
        vocabulary_size: The inputs are integer ids, `(batch, length)`, and embedded;
            `dim` is then `unified_dim` by default.
        padding_id: The id of padding, such as 0 (BERT) or 1 (RoBERTa): a padding mask
            is made of the ids, and joined to the one of the call, if any.
        embedding: A layer that makes features of raw inputs, such as
            `PatchEmbedding`, or `keras.layers.Embedding` with a mask. It is given the
            mask of its inputs; its own is that of the tokens. With a `BoxEmbedding`
            the inputs are the boxes of the tokens.
        into: The name of another modality, at whose `placeholders` the tokens are
            placed in their order, instead of being concatenated. A place that is left
            over is masked, a token that is left over goes nowhere; where both numbers
            are known, that they differ is an error.
        gate: Whether a modality that is placed comes in through a `ZeroGate`: at first
            the other modality keeps its own tokens at the places.
        start_token, end_token: Whether a learned token comes before, or after.
        count_special: Whether they have positions too. In a sequence, the start token
            then stands at 0, and the end token behind the last valid one. Beside a
            grid with a learned table, each has a learned row of its own,
            `start_position` and `end_position`, as the class token of ViT.
        mask_token: Whether a learned vector replaces the features that `masked` marks.
        row_token: Whether a learned token follows each row of inputs that come as
            grids, valid if any token of the row is.
        instance_of: The name of a modality of which this is another instance, such as
            a second image. It shares all layers and vectors, and has one vector more.

    Args:
        modality_configs: By name, a dict with the keys above.
        unified_dim: The common width. Defaults to 512.
        normalization: `"shared"` (default), one norm for all tokens; `"per_modality"`,
            one for each modality; `"both"`, one for each modality and then one for
            all; `None`, no norm.
        norm_type: `"layer"` (default), or `"rms"` for norms that divide by the root
            mean square and neither center nor shift (T5, LLaMA).
        epsilon: Added to the variance, or the mean square, in a norm. Defaults to 1e-6.
        dropout: Share of the outputs that training sets to zero. Defaults to 0.1.
        cls_token: Whether a learned class token comes first. Defaults to `False`.
        num_registers: Number of learned register tokens after it. Defaults to 0.
        modality_embedding: Whether modalities have a vector each. Defaults to `True`.
        modality_dropout: Probability, or one by name, with which training takes a
            modality from a sample; one that is there always stays, and so does one
            that others are placed into. Defaults to 0.
        missing: What a modality becomes that a sample lacks: `"mask"` (default),
            nothing, its tokens are masked; `"token"`, a learned vector in place of its
            features.
        return_dict: Whether to return `embeddings`, and with them `mask` (bool) and
            `modality_ids` (int32), both `(batch, fused length)`, and `positions`
            (float32) `(batch, fused length, 3)`: frame, row, column. A sequence
            counts along the first. Class, register, start and end tokens have the id
            -1; one that stands in has that of its modality. And `item_ids` (int32)
            `(batch, fused length)`: the number of the image or clip of each token
            among those of its modality in the sample, as `grids` says; 0 for all
            tokens of a modality without several, such as text, and -1 for special
            tokens and behind the last item. A token that is placed keeps its own. With
            `positions` in place of grids, an item begins at each token at 0. Defaults
            to `False`, the embeddings alone.
        seed: Seed of both kinds of dropout. Defaults to `None`, a random one.
        kernel_initializer: Initializer of the projections. Defaults to
            `"glorot_uniform"`.
        embeddings_initializer: Initializer of learned vectors. Defaults to `None`, a
            normal distribution of standard deviation 0.02.
        **kwargs: `name`, `dtype`, `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Features of the tokens of each modality. A modality may be left out or
            `None`; it then has no tokens, or one with `missing="token"`.
        segment_ids: Segment of each token; segment 0 where they are left out.
        positions: Positions in place of 0, 1, 2, ...
        present: Which samples have the modality.
        placeholders: Where in another modality the tokens of a placed one go.
        mask: Which tokens are valid, in place of the masks that Keras hands on.
        grids: The grid of an image or clip whose tokens come row by row, for all
            samples or for each, padded to the longest; the padding mask follows from
            it. Inputs that come as padded grids take one for each sample, too. Several
            images or clips of a sample come one behind the other along one axis of
            tokens, `(batch, length, dim)`, with a grid for each, zeros for none;
            positions restart with each, and tables are resized to each.
        start_index: Position of the first token, for decoding with a KV cache.
        terms: The values of further terms. Ids that are left out are 0; other values
            that are left out add nothing. Special tokens and stand-ins get no term.
        masked: Which tokens the mask token replaces.
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
        Unlike there, every modality is normalized, and none depends on its place
        among the inputs.
    """

    def __init__(
        self,
        modality_configs: Mapping[str, ModalityConfig],
        unified_dim: int = 512,
        *,
        normalization: fusion_config.Normalization = "shared",
        norm_type: fusion_config.NormType = "layer",
        epsilon: float = 1e-6,
        dropout: float = 0.1,
        cls_token: bool = False,
        num_registers: int = 0,
        modality_embedding: bool = True,
        modality_dropout: fusion_config.DropRates = 0.0,
        missing: fusion_config.Missing = "mask",
        return_dict: bool = False,
        seed: int | None = None,
        kernel_initializer: Initializer = "glorot_uniform",
        embeddings_initializer: Initializer = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        # sublayers cast for themselves; the sum of the terms is taken in float32
        options = checks.layer_options(WHO, kwargs)
        super().__init__(autocast=False, **options)
        self.supports_masking = True
        self.unified_dim: int = checks.check_integer(WHO, "unified_dim", unified_dim)
        self.modality_configs: Mapping[str, ModalityConfig] = check_configs(
            WHO, modality_configs, self.unified_dim
        )
        self.modalities: tuple[str, ...] = tuple(self.modality_configs)
        self.normalization: fusion_config.Normalization = checks.check_choice(
            WHO, "normalization", normalization, fusion_config.NORMALIZATIONS
        )
        self.norm_type: fusion_config.NormType = checks.check_choice(
            WHO, "norm_type", norm_type, get_args(fusion_config.NormType)
        )
        self.epsilon: float = checks.check_number(WHO, "epsilon", epsilon, 0)
        self.dropout: float = checks.check_number(WHO, "dropout", dropout, 0, 1, True)
        self.cls_token: bool = checks.check_flag(WHO, "cls_token", cls_token)
        self.num_registers: int = checks.check_integer(
            WHO, "num_registers", num_registers, minimum=0
        )
        self.modality_embedding: bool = checks.check_flag(
            WHO, "modality_embedding", modality_embedding
        )
        self.modality_dropout: fusion_config.DropRates = modality_dropout
        self.drop_rates: dict[str, float] = fusion_checks.check_rates(
            modality_dropout, self.modality_configs
        )
        self.missing: fusion_config.Missing = checks.check_choice(
            WHO, "missing", missing, get_args(fusion_config.Missing)
        )
        self.return_dict: bool = checks.check_flag(WHO, "return_dict", return_dict)
        self.seed: int | None = checks.check_seed(WHO, seed)
        self.kernel_initializer: Any = checks.check_initializer(
            WHO, "kernel_initializer", kernel_initializer
        )
        vectors = default_initializer(embeddings_initializer, WHO)
        self.embeddings_initializer: Any = vectors
        # the attributes that hold class and register tokens
        self.special_vectors: tuple[str, ...] = tuple(
            name for key, name in fusion_config.VECTORS.items() if getattr(self, key)
        )
        self._make_sublayers()

    def _make_sublayers(self) -> None:
        dtype = self.dtype_policy
        self.modality: ModalityEmbedding | None = None
        if self.modality_embedding:
            self.modality = make_modality_embedding(
                self.modality_configs, self.embeddings_initializer, dtype
            )
        fusion_config.name_layers(self.modality_configs)
        branches = make_branches(
            self.modality_configs,
            self.unified_dim,
            make_norm=self._make_norm,
            has_norm=self.normalization in ("per_modality", "both"),
            has_stand_in=self.missing == "token",
            kernel_initializer=self.kernel_initializer,
            embeddings_initializer=self.embeddings_initializer,
            dtype=dtype,
        )
        for name, branch in branches.items():
            # an attribute each: a dict of layers would be saved by its order
            setattr(self, f"branch_{name}", branch)
        num_special = int(self.cls_token) + self.num_registers
        if self.normalization == "per_modality" and num_special:
            self.norm_special: keras.layers.Layer = self._make_norm({}, "norm_special")
        if self.normalization in ("shared", "both"):
            self.norm: keras.layers.Layer = self._make_norm({}, "norm")
        self.attach_mask: AttachMask = AttachMask(dtype=dtype)
        self.drop: keras.layers.Dropout = keras.layers.Dropout(
            self.dropout, seed=self.seed, dtype=dtype
        )
        if any(self.drop_rates.values()):
            self.seed_generator: Any = keras.random.SeedGenerator(self.seed)
        self.layout: Layout = make_layout(
            self._branches(), num_special, self.missing == "token"
        )

    def branch(self, name: str) -> ModalityBranch:
        """Return the sublayer that holds the layers and vectors of a modality."""
        checks.check_choice(WHO, "name", name, self.modalities)
        owner = fusion_config.owner_of(self.modality_configs, name)
        return getattr(self, f"branch_{owner}")

    def _branches(self) -> dict[str, ModalityBranch]:
        # no property: Keras would save a dict of layers among the attributes
        return {name: self.branch(name) for name in self.modalities}

    def _make_norm(self, config: Mapping[str, Any], name: str) -> keras.layers.Layer:
        return make_norm(
            config.get("type", self.norm_type),
            epsilon=config.get("epsilon", self.epsilon),
            has_dropout=self.dropout > 0,
            dtype=float32_or_better(self.compute_dtype),
            name=name,
        )

    def build(
        self, inputs_shape: Mapping[str, Shape | None], **other_shapes: Any
    ) -> None:
        branches = self._branches()
        fusion_checks.features_shapes(branches, self.layout, inputs_shape)
        shapes = fusion_config.owners_shapes(self.modality_configs, inputs_shape)
        for name, shape in shapes.items():
            if not branches[name].built:
                branches[name].build(shape)
        fused_shape = (None, None, self.unified_dim)
        for part in ("norm", "norm_special", "modality", "drop"):
            sublayer = getattr(self, part, None)
            if sublayer is not None:
                sublayer.build(fused_shape)
        for argument, name in fusion_config.VECTORS.items():
            if getattr(self, argument):
                weight = self.add_weight(
                    name=name,
                    shape=(int(getattr(self, argument)), self.unified_dim),
                    initializer=clone_initializer(self.embeddings_initializer),
                    autocast=False,
                )
                setattr(self, name, weight)
        self.built = True

    if TYPE_CHECKING:
        __call__: FusionCall

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
        fused = self.fuse(inputs, self.collect(inputs, *others), training)
        # only in the call are presence flags and dropped modalities known
        embeddings = self.attach_mask([fused["embeddings"], fused["mask"]])
        outputs = {**fused, "embeddings": embeddings}
        return ordered(outputs) if self.return_dict else embeddings

    def collect(self, inputs: Any, *others: Any, **named: Any) -> CallArguments:
        """Return the arguments of a call, as `fuse` takes them."""

        def passes_mask(name: str, x: Tensor, mask: Tensor) -> bool:
            is_known = name in self.modalities
            return is_known and self.branch(name).passes_mask(x, mask)

        return collect(passes_mask, inputs, *others, **named)

    def fuse(
        self,
        inputs: Mapping[str, Tensor | None],
        arguments: CallArguments,
        training: bool | None = None,
    ) -> dict[str, Tensor]:
        """Return what a call with `return_dict` does, without a mask on the embeddings.

        Args:
            inputs: As for a call.
            arguments: The other arguments, as `collect` returns them.
            training: As for a call.
        """
        parts = FusionParts(
            self.layout,
            self._branches(),
            self.modality,
            [getattr(self, name) for name in self.special_vectors],
            getattr(self, "norm_special", None),
            getattr(self, "norm", None),
            self.normalization != "both",
            self.drop,
            self.drop_rates,
            getattr(self, "seed_generator", None),
            self.compute_dtype,
            self.return_dict,
        )
        return fuse(parts, inputs, arguments, training)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None  # attached by the call

    def compute_output_shape(
        self, inputs_shape: Mapping[str, Shape | None], **other_shapes: Any
    ) -> Any:
        spec = self._output_spec(inputs_shape, self.collect({}))
        return keras.tree.map_structure(lambda tensor: tensor.shape, spec)

    def compute_output_spec(self, inputs: Any, *others: Any, **named: Any) -> Any:
        arguments = self.collect(inputs, *others, **named)
        fusion_checks.check_call(self._branches(), self.layout, inputs, arguments)
        shapes = {name: None if x is None else x.shape for name, x in inputs.items()}
        return self._output_spec(shapes, arguments)

    def _output_spec(self, inputs_shape: Any, arguments: CallArguments) -> Any:
        outputs = (self.unified_dim, self.compute_dtype, self.return_dict)
        branches = self._branches()
        return output_spec(branches, self.layout, inputs_shape, arguments, *outputs)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "modality_configs": fusion_config.serialize_configs(self.modality_configs),
            **{name: getattr(self, name) for name in fusion_config.OPTIONS},
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "embeddings_initializer": keras.initializers.serialize(
                self.embeddings_initializer
            ),
        }

    @classmethod
    def from_config(cls, config: Config) -> "MultiModalFusion":
        return cls(**fusion_config.from_first_files(config))

    def as_in_first_files(self) -> None:
        """List the layers of the configuration first, as the first files do."""
        self._layers[:0] = fusion_config.configured_layers(self.modality_configs)

    def save_own_variables(self, store: Any) -> None:
        sublayer_state.save_by_name(self, self.special_vectors, store)

    def load_own_variables(self, store: Any) -> None:
        sublayer_state.load_by_name(self, self.special_vectors, store)

    def __repr__(self) -> str:
        branches = self._branches()
        widths = {name: branch.config["dim"] for name, branch in branches.items()}
        return describe(self, modality_configs=widths)
