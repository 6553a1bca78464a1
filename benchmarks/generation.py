"""Time per token of greedy decoding, beside transformers on PyTorch."""

import importlib.util

import keras
import numpy as np

from benchmarks import measure
from benchmarks.measure import OURS, PEER
from keras_mmembed import MultiModalTransformer

UNUSED = f"{OURS}, cache of 2048 slots"
PROMPT, NEW, SLOTS = 64, 64, 2048
VOCABULARY, WIDTH, HIDDEN, HEADS, BLOCKS = 32000, 768, 2048, 12, 12


def measure_generation(options):
    """Return the times of each program by name, or nothing without transformers."""
    if not importlib.util.find_spec("transformers"):
        return []
    backend = keras.backend.backend()
    print(f"{backend}: generation", flush=True)
    ids = np.random.default_rng(0).integers(1, VOCABULARY, (1, PROMPT))
    ids = ids.astype("int32")
    module, model = published(), decoder()
    copy_weights(module, model)

    def generate(**more):
        return lambda: model.generate({"text": ids}, NEW, **more)

    programs = {OURS: generate(), UNUSED: generate(max_length=SLOTS)}
    programs[PEER] = lambda: generate_by_peer(module, ids)
    expected = programs[PEER]()
    for name, program in programs.items():
        if not np.array_equal(program(), expected):
            raise ValueError(f"{name} does not generate the tokens of {PEER}.")
    times = measure.alternate(
        programs, options.rounds, warm_up=1, limit=options.seconds
    )
    summary = measure.summarize(times, PEER)
    return [{"tokens": NEW, "times": times, "summary": summary}]


def decoder():
    """Return a decoder of the kind of Llama."""
    text = {"type": "1d", "position": None, "vocabulary_size": VOCABULARY}
    model = MultiModalTransformer(
        {"text": text},
        WIDTH,
        num_layers=BLOCKS,
        num_heads=HEADS,
        hidden_dim=HIDDEN,
        activation="silu",
        norm_type="rms",
        mlp="gated",
        use_bias=False,
        rotary="llama",
        normalization=None,
        modality_embedding=False,
        causal=True,
        pooling="tokens",
        tie_embeddings=True,
        dropout=0.0,
    )
    model.build({"text": (None, None)})
    return model


def published():
    """Return the same decoder of transformers, with random weights."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=HIDDEN,
        num_attention_heads=HEADS,
        num_hidden_layers=BLOCKS,
        tie_word_embeddings=True,
        # as large as trained ones, or a near tie would decide
        initializer_range=WIDTH**-0.5,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return transformers.LlamaForCausalLM(config).eval()


def generate_by_peer(module, ids):
    """Return what a decoder of transformers generates."""
    import torch

    ids = torch.tensor(ids).long()
    options = {"max_new_tokens": NEW, "do_sample": False}
    with torch.no_grad():
        tokens = module.generate(ids, attention_mask=torch.ones_like(ids), **options)
    return tokens[:, PROMPT:].numpy()


# by our path below a block, the name of a part of a layer there
PARTS = {
    "attention/query/kernel": "self_attn.q_proj",
    "attention/key/kernel": "self_attn.k_proj",
    "attention/value/kernel": "self_attn.v_proj",
    "attention/attention_output/kernel": "self_attn.o_proj",
    "attention_norm/scale": "input_layernorm",
    "hidden/kernel": "mlp.gate_proj",
    "up/kernel": "mlp.up_proj",
    "output/kernel": "mlp.down_proj",
    "mlp_norm/scale": "post_attention_layernorm",
}


def copy_weights(module, model):
    """Give our decoder the weights of the other."""
    weights = {
        "fusion/text/embedding/embeddings": module.model.embed_tokens,
        "norm/scale": module.model.norm,
    }
    for number, layer in enumerate(module.model.layers):
        for ours, theirs in PARTS.items():
            weights[f"block_{number}/{ours}"] = layer.get_submodule(theirs)
    for weight in model.weights:
        path = weight.path.removeprefix(f"{model.name}/")
        value = weights.pop(path).weight.detach().numpy()
        value = value.T if path.endswith("kernel") else value
        weight.assign(value.reshape(weight.shape))
    if weights:
        raise ValueError(f"The decoder lacks {sorted(weights)}.")
