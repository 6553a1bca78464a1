"""Layers that make one token sequence out of text, images, audio and video.

- `PatchEmbedding`, `TubeletEmbedding`, `AudioEmbedding`: raw images, videos and
  waveforms to features
- `PositionEmbedding1D`, `PositionEmbedding2D`, `PositionEmbedding3D`: where a token is
- `ConvPositionEmbedding`: where among its neighbours
- `ModalityEmbedding`: which modality it comes from
- `BoxEmbedding`: where on a page its box lies
- `SegmentEmbedding`: which segment of its modality
- `MultiModalFusion`: all of these, normalized and concatenated
- `ModalityConfig`: the type of a modality's configuration, for type checkers
- `MultiModalTransformer`: a model of it, with an encoder and a head
- `TransformerBlock`: one block of it, to build a model of one's own
- `preset`: configurations of such models
- `load_published_weights`: weights of published checkpoints
- `ZeroGate`: what is new in a model, let in little by little
- `AttentionMask`: which of its tokens may attend to which
- `MultiModalAttention`: attention that uses the positions of tokens
- `RotaryEmbedding`: queries and keys turned by the positions of their tokens
- `rotary_positions`: position ids of a mixed sequence for them
- `RelativePositionBias`: a bias of scores from the offsets of their positions
- `resize_positions`: a learned table at another size
- `pack_tokens`, `unpack_tokens`: valid tokens first, and back
- `pad_batch`: samples of different sizes as one padded batch
- `plot_encoding`, `plot_similarity`, `plot_layout`: pictures of positions and tokens
- `export_for_serving`: a model for TensorFlow Serving, from any backend
- `with_lengths`: a model that takes lengths, for servers that pad
- `set_trainable`: which weights train, by patterns of their paths; all else is frozen
- `weights_without_decay`: what an optimizer should leave out of weight decay
- `positions_from_mask`, `positions_from_ids`: positions of padded and packed rows
"""

from importlib import metadata as _metadata

from keras_mmembed.attention.layer import MultiModalAttention
from keras_mmembed.attention.mask import AttentionMask
from keras_mmembed.attention.position_ids import rotary_positions
from keras_mmembed.attention.relative_bias import RelativePositionBias
from keras_mmembed.attention.rotary import RotaryEmbedding
from keras_mmembed.common.zero_gate import ZeroGate
from keras_mmembed.fusion.config import ModalityConfig
from keras_mmembed.fusion.layer import MultiModalFusion
from keras_mmembed.fusion.modality import ModalityEmbedding
from keras_mmembed.fusion.packing import pack_tokens, unpack_tokens
from keras_mmembed.fusion.pad_batch import pad_batch
from keras_mmembed.fusion.segment import SegmentEmbedding
from keras_mmembed.inputs.audio import AudioEmbedding
from keras_mmembed.inputs.patch import PatchEmbedding, TubeletEmbedding
from keras_mmembed.models.block import TransformerBlock
from keras_mmembed.models.presets import preset
from keras_mmembed.models.set_trainable import set_trainable
from keras_mmembed.models.transformer import MultiModalTransformer
from keras_mmembed.models.weight_decay import weights_without_decay
from keras_mmembed.plotting import plot_encoding, plot_layout, plot_similarity
from keras_mmembed.positions.box import BoxEmbedding
from keras_mmembed.positions.conv import ConvPositionEmbedding
from keras_mmembed.positions.layers import (
    PositionEmbedding1D,
    PositionEmbedding2D,
    PositionEmbedding3D,
)
from keras_mmembed.positions.position_ids import positions_from_ids, positions_from_mask
from keras_mmembed.positions.resize import resize_positions
from keras_mmembed.published.load import load_published_weights
from keras_mmembed.serving.export import export_for_serving
from keras_mmembed.serving.lengths import with_lengths

try:
    __version__ = _metadata.version("keras-mmembed")
except _metadata.PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

__all__ = [
    "AttentionMask",
    "AudioEmbedding",
    "BoxEmbedding",
    "ConvPositionEmbedding",
    "ModalityConfig",
    "ModalityEmbedding",
    "MultiModalAttention",
    "MultiModalFusion",
    "MultiModalTransformer",
    "PatchEmbedding",
    "PositionEmbedding1D",
    "PositionEmbedding2D",
    "PositionEmbedding3D",
    "RelativePositionBias",
    "RotaryEmbedding",
    "SegmentEmbedding",
    "TransformerBlock",
    "TubeletEmbedding",
    "ZeroGate",
    "export_for_serving",
    "load_published_weights",
    "pack_tokens",
    "pad_batch",
    "plot_encoding",
    "plot_layout",
    "plot_similarity",
    "positions_from_ids",
    "positions_from_mask",
    "preset",
    "resize_positions",
    "rotary_positions",
    "set_trainable",
    "unpack_tokens",
    "weights_without_decay",
    "with_lengths",
]


def __dir__() -> list[str]:
    """List the public names: the rooms are where they live, and no part of them."""
    return [*__all__, "__version__"]
