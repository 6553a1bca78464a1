"""Small decoders of text, of all positional schemes, and prompts for them."""

import numpy as np

import keras_mmembed as mm

VOCABULARY = 11
TEXT = {"type": "1d", "vocabulary_size": VOCABULARY}
LLAMA = {
    "norm_type": "rms",
    "mlp": "gated",
    "activation": "silu",
    "use_bias": False,
    "num_key_value_heads": 2,
    "normalization": None,
}
# by name, the text and the options of a model
POSITIONS = {
    "sinusoidal": ({}, {}),
    "learned": ({"max_len": 30, "position": "learned"}, {"tie_embeddings": True}),
    "start token": (
        {"start_token": True, "count_special": True},
        {"pooling": "tokens"},
    ),
    "rotary": ({"position": None}, {**LLAMA, "rotary": "llama"}),
    "t5": ({"type": "none"}, {"relative_bias": "t5", "scale": 1.0}),
    "alibi": ({"type": "none"}, {"relative_bias": "alibi"}),
    "beit": (
        {"type": "none"},
        {"relative_bias": {"convention": "beit", "grid": (2, 3)}},
    ),
}


def decoder(position="sinusoidal", image=None, **more):
    text, options = POSITIONS[position]
    options = {"num_outputs": VOCABULARY, **options, **more}
    if options.get("tie_embeddings"):
        options["num_outputs"] = None
    configs = {"text": {**TEXT, **text}}
    if image is not None:
        configs = {"image": {"type": "2d", "dim": 6, **image}, **configs}
    layers = 2 if position == "rotary" else 1
    options = {"num_layers": layers, "num_heads": 4, "causal": True, **options}
    options = {"pooling": "tokens", "dropout": 0.0, "seed": 1, **options}
    return randomized(mm.MultiModalTransformer(configs, 16, **options), image)


def prompt(image=None, batch=2, length=5):
    rng = np.random.default_rng(0)
    inputs = {"text": rng.integers(1, VOCABULARY, (batch, length)).astype("int32")}
    if image is not None:
        inputs["image"] = rng.normal(size=(batch, 2, 3, 6)).astype("float32")
    return inputs


def randomized(model, image):
    call = {}
    if image is not None and "into" in image:
        call["placeholders"] = {"image": np.arange(9)[None].repeat(2, 0) < 6}
        model({**prompt(image, length=9)}, **call)
    elif model.cross_attention:
        model(prompt(image), encoded=np.zeros((2, 3, 16), "float32"))
    else:
        model(prompt(image))
    rng = np.random.default_rng(3)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if len(shape) > 0:
            # what tokens attend to has a large part in what follows them
            scale = 3.0 if "/attention/" in weight.path else 1.0
            weight.assign(scale * rng.normal(size=shape) * shape[0] ** -0.5)
    return model
