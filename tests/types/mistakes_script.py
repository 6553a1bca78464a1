"""A user's script with 29 mistakes, each on a line of its own that says so."""

import keras
import numpy as np

import keras_mmembed as mm

x = np.zeros((1, 5, 8))
configs: dict[str, mm.ModalityConfig] = {"text": {"type": "1d", "dim": 8}}
fusion = mm.MultiModalFusion(configs, 8)
model = mm.MultiModalTransformer(configs, 8)

mm.PositionEmbedding1D("512")  # mistake: a size that is a string
mm.PositionEmbedding1D(512, kind="sine")  # mistake: an unknown kind
mm.PositionEmbedding2D(14, 14, "learned")  # mistake: a keyword without its name
mm.PositionEmbedding2D(14, 14, out_of_range="wrap")  # mistake: an unknown choice
mm.PositionEmbedding3D(convention="mea")  # mistake: a misspelt convention
mm.PatchEmbedding(16)  # mistake: no width
mm.AudioEmbedding(64, convention="kaldi")  # mistake: an unknown convention
mm.MultiModalFusion({"text": {"typ": "1d", "dim": 8}})  # mistake: a misspelt key
mm.MultiModalFusion({"text": {"type": "4d", "dim": 8}})  # mistake: an unknown type
mm.MultiModalFusion(configs, "8")  # mistake: a width that is a string
mm.MultiModalFusion(configs, 8, dropuot=0.1)  # mistake: a misspelt argument
mm.MultiModalFusion(configs, normalization="batch")  # mistake: an unknown norm
mm.MultiModalTransformer(configs, pooling="max")  # mistake: an unknown pooling
mm.AttentionMask(["text"], hidden=["text"])  # mistake: a list for a dict
mm.AttentionMask(["text"])({}, query={}, start=3)  # mistake: a misspelt argument
mm.RotaryEmbedding("mrope")  # mistake: an unknown convention
mm.RotaryEmbedding(scaling={"rope_type": "su"})  # mistake: an unknown scaling
mm.RelativePositionBias(8, convention="deberta")  # mistake: an unknown convention
mm.MultiModalAttention(8, rotary="rope")  # mistake: an unknown convention
mm.rotary_positions({}, "mrope")  # mistake: an unknown rule
mm.TransformerBlock(8, norm_type="batch")  # mistake: an unknown norm
mm.TransformerBlock(8, use_bias="q")  # mistake: an unknown choice
mm.MultiModalTransformer(configs, rotary_rule="mrope")  # mistake: an unknown rule
mm.MultiModalTransformer(configs, cross_attention="only")  # mistake: of blocks alone
model({"text": x}, encoder=x)  # mistake: a misspelt call argument
fusion(x)  # mistake: a tensor for a dict
fusion({"text": x}, segments={"text": x})  # mistake: a misspelt call argument
fusion.split(x)  # mistake: nothing to split like
mm.preset("vqa")  # mistake: an unknown application
mm.export_for_serving(keras.Sequential(), "models", version="2")  # mistake: a string
