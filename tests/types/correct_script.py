"""A user's script without a mistake: type checkers find nothing in it."""

import keras
import numpy as np

import keras_mmembed as mm

configs: dict[str, mm.ModalityConfig] = {
    "text": {"type": "1d", "max_len": 512, "vocabulary_size": 1000, "dim": 64},
    "image": {"type": "2d", "embedding": mm.PatchEmbedding(16, 64, remainder="pad")},
    "video": {"type": "3d", "frames": 8, "height": 7, "width": 7, "dim": 64},
    "sound": {"type": "1d", "embedding": mm.AudioEmbedding(64, convention="whisper")},
}
fusion = mm.MultiModalFusion(
    configs,
    64,
    normalization="per_modality",
    dropout=0.1,
    cls_token=True,
    modality_dropout={"text": 0.1},
    return_dict=True,
    name="fusion",
    dtype="mixed_bfloat16",
)
inputs = {
    "text": np.array([[1, 2, 3]]),
    "image": np.zeros((1, 32, 32, 3)),
    "video": keras.ops.zeros((1, 8, 7, 7, 64)),
    "sound": None,
}
present = {"image": np.array([True])}
fused = fusion(inputs, present=present, training=True)
parts = fusion.split(fused["embeddings"], like=inputs, grids=True)
widths: list[int] = [len(part.shape) for part in parts.values()]
allowed = mm.AttentionMask(fusion.modalities, causal=True, prefix=["image"])(fused)
one_token = mm.AttentionMask(fusion.modalities)(
    fused, query={"modality_ids": fused["modality_ids"][:, :1]}, start_index=0
)
positions = mm.rotary_positions(
    fused, "qwen2_vl", modalities=fusion.modalities, grids=["image", "video"]
)
attention = mm.MultiModalAttention(
    8,
    num_key_value_heads=2,
    rotary={"convention": "qwen2_vl", "sections": (1, 1, 2)},
    bias=mm.RelativePositionBias(8, convention="swin", grid=(7, 7)),
    qk_norm="rms",
)
mixed = attention(fused["embeddings"], attention_mask=allowed, positions=positions)
turned = mm.RotaryEmbedding("llama", scaling={"rope_type": "linear", "factor": 2.0})(
    np.zeros((1, 5, 8, 8), "float32"), np.arange(5)
)
name: str = fusion.name
layer = mm.PositionEmbedding2D(
    14, 14, kind="learned", interpolation="bicubic", out_of_range="resize"
)
encoded = layer(np.zeros((1, 12, 20, 64)), start_index=0)
length = mm.PositionEmbedding1D(512, kind="sinusoidal", convention="whisper")
segments = mm.SegmentEmbedding(2)(np.zeros((1, 5, 8)), np.array([[0, 0, 0, 1, 1]]))
packed = mm.pack_tokens(np.zeros((1, 3)), mask=np.ones((1, 3), "bool"))
table = mm.resize_positions(np.zeros((14, 14, 8)), (20, 10), "bilinear")
model = mm.MultiModalTransformer(
    **mm.preset("visual_question_answering", "tiny"), num_outputs=10, pooling="mean"
)
model.compile(keras.optimizers.Adam(1e-3), "mse")
decoder = mm.MultiModalTransformer(
    configs,
    64,
    norm_type="rms",
    mlp="gated",
    use_bias="qkv",
    rotary={"convention": "qwen2_vl", "sections": (1, 1, 2)},
    rotary_rule="qwen2_vl",
    cross_attention=True,
)
answer = decoder(inputs, encoded=np.zeros((1, 7, 32)), encoded_mask=None, training=True)
block = mm.TransformerBlock(8, 128, relative_bias="t5", cross_attention="only")
resampled = block(np.zeros((1, 4, 64)), encoded=mixed, use_causal_mask=False)
excluded = mm.weights_without_decay(model)
scores, tokens = model.attention_scores(inputs)
served = mm.with_lengths(keras.Sequential(), ["text"])
exported = mm.export_for_serving(served, "models/vqa", version=1)
path: str = str(exported.path)
