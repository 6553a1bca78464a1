"""The competitors that are modules of PyTorch, each called with a dict of features."""

import torch
from torch import nn

from benchmarks import sizes


class PositionalEncoding(nn.Module):
    """Adds a buffer of positions to a sequence."""

    def __init__(self, table):
        super().__init__()
        self.register_buffer("pe", torch.from_numpy(table)[None])

    def forward(self, x):
        return x + self.pe[:, : x.size(1)]


class SpecModule(nn.Module):
    """The module of the document that this package implements, section 4.

    The ids of a modality are a tensor of `(batch, length)`, looked up in a table, and
    every modality is normalised and dropped out for itself.
    """

    def __init__(self, size, dropout):
        super().__init__()
        tables = sizes.position_tables(size)
        configs = sizes.modality_configs(size)
        self.modality_type_embedding = nn.Embedding(len(configs), size.width)
        self.position_encodings = nn.ModuleDict()
        self.projections = nn.ModuleDict()
        for name, config in configs.items():
            self.position_encodings[name] = PositionalEncoding(tables[name])
            if config["dim"] != size.width:
                self.projections[name] = nn.Linear(config["dim"], size.width)
        self.layer_norm = nn.LayerNorm(size.width, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self._share(sizes.shared_weights(size))

    def forward(self, inputs):
        embedded = []
        for index, (name, features) in enumerate(inputs.items()):
            if name in self.projections:
                features = self.projections[name](features)
            features = self.position_encodings[name](features)
            batch, length, _ = features.shape
            ids = torch.full(
                (batch, length), index, dtype=torch.long, device=features.device
            )
            features = features + self.modality_type_embedding(ids)
            embedded.append(self.dropout(self.layer_norm(features)))
        return torch.cat(embedded, dim=1)

    def _share(self, shared):
        shared = {name: torch.from_numpy(value) for name, value in shared.items()}
        with torch.no_grad():
            self.modality_type_embedding.weight.copy_(shared["modality"])
            self.projections["audio"].weight.copy_(shared["kernel"].T)
            self.projections["audio"].bias.copy_(shared["bias"])
            self.layer_norm.weight.copy_(shared["gamma"])
            self.layer_norm.bias.copy_(shared["beta"])


class HuggingFaceVilt(nn.Module):
    """`ViltEmbeddings` of transformers, given features of words and patches.

    It adds positions and segments to the words and normalises them, adds the vector
    of the modality to words and patches, and joins them.
    """

    def __init__(self, size):
        from transformers import ViltConfig
        from transformers.models.vilt.modeling_vilt import ViltEmbeddings

        super().__init__()
        self.embeddings = ViltEmbeddings(
            ViltConfig(
                hidden_size=size.width,
                vocab_size=8,
                max_position_embeddings=max(512, size.text),
                hidden_dropout_prob=0.0,
            )
        )
        ones = {name: torch.ones(shape[:2]) for name, shape in size.shapes.items()}
        self.masks = {name: ones[name].long() for name in ("text", "image")}

    def forward(self, inputs):
        return self.embeddings(
            input_ids=None,
            attention_mask=self.masks["text"],
            token_type_ids=None,
            pixel_values=None,
            pixel_mask=self.masks["image"],
            inputs_embeds=inputs["text"],
            image_embeds=inputs["image"],
        )[0]


class TimmPositions(nn.Module):
    """What timm's `VisionTransformer` does between the patches and the blocks."""

    def __init__(self, size):
        super().__init__()
        tokens = size.lengths["image"]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.randn(1, tokens + 1, size.width) * 0.02)

    def forward(self, inputs):
        x = inputs["image"]
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        return x + self.pos_embed
