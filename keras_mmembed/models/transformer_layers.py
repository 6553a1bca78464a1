"""The sublayers of a model, and its configuration."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from keras_mmembed.attention.mask import AttentionMask
from keras_mmembed.attention.parts import build_parts, deserialize_parts
from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.attention.rotary import RotaryEmbedding
from keras_mmembed.common.describe import describe
from keras_mmembed.common.mask_layers import AttachMask
from keras_mmembed.common.sublayer_state import KeepsSublayers
from keras_mmembed.common.types import Config, Shape
from keras_mmembed.fusion.config import config_of, from_first_files
from keras_mmembed.fusion.layer import MultiModalFusion
from keras_mmembed.fusion.standardize import CallByModality
from keras_mmembed.models import options
from keras_mmembed.models.bare_inputs import TakesBareInputs
from keras_mmembed.models.block import TransformerBlock
from keras_mmembed.models.block_options import BlockOptions
from keras_mmembed.models.blocks import make_blocks
from keras_mmembed.models.masks import make_masks
from keras_mmembed.models.model_call import ModelCall, standardize_encoded
from keras_mmembed.models.readout import ReadsOut
from keras_mmembed.models.restoring import RestoringModel


class TransformerLayers(
    BlockOptions,
    KeepsSublayers,
    TakesBareInputs,
    CallByModality,
    ReadsOut,
    RestoringModel,
):
    """What a `MultiModalTransformer` holds; its constructor checked the arguments."""

    num_layers: int
    tie_embeddings: bool
    tied_size: int
    fusion: MultiModalFusion
    rotary: RotaryEmbedding | None
    rotary_rule: Config
    relative_bias: RelativePositionBias | Config | str | None
    rules: Config
    gated: list[str]
    attention_mask: AttentionMask | None
    narrow_mask: AttentionMask | None

    if TYPE_CHECKING:
        __call__: ModelCall
    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            args, kwargs = standardize_encoded(type(self).__name__, args, kwargs)
            return super().__call__(*args, **kwargs)

    def _make_sublayers(self, head: keras.layers.Layer | None) -> None:
        dtype, block = self.dtype_policy, options.block_options(self)
        masks = make_masks(self.fusion.modalities, self.rules, self.gated)
        self.attention_mask, self.narrow_mask = masks
        shared = isinstance(self.relative_bias, RelativePositionBias)
        self.blocks: list[TransformerBlock] = make_blocks(
            self.num_layers,
            **block,
            rotary=self.rotary,
            relative_bias=None if shared else self.relative_bias,
            gated=bool(self.gated),
            dtype=dtype,
        )
        self._make_readout(self.fusion.unified_dim, head, **block)
        self.attach_mask: AttachMask = AttachMask(dtype=dtype)

    def build(
        self,
        inputs_shape: Mapping[str, Shape | None] | None = None,
        encoded_shape: Shape | None = None,
        **other_shapes: Any,
    ) -> None:
        tokens_shape = (None, None, self.fusion.unified_dim)
        if not self.fusion.built:
            # Keras names no shape for an empty dict, which the fusion refuses
            self.fusion.build(self.by_name(inputs_shape or {}))
        for block in self.blocks:
            if not block.built:
                block.build(tokens_shape, encoded_shape)
        build_parts(None, self._shared_bias, tokens_shape)
        self._build_readout(self.fusion.unified_dim)
        for mask in (self.attention_mask, self.narrow_mask):
            if mask is not None and not mask.built:
                mask.build(dict.fromkeys(("mask", "modality_ids"), tokens_shape[:2]))
        self.built = True

    @property
    def _shared_bias(self) -> RelativePositionBias | None:
        bias = self.relative_bias
        return bias if isinstance(bias, RelativePositionBias) else None

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The fusion, the blocks, and what comes after them."""
        return [layer for layer in super().layers if layer is not self.attach_mask]

    def get_config(self) -> Config:
        return {
            **options.fusion_config(self.fusion),
            **options.own_config(self),
            **self._readout_config(),
            "final_norm": self._written_norm,
            **self.rules,
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: Config | None = None) -> Any:
        config = deserialize_parts(config, ("rotary", "relative_bias"))
        return cls(**from_first_files(config))

    @property
    def _written_norm(self) -> Any:
        """The argument `final_norm`, `None` where it follows from `norm_first`."""
        return None if self.final_norm is self.norm_first else self.final_norm

    def __repr__(self) -> str:
        config = options.fusion_config(self.fusion)
        configs = self.fusion.modality_configs
        config["modality_configs"] = {n: config_of(configs, n)["dim"] for n in configs}
        config["final_norm"] = self._written_norm
        config["rotary_rule"] = options.rule_config(self.rotary_rule)
        return describe(self, **config, **self.rules)
