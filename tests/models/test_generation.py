"""Generation: the KV cache, sampling, and the arguments of `generate`."""

import functools

import keras
import numpy as np
import pytest
from messages import checks, make, wrong
from tensors import array
from weights import reloaded

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
            weight.assign(rng.normal(size=shape) * shape[0] ** -0.5)
    return model


def check_greedy(model, inputs, got, mask=None, **call):
    """Check that each token is the most likely one behind those before it.

    The model computes the logits of prompt and answer at once, sample by sample.
    """
    for place, ids in enumerate(inputs["text"]):
        valid = np.ones(len(ids), bool) if mask is None else mask[place]
        one = {name: x[place : place + 1] for name, x in inputs.items()}
        one["text"] = np.append(ids[valid], got[place, :-1])[None]
        more = {k: {"image": v["image"][place : place + 1]} for k, v in call.items()}
        if "placeholders" in more:
            places = more["placeholders"]["image"][:, valid]
            places = np.append(places, np.zeros((1, got.shape[1] - 1), bool), axis=1)
            more["placeholders"] = {"image": places}
        logits = array(model(one, **more))[0, -got.shape[1] :]
        np.testing.assert_array_equal(got[place], logits.argmax(axis=-1))


@pytest.mark.parametrize("position", POSITIONS)
def test_cached_equals_recomputed(position):
    model = decoder(position, {})
    inputs = prompt({})
    got = model.generate(inputs, 6)
    assert got.shape == (2, 6) and got.dtype == np.int32
    check_greedy(model, inputs, got)


@pytest.mark.parametrize("position", ["learned", "rotary", "t5"])
def test_a_padded_prompt_generates_as_it_does_alone(position):
    model = decoder(position)
    inputs, place = prompt(batch=3), np.arange(5)
    # none, right, and left of the text
    mask = np.stack([place < 5, place < 3, place > 1])
    call = {"mask": {"text": mask}}
    if position == "learned":
        call["positions"] = {"text": mm.positions_from_mask(mask)}
    got = model.generate(inputs, 6, **call)
    check_greedy(model, inputs, got, mask)


def test_images_in_the_prompt():
    model = decoder(
        "rotary",
        {"into": "text"},
        rotary_rule="qwen2_vl",
        rotary={"convention": "qwen2_vl", "sections": [0, 1, 1]},
    )
    inputs = prompt({}, length=9)
    places = np.arange(9)[None].repeat(2, 0)
    # of the second sample, the image comes later, and padding before
    call = {"placeholders": {"image": np.stack([places[0] < 6, places[1] > 2])}}
    mask = np.stack([places[0] < 8, places[1] > 1])
    got = model.generate(inputs, 5, mask={"text": mask}, **call)
    check_greedy(model, inputs, got, mask, **call)


def test_an_image_at_the_end_of_the_prompt():
    model = decoder("sinusoidal", {"into": "text"})
    inputs = prompt({}, length=9)
    places = np.arange(9)[None].repeat(2, 0)
    # of the second sample, all after one word, and padding behind
    second = (places[1] > 0) & (places[1] < 7)
    call = {"placeholders": {"image": np.stack([places[0] > 2, second])}}
    mask = np.stack([places[0] < 9, places[1] < 7])
    got = model.generate(inputs, 5, mask={"text": mask}, **call)
    check_greedy(model, inputs, got, mask, **call)


def test_a_decoder_beside_an_encoder():
    model = decoder("t5", cross_attention=True, relative_bias=None)
    inputs, rng = prompt(), np.random.default_rng(5)
    encoded = rng.normal(size=(2, 4, 16)).astype("float32")
    mask = np.array([[True] * 4, [True, True, False, False]])
    got = model.generate(inputs, 4, encoded=encoded, encoded_mask=mask)
    ids = np.concatenate([inputs["text"], got[:, :-1]], axis=1)
    logits = array(model({"text": ids}, encoded=encoded, encoded_mask=mask))
    np.testing.assert_array_equal(got, logits[:, -4:].argmax(axis=-1))
    alone = model.generate({"text": inputs["text"][1:]}, 4, encoded=encoded[1:, :2])
    np.testing.assert_array_equal(got[1:], alone)


def test_a_batch_generates_what_its_samples_do():
    model = decoder("rotary", {})
    inputs = prompt({})
    got = model.generate(inputs, 4)
    one = {name: x[:1] for name, x in inputs.items()}
    np.testing.assert_array_equal(got[:1], model.generate(one, 4))
    # nor does the unused part of the cache change anything
    np.testing.assert_array_equal(got, model.generate(inputs, 4, max_length=40))


