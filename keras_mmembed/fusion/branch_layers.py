"""The layers and the learned vectors of one modality."""

import types
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras

from keras_mmembed.common import checks, sublayer_state
from keras_mmembed.common.mask_layers import AttachMask, ReadMask
from keras_mmembed.common.tensors import float32_or_better
from keras_mmembed.common.types import Initializer, Shape
from keras_mmembed.common.zero_gate import ZeroGate
from keras_mmembed.fusion import features
from keras_mmembed.fusion.config import (
    Gate,
    ModalityConfig,
    Place,
    conv_position_of,
    make_position,
    make_projection,
    position_of,
)
from keras_mmembed.fusion.naming import naming
from keras_mmembed.fusion.segment import SegmentEmbedding
from keras_mmembed.fusion.terms import gates_of
from keras_mmembed.positions.base import PositionEmbedding
from keras_mmembed.positions.box import BoxEmbedding
from keras_mmembed.positions.conv import ConvPositionEmbedding
from keras_mmembed.positions.tables import clone_initializer

NormMaker: TypeAlias = Callable[[Mapping[str, Any], str], keras.layers.Layer]
# the sublayers of a term, whose attributes start so
PARTS = ("term", "norm")
WHO = "MultiModalFusion"


class BranchLayers(keras.layers.Layer):
    """The layers and the learned vectors of one modality, as its configuration says.

    Args:
        config: The configuration of the modality.
        unified_dim: The common width.
        make_norm: Makes a norm of a configuration and a name.
        has_norm: Whether all modalities have a norm of their own.
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
        make_norm: NormMaker,
        has_norm: bool = False,
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
        self.projection: keras.layers.Dense | None = make_projection(
            config, unified_dim, clone(kernel_initializer), dtype
        )
        self.position: PositionEmbedding | None = make_position(config, dtype)
        self.conv_position: ConvPositionEmbedding | None = conv_position_of(config)
        self.segment: SegmentEmbedding | None = None
        if "segments" in config:
            self.segment = SegmentEmbedding(
                config["segments"],
                embeddings_initializer=clone(embeddings_initializer),
                dtype=dtype,
                name="segment",
            )
        for term, options in self.config.get("terms", {}).items():
            # an attribute each: a dict of layers would be saved by its order
            setattr(self, f"term_{term}", options["layer"])
            if "normalization" in options:
                norm = make_norm(options["normalization"], f"norm_{term}")
                setattr(self, f"norm_{term}", norm)
        self.gate: ZeroGate | None = None
        if config.get("gate"):
            self.gate = ZeroGate(dtype=dtype, name="gate")
        self.norm: keras.layers.Layer | None = None
        if self.has_own_norm or has_norm:
            norm = config.get("normalization", {})
            self.norm = None if norm is None else make_norm(norm, "norm")
        # the learned tokens that the configuration asks for are made in `build`
        self.start: keras.Variable | None = None
        self.end: keras.Variable | None = None
        self.missing: keras.Variable | None = None
        self.mask_token: keras.Variable | None = None
        self.row_token: keras.Variable | None = None
        self.start_position: keras.Variable | None = None
        self.end_position: keras.Variable | None = None
        self._gates: dict[str, Gate] = gates_of(self.config)
        ends = [name for name in ("start", "end") if config.get(f"{name}_token")]
        has_rows = self.config.get("count_special") and not self.counts_special
        self._vectors: tuple[str, ...] = (
            *ends,
            *(["missing"] if has_stand_in else []),
            *[name for name in ("mask_token", "row_token") if config.get(name)],
            *(f"{name}_position" for name in ends if has_rows),
        )

    def build(self, inputs_shape: Shape | None = None) -> None:
        fused_shape = (None, None, self.unified_dim)
        if self.embedding is not None and not self.embedding.built:
            known = (keras.layers.Embedding, BoxEmbedding)
            needs_shape = not isinstance(self.embedding, known)
            rule = "be given in the first call, because its embedding is not built"
            remedy = f"Or build the embedding of modality {self.name!r} before."
            is_known = inputs_shape is not None or not needs_shape
            argument = f"inputs[{self.name!r}]"
            checks.check(is_known, WHO, argument, rule, None, remedy)
            features.build(self.embedding, inputs_shape, self.config["dim"])
        if self.projection is not None and not self.projection.built:
            self.projection.build((None, None, self.config["dim"]))
        for sublayer in self._sublayers_of_the_width():
            if not sublayer.built:
                with naming(self.name):
                    sublayer.build(fused_shape)
        if self.position is not None and not self.adds_position:
            # it tells coordinates alone, and Keras looks for layers that are not built
            self.position.built = True
        initializer = self.embeddings_initializer
        for name in self._vectors:
            self._add(name, (1, self.unified_dim), clone_initializer(initializer))
        for term, kind in self._gates.items():
            self._add(f"gate_{term}", (), "zeros" if kind == "tanh" else "ones")
        self.built = True

    def _sublayers_of_the_width(self) -> list[keras.layers.Layer]:
        """Return the sublayers that work on tokens of the common width."""
        terms = [f"{part}_{t}" for t in self.config.get("terms", {}) for part in PARTS]
        position = self.position if self.adds_position else self.conv_position
        named = [getattr(self, attribute, None) for attribute in terms]
        sublayers = (position, self.segment, *named, self.gate, self.norm)
        return [sublayer for sublayer in sublayers if sublayer is not None]

    def _add(self, name: str, shape: Shape, initializer: Initializer) -> None:
        weight = self.add_weight(
            name=name, shape=shape, initializer=initializer, autocast=False
        )
        setattr(self, name, weight)

    @property
    def _weight_names(self) -> list[str]:
        return [*self._vectors, *(f"gate_{name}" for name in self._gates)]

    def save_own_variables(self, store: Any) -> None:
        sublayer_state.save_by_name(self, self._weight_names, store)

    def load_own_variables(self, store: Any) -> None:
        sublayer_state.load_by_name(self, self._weight_names, store)

    @property
    def has_own_norm(self) -> bool:
        """Whether the configuration of the modality says which norm it has."""
        return "normalization" in self.config

    @property
    def place(self) -> Place:
        """Where in the sum the norm of the modality stands."""
        return (self.config.get("normalization") or {}).get("place", "sum")

    @property
    def exempts_special(self) -> bool:
        """Whether the norm of the modality leaves out its special tokens."""
        return not (self.config.get("normalization") or {}).get("special", True)

    @property
    def adds_position(self) -> bool:
        """Whether an encoding of the positions is one of the terms."""
        has_other = self.conv_position is not None or self.position is None
        return not has_other and position_of(self.config)[0] is not None

    @property
    def borders(self) -> tuple[int, int]:
        """Whether there is a start token, and an end token."""
        return int("start" in self._vectors), int("end" in self._vectors)

    @property
    def counts_special(self) -> bool:
        """Whether the start and the end token have positions of the sequence."""
        return self.config["type"] == "1d" and bool(self.config.get("count_special"))

    @property
    def _has_vectors(self) -> bool:
        return self.config["type"] == "none"

    @property
    def _sum_dtype(self) -> str:
        return float32_or_better(self.compute_dtype)
