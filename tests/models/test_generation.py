"""Generation: the KV cache, sampling, and the arguments of `generate`."""

import keras
import numpy as np
import pytest
from decoders import POSITIONS, decoder, prompt
from tensors import array
from weights import reloaded

import keras_mmembed as mm


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


def half():
    return decoder("rotary", {}, dtype="bfloat16")


def quantized():
    model = decoder("learned", {})
    model.quantize("int8")
    return model


def adapted():
    model, rng = decoder("rotary", {}), np.random.default_rng(6)
    for block in model.blocks:
        for dense in ("query_dense", "key_dense", "value_dense", "output_dense"):
            getattr(block.attention, dense).enable_lora(2)
    for weight in model.weights:
        if "lora" in weight.path:
            weight.assign(rng.normal(size=weight.shape) / 2)
    return model


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.parametrize("make_model", [half, quantized, adapted])
def test_cached_equals_recomputed_of_weights(make_model):
    model, inputs = make_model(), prompt({})
    check_greedy(model, inputs, model.generate(inputs, 6))


def test_a_file_of_tied_embeddings_generates_the_same(tmp_path):
    model, inputs = decoder("learned", {}), prompt({})
    expected = model.generate(inputs, 6)
    loaded = reloaded(model, tmp_path)
    assert len(loaded.weights) == len(model.weights)
    np.testing.assert_array_equal(loaded.generate(inputs, 6), expected)