def test_a_stop_id_ends_a_sample():
    model = decoder()
    inputs = prompt()
    free = model.generate(inputs, 6)
    stop = int(free[0, 1])
    got = model.generate(inputs, 6, stop_ids=[stop])
    for row, expected in zip(got, free, strict=True):
        ends = np.flatnonzero(expected == stop)
        end = ends[0] + 1 if len(ends) else len(row)
        np.testing.assert_array_equal(row[:end], expected[: len(row)][:end])
        assert (row[end:] == stop).all()


def test_a_model_of_one_modality_takes_ids_as_they_are():
    model, inputs = decoder(), prompt()
    got = model.generate(inputs["text"], 3)
    np.testing.assert_array_equal(got, model.generate(inputs, 3))


def test_a_stream_yields_the_same_tokens_one_by_one():
    model = decoder()
    steps = list(model.generate(prompt(), 3, stream=True))
    assert [step.shape for step in steps] == [(2,)] * 3
    np.testing.assert_array_equal(np.stack(steps, 1), model.generate(prompt(), 3))


def test_a_seed_draws_the_same_tokens():
    model = decoder()
    drawn = [model.generate(prompt(), 8, temperature=2.0, seed=s) for s in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    likely = model.generate(prompt(), 8)
    only = model.generate(prompt(), 8, temperature=2.0, top_k=1, seed=3)
    np.testing.assert_array_equal(only, likely)
    only = model.generate(prompt(), 8, temperature=2.0, top_p=1e-6, seed=3)
    np.testing.assert_array_equal(only, likely)


def test_the_longest_answer_needs_a_table_for_it():
    model = decoder("learned")
    with pytest.raises(ValueError, match="`max_new_tokens` must be at most 26"):
        model.generate(prompt(), 27)
    assert model.generate(prompt(), 26).shape == (2, 26)


def generates(**changes):
    """Return `generate` of a model with an argument of another value."""
    return functools.partial(decoder(**changes).generate, prompt(), 4)


DECODER = decoder()
GENERATE = functools.partial(DECODER.generate, prompt(), 4)
ERRORS = [
    wrong(GENERATE, "be greater than 0", temperature=-1.0),
    wrong(GENERATE, "be a number", temperature="hot"),
    wrong(GENERATE, "be a number", temperature=True),
    wrong(GENERATE, "be at least 1", temperature=1.0, top_k=0),
    wrong(GENERATE, "lie in [0, 1]", temperature=1.0, top_p=1.5),
    wrong(GENERATE, "lie in (0, 1]", temperature=1.0, top_p=0.0),
    wrong(GENERATE, "be None with temperature=0", top_p=0.5),
    wrong(GENERATE, "be None with temperature=0", top_k=3),
    wrong(GENERATE, "be an id, or a list of at least one", stop_ids=[]),
    wrong(GENERATE, "be below the vocabulary_size 11", "11", stop_ids=[11]),
    wrong(GENERATE, "be an integer", "'a'", stop_ids="a"),
    wrong(GENERATE, "be at least 9, for 5 tokens of the prompt and 4", max_length=8),
    wrong(GENERATE, "be at least 0", temperature=1.0, seed=-1),
    wrong(GENERATE, "be True or False", stream="yes"),
    wrong(
        functools.partial(DECODER.generate, prompt()), "be at least 1", max_new_tokens=0
    ),
    wrong(
        functools.partial(DECODER.generate, max_new_tokens=4),
        "have ids of 'text', such as a start token",
        "['text']",
        inputs={"text": np.zeros((2, 0), "int32")},
    ),
    make(generates(causal=False)).says("causal", "be True: a token", "False"),
    make(generates(pooling="mean")).says("pooling", 'be "tokens"', "'mean'"),
    make(functools.partial(decoder(num_outputs=7).generate, prompt(), 4)).says(
        "num_outputs", "be 11, the vocabulary_size of 'text'", "7"
    ),
    make(generates(image={}, prefix=["text"])).says(
        "prefix", "not hold 'text', whose tokens are generated", "['text']"
    ),
]
test_errors = checks(ERRORS)


def test_an_unknown_argument_is_told():
    rule = "`images` must be left out: the arguments of a call are segment_ids"
    with pytest.raises(TypeError, match=rule):
        GENERATE(images=3)


@pytest.mark.parametrize("position", ["learned", "beit"])
def test_the_loop_in_a_graph_generates_the_same(position, tmp_path):
    model = decoder(position, {})
    inputs = prompt({})
    expected = model.generate(inputs, 5)
    stop = int(expected[0, 2])
    layer = model.generator(5, stop_ids=[stop])
    symbols = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "image": keras.Input((2, 3, 6), name="image"),
    }
    whole = keras.Model(symbols, layer(symbols))
    stopped = model.generate(inputs, 5, stop_ids=[stop])
    padded = np.full((2, 5), stop)
    padded[:, : stopped.shape[1]] = stopped
    np.testing.assert_array_equal(whole.predict(inputs, verbose=0), padded)
    np.testing.assert_array_equal(reloaded(whole, tmp_path)(inputs), padded)
