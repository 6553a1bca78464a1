"""Generation: the KV cache, sampling, and the arguments of `generate`."""

import numpy as np
import pytest
from tensors import array

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
    "swin": (
        {"type": "none"},
        {"relative_bias": {"convention": "beit", "grid": (2, 3)}},
    ),
}


def decoder(position="sinusoidal", image=None, **more):
    text, options = POSITIONS[position]
    options = {**options, **more}
    if not options.get("tie_embeddings"):
        options["num_outputs"] = VOCABULARY
    configs = {"text": {**TEXT, **text}}
    if image is not None:
        configs = {"image": {"type": "2d", "dim": 6, **image}, **configs}
    options = {"num_layers": 2, "num_heads": 4, "causal": True, **options}
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
    else:
        model(prompt(image))
    rng = np.random.default_rng(3)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if len(shape) > 0:
            weight.assign(rng.normal(size=shape) * shape[0] ** -0.5)
    return model


def recomputed(model, inputs, steps, mask=None, **call):
    """Return greedy tokens of each sample alone, with all computed again for each."""
    rows = []
    for place, ids in enumerate(inputs["text"]):
        valid = np.ones(len(ids), bool) if mask is None else mask[place]
        one = {name: x[place : place + 1] for name, x in inputs.items()}
        one["text"] = ids[valid][None]
        more = {k: {"image": v["image"][place : place + 1]} for k, v in call.items()}
        if "placeholders" in more:
            more["placeholders"] = {"image": more["placeholders"]["image"][:, valid]}
        row = []
        for _ in range(steps):
            token = array(model(one, **more))[:, -1].argmax(axis=-1)
            row.append(int(token[0]))
            one["text"] = np.append(one["text"], token[None], axis=1).astype("int32")
            if "placeholders" in more:
                places = more["placeholders"]["image"]
                more["placeholders"] = {"image": np.append(places, [[False]], axis=1)}
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("image", [None, {}], ids=["text", "image"])
@pytest.mark.parametrize("position", POSITIONS)
def test_cached_equals_recomputed(position, image):
    model = decoder(position, image)
    inputs = prompt(image)
    got = model.generate(inputs, 6)
    assert got.shape == (2, 6) and got.dtype == np.int32
    np.testing.assert_array_equal(got, recomputed(model, inputs, 6))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("position", ["learned", "rotary", "t5", "alibi"])
def test_a_padded_prompt_generates_as_it_does_alone(position, side):
    model = decoder(position, {})
    inputs, lengths = prompt({}), np.array([[5], [3]])
    place = np.arange(5)
    mask = place < lengths if side == "right" else place >= 5 - lengths
    call = {"mask": {"text": mask}}
    if position == "learned":
        call["positions"] = {"text": mm.positions_from_mask(mask)}
    got = model.generate(inputs, 6, **call)
    np.testing.assert_array_equal(got, recomputed(model, inputs, 6, mask))
