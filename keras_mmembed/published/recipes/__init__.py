"""Published models by the `model_type` of their configurations."""

from keras_mmembed.published import defaults
from keras_mmembed.published.recipes import (
    bert,
    clip,
    generating,
    llama,
    t5,
    vilt,
    vit,
    whisper,
)
from keras_mmembed.published.settings import Published

# where a configuration of both towers has that of one
TEXTS, IMAGES = "text_config", "vision_config"
PUBLISHED: dict[str, Published] = {
    "audio-spectrogram-transformer": Published(vit.ast, vit.AST, vit.SPECTROGRAMS),
    "bert": Published(bert.bert, bert.BERT),
    "clip_text_model": Published(
        clip.clip_text, clip.CLIP_TEXT, key=TEXTS, defaults=defaults.CLIP_TEXT
    ),
    "clip_vision_model": Published(
        clip.clip_vision, clip.CLIP_VISION, vit.PIXELS, IMAGES, defaults.CLIP_VISION
    ),
    "dinov2": Published(vit.dinov2, vit.DINOV2, vit.PIXELS),
    "dinov2_with_registers": Published(vit.dinov2, vit.DINOV2, vit.PIXELS),
    "dinov3_vit": Published(vit.dinov3, vit.DINOV3, vit.PIXELS),
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
    "videomae": Published(vit.videomae, vit.VIDEOMAE, vit.CLIPS),
    "vilt": Published(vilt.vilt, vilt.VILT, vilt.PAIRS),
    "visual_bert": Published(vilt.visual_bert, vilt.VISUAL_BERT, vilt.REGIONS),
    "vit": Published(vit.vit, vit.VIT, vit.PIXELS),
    "whisper": Published(whisper.whisper, whisper.WHISPER, whisper.SPECTROGRAMS),
}
