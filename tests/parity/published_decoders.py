"""Published decoders with random weights, and models of the same configuration."""

import numpy as np
from configured import dense, norm, numpy, patches, table
from keras import ops
from published import torch

import keras_mmembed as mm

WIDTH, HEADS, DEPTH, HIDDEN, VOCABULARY = 32, 4, 2, 48, 40
# the id that stands for a token of an image
PLACE = VOCABULARY - 1
SMALL = {
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_hidden_layers": DEPTH,
    "intermediate_size": HIDDEN,
}
TEXT = {**SMALL, "vocab_size": VOCABULARY, "max_position_embeddings": 128}
TEXT = {**TEXT, "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
IMAGE = {**SMALL, "image_size": 16, "patch_size": 4}
LLAMA = {
    "num_heads": HEADS,
    "num_layers": DEPTH,
    "hidden_dim": HIDDEN,
    "activation": "silu",
    "norm_type": "rms",
    "mlp": "gated",
    "normalization": None,
}


def quick_gelu(x):
    return x * ops.sigmoid(1.702 * x)


def random_module(make, config):
    """Return a published model of random weights, as large as trained ones are."""
    module = make(config).eval()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        scale, shift = parameter.shape[-1] ** -0.5, 0.0
        if len(parameter.shape) == 1:
            scale, shift = 0.2, 1.0 if "orm" in name and "bias" not in name else 0.0
        parameter.data.normal_(shift, scale, generator=generator)
    return module


def decoder(configs, **options):
    """Return a causal model with logits, without what published decoders lack."""
    options = {"causal": True, "pooling": "tokens", "dropout": 0.0, **options}
    return mm.MultiModalTransformer(configs, WIDTH, modality_embedding=False, **options)


def scale_of(rms_norm):
    return {"scale": numpy(rms_norm.weight)}


def under(path, weights):
    return {f"{path}/{name}": one for name, one in weights.items()}


def blocks_of(layers, parts, norms):
    """Return the weights of blocks, of published layers with parts by our names."""
    weights = {}
    for number, layer in enumerate(layers):
        for ours, theirs in parts.items():
            part = layer.get_submodule(theirs)
            named = norms(part) if ours.endswith("norm") else dense(part)
            weights |= under(f"block_{number}/{ours}", named)
    return weights


LLAMA_BLOCK = {
    "attention/query": "self_attn.q_proj",
    "attention/key": "self_attn.k_proj",
    "attention/value": "self_attn.v_proj",
    "attention/attention_output": "self_attn.o_proj",
    "attention_norm": "input_layernorm",
    "hidden": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "output": "mlp.down_proj",
    "mlp_norm": "post_attention_layernorm",
}
CLIP_BLOCK = {
    "attention/query": "self_attn.q_proj",
    "attention/key": "self_attn.k_proj",
    "attention/value": "self_attn.v_proj",
    "attention/attention_output": "self_attn.out_proj",
    "attention_norm": "layer_norm1",
    "hidden": "mlp.fc1",
    "output": "mlp.fc2",
    "mlp_norm": "layer_norm2",
}
BERT_BLOCK = {
    "attention/query": "attention.self.query",
    "attention/key": "attention.self.key",
    "attention/value": "attention.self.value",
    "attention/attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "hidden": "intermediate.dense",
    "output": "output.dense",
    "mlp_norm": "output.LayerNorm",
}


def llama_weights(text):
    """Return the weights of a published text model without its head."""
    return {
        **under("fusion/text/embedding", table(text.embed_tokens)),
        **blocks_of(text.layers, LLAMA_BLOCK, scale_of),
        **under("norm", scale_of(text.norm)),
    }


def head_of(linear):
    bias = np.zeros(VOCABULARY) if linear.bias is None else numpy(linear.bias)
    return {"head/kernel": numpy(linear.weight).T, "head/bias": bias}


def clip_weights(tower, depth):
    """Return the weights of the first blocks of a vision tower, and of what is before.

    The tower has a class token with a row of the table of positions.
    """
    embeddings = tower.embeddings
    rows = numpy(embeddings.position_embedding.weight)
    return {
        **under(
            "fusion/image/embedding/projection", patches(embeddings.patch_embedding)
        ),
        "fusion/image/position/embeddings": rows[1:],
        "fusion/image/start": numpy(embeddings.class_embedding),
        "fusion/image/start_position": rows[:1],
        **under("fusion/norm", norm(tower.pre_layrnorm)),
        **blocks_of(tower.encoder.layers[:depth], CLIP_BLOCK, norm),
    }


def clip_tower(depth, epsilon, **options):
    """Return the vision tower of CLIP, with the tokens of patches."""
    image = {
        "type": "2d",
        "height": 4,
        "width": 4,
        "embedding": mm.PatchEmbedding(4, WIDTH, use_bias=False),
        "position": "learned",
        "start_token": True,
        "count_special": True,
    }
    return mm.MultiModalTransformer(
        {"image": image},
        WIDTH,
        num_layers=depth,
        num_heads=HEADS,
        hidden_dim=HIDDEN,
        activation=quick_gelu,
        modality_embedding=False,
        epsilon=epsilon,
        dropout=0.0,
        name="tower",
        **options,
    )


def words(seed, batch, length):
    return np.random.default_rng(seed).integers(1, PLACE, (batch, length))
