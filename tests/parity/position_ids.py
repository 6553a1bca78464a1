"""Inputs of the published functions that compute position ids, of mixed sequences."""

from types import SimpleNamespace

import numpy as np
from mixed_sequences import AUDIO, IMAGE, TEXT, VIDEO
from published import torch

MERGE = 2
TOKENS = {"vision_start": 90, "vision_end": 91, "audio_start": 92, "audio_end": 93}
CONTENT = {IMAGE: 100, VIDEO: 101, AUDIO: 102}
TEXT_TOKEN = 5


def config(**vision):
    """Return what the published functions use of a configuration."""
    ids = {"image_token_id": 100, "video_token_id": 101, "audio_token_id": 102}
    ids |= {f"{name}_token_id": token for name, token in TOKENS.items()}
    sizes = {"spatial_merge_size": MERGE, "temporal_merge_size": 1, **vision}
    omni = {"position_id_per_seconds": 25, "seconds_per_chunk": 2}
    return SimpleNamespace(vision_config=SimpleNamespace(**sizes), **ids, **omni)


def caller(cls, settings, **attributes):
    """Return a published model without weights, for the functions that need none."""
    one = cls.__new__(cls)
    torch.nn.Module.__init__(one)
    one.config = settings
    for name, value in attributes.items():
        setattr(one, name, value)
    return one


def grids_of(samples, kind):
    """Return the sizes of the grids of a kind before patches are merged, or `None`."""
    sizes = [
        (frames, MERGE * height, MERGE * width)
        for sample in samples
        for modality, frames, height, width in sample.grids
        if modality == kind
    ]
    return torch.tensor(sizes) if sizes else None


def tokens_of(fused):
    """Return token ids and types, where the text before an item starts it."""
    ids = np.full(fused["mask"].shape, TEXT_TOKEN)
    kinds = fused["modality_ids"]
    for kind, token in CONTENT.items():
        ids[kinds == kind] = token
        before = np.zeros(kinds.shape, bool)
        before[:, :-1] = (kinds[:, :-1] == TEXT) & (kinds[:, 1:] == kind)
        ids[before] = TOKENS["audio_start" if kind == AUDIO else "vision_start"]
    mask = torch.tensor(fused["mask"].astype("int64"))
    return torch.tensor(ids), torch.tensor(kinds), mask
