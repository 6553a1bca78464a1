"""Published models by the `model_type` of their configurations."""

from keras_mmembed.published import defaults
from keras_mmembed.published.recipes import (
    bert,
    clip,
    dino,
    generating,
    llama,
    series,
    t5,
    vilt,
    vit,
    whisper,
)
from keras_mmembed.published.settings import Published

# where a configuration of both towers has that of one
TEXTS, IMAGES = "text_config", "vision_config"
PUBLISHED: dict[str, Published] = {
    "audio-spectrogram-transformer": Published(
        series.ast, series.AST, series.SPECTROGRAMS
    ),
    "bert": Published(bert.bert, bert.BERT),
    "clip_text_model": Published(
        clip.clip_text, clip.CLIP_TEXT, key=TEXTS, defaults=defaults.CLIP_TEXT
    ),
    "clip_vision_model": Published(
        clip.clip_vision, clip.CLIP_VISION, vit.PIXELS, IMAGES, defaults.CLIP_VISION
    ),
    "dinov2": Published(dino.dinov2, dino.DINOV2, vit.PIXELS),
    "dinov2_with_registers": Published(dino.dinov2, dino.DINOV2, vit.PIXELS),
    "dinov3_vit": Published(dino.dinov3, dino.DINOV3, vit.PIXELS),
    "git": Published(generating.git, generating.GIT, generating.PAIRS),
    "llama": Published(llama.llama, llama.LLAMA),
    "llava": Published(generating.llava, generating.LLAVA, generating.PAIRS),
    "qwen2_vl": Published(generating.qwen2_vl, generating.QWEN2_VL, generating.PAIRS),
    "roberta": Published(bert.roberta, bert.ROBERTA),
    "siglip_text_model": Published(
        clip.siglip_text, clip.SIGLIP_TEXT, key=TEXTS, defaults=defaults.SIGLIP_TEXT
    ),
    "siglip_vision_model": Published(
        clip.siglip_vision,
        clip.SIGLIP_VISION,
        vit.PIXELS,
        IMAGES,
        defaults.SIGLIP_VISION,
    ),
    "t5": Published(t5.t5, t5.T5),
    "videomae": Published(series.videomae, series.VIDEOMAE, series.CLIPS),
    "vilt": Published(vilt.vilt, vilt.VILT, vilt.PAIRS),
    "visual_bert": Published(vilt.visual_bert, vilt.VISUAL_BERT, vilt.REGIONS),
    "vit": Published(vit.vit, vit.VIT, vit.PIXELS),
    "whisper": Published(whisper.whisper, whisper.WHISPER, whisper.SPECTROGRAMS),
}
