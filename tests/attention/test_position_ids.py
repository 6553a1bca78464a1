"""Position ids of mixed sequences against a walk over their items, token by token."""

import keras
import numpy as np
import pytest
from mixed_sequences import (
    AUDIO,
    IMAGE,
    MODALITIES,
    NAMES,
    VIDEO,
    Sample,
    padded,
    random_sample,
)
from position_walk import RULES, arguments, walk
from tensors import array

import keras_mmembed as mm


@pytest.mark.parametrize("item_ids", [False, True], ids=["", "items"])
@pytest.mark.parametrize("rule", ["sequence", *RULES])
@pytest.mark.parametrize("seed", range(4))
def test_rule(rule, item_ids, seed):
    rng = np.random.default_rng(seed)
    samples = [
        random_sample(rng, (IMAGE, VIDEO, AUDIO), (0.25, 1.0, 3.25)) for _ in range(10)
    ]
    fused, rates, _ = padded(samples, ("right", "left"), item_ids)
    got, behind = mm.rotary_positions(
        fused, rule, **arguments(rule, rates), return_next=True
    )
    got, behind = array(got), array(behind)
    for row, sample in enumerate(samples):
        expected, after = walk(rule, sample)
        np.testing.assert_array_equal(got[row][fused["mask"][row]], expected)
        assert behind[row] == after
    assert (got[~fused["mask"]] == 0).all()


def test_two_images_with_nothing_between_stay_two():
    sample = Sample()
    for sizes in ((2, 3), (1, 2), (3, 1)):
        sample.grid(IMAGE, 1, *sizes)
    for item_ids in (False, True):
        fused, _, _ = padded([sample], item_ids=item_ids)
        got = array(mm.rotary_positions(fused, "qwen2_vl", **MODALITIES))[0]
        starts = got[[0, 6, 8]]
        np.testing.assert_array_equal(starts, [[0] * 3, [3] * 3, [5] * 3])


def test_item_ids_tell_parts_of_one_image_from_two():
    fused = {
        "mask": np.ones((1, 4), bool),
        "modality_ids": np.full((1, 4), IMAGE, "int32"),
        "positions": np.array(
            [[[0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 2]]], "float32"
        ),
    }
    one = mm.rotary_positions(fused, "qwen2_vl", **MODALITIES)
    assert array(one)[0, :, 2].tolist() == [0, 1, 1, 2]
    fused["item_ids"] = np.array([[0, 0, 1, 1]])
    two = mm.rotary_positions(fused, "qwen2_vl", **MODALITIES)
    assert array(two)[0, :, 2].tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize("item_ids", [False, True], ids=["", "items"])
@pytest.mark.parametrize("rule", ["qwen2_5_omni", "seconds"])
def test_clips_with_audio_are_items_of_their_own(rule, item_ids):
    sample, numbers = Sample(), []  # of each item among those of its modality
    for clip, (frames, *sides) in enumerate([(2, 1, 3), (3, 2, 1)]):
        for frame in range(frames):
            grid = [(frame, *place) for place in np.ndindex(*sides)]
            sample.add(VIDEO, grid)
            sample.add(AUDIO, [(2 * frame, 0, 0), (2 * frame + 1, 0, 0)])
            numbers += [clip] * len(grid) + [0] * 2
        sample.grids.append((VIDEO, frames, *sides))
    sample.grid(IMAGE, 1, 2, 1)
    numbers += [0] * 2
    fused, rates, _ = padded([sample], item_ids=item_ids)
    if item_ids:
        fused["item_ids"][0, : len(sample)] = numbers
    got = array(mm.rotary_positions(fused, rule, **arguments(rule, rates)))
    np.testing.assert_array_equal(got[0, : len(sample)], walk(rule, sample)[0])


def test_masked_tokens_inside_take_up_nothing():
    rng = np.random.default_rng(0)
    sample = random_sample(rng, (IMAGE, VIDEO))
    fused, _, _ = padded([sample])
    expected = array(mm.rotary_positions(fused, "qwen2_vl", **MODALITIES))[0]
    expected = expected[fused["mask"][0]]
    # the tokens between are padding, with the coordinates of anything
    shape = fused["mask"].shape
    place = np.sort(rng.permutation(shape[1])[: len(sample)])
    spread = {
        "mask": np.zeros(shape, bool),
        "modality_ids": rng.integers(0, 3, shape).astype("int32"),
        "positions": rng.integers(0, 9, (*shape, 3)).astype("float32"),
    }
    for name, values in fused.items():
        spread[name][0, place] = values[0, : len(sample)]
    got = array(mm.rotary_positions(spread, "qwen2_vl", **MODALITIES))[0]
    assert len(place) < shape[1]
    np.testing.assert_array_equal(got[place], expected)


@pytest.mark.parametrize("rule", ["sequence", *RULES])
def test_packed_examples_are_as_they_are_alone(rule):
    rng = np.random.default_rng(3)
    rows, parts = [], []
    for _ in range(8):
        samples = [random_sample(rng, (IMAGE, VIDEO, AUDIO)) for _ in range(3)]
        row = Sample()
        for sample in samples:
            row.modality += sample.modality
            row.coordinates += sample.coordinates
            row.rate += sample.rate
            row.repeats += sample.repeats
            row.item += [100 * len(row.grids) + item for item in sample.item]
            row.grids += sample.grids
        rows.append(row)
        parts.append(samples)
    fused, rates, _ = padded(rows, ("left", "right"))
    examples = np.zeros(fused["mask"].shape, "int32")
    for row, samples in enumerate(parts):
        numbers = np.repeat(np.arange(1, 4), [len(one) for one in samples])
        examples[row, fused["mask"][row]] = numbers
    got, behind = mm.rotary_positions(
        fused, rule, **arguments(rule, rates), example_ids=examples, return_next=True
    )
    got, behind = array(got), array(behind)
    for row, samples in enumerate(parts):
        expected = [walk(rule, sample)[0] for sample in samples]
        np.testing.assert_array_equal(
            got[row][fused["mask"][row]], np.concatenate(expected)
        )
        assert behind[row] == walk(rule, samples[-1])[1]


def test_packed_images_with_nothing_between():
    sample = Sample()
    sample.add(IMAGE, [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 0, 0), (0, 0, 1)])
    fused, _, _ = padded([sample], item_ids=True)
    examples = np.zeros_like(fused["modality_ids"])
    examples[0, 3:] = 1
    got = mm.rotary_positions(fused, "qwen2_vl", **MODALITIES, example_ids=examples)
    assert array(got)[0, :5, 2].tolist() == [0, 1, 0, 0, 1]
    number = mm.rotary_positions(
        fused, "hunyuan_vl", **MODALITIES, example_ids=examples, return_next=True
    )
    assert array(number[0])[0, :5].tolist()[3] == [0, 0, 0, 0]
    one = mm.rotary_positions(fused, "qwen2_vl", **MODALITIES, return_next=True)[1]
    two = mm.rotary_positions(
        fused, "qwen2_vl", **MODALITIES, example_ids=examples, return_next=True
    )[1]
    assert (array(one)[0], array(two)[0]) == (2, 2)


def test_a_sample_is_in_a_batch_as_it_is_alone():
    rng = np.random.default_rng(1)
    samples = [random_sample(rng) for _ in range(5)]
    fused, _, _ = padded(samples)
    together = array(mm.rotary_positions(fused, "hunyuan_vl", **MODALITIES))
    for row in range(2):
        alone = {name: values[row : row + 1] for name, values in fused.items()}
        got = array(mm.rotary_positions(alone, "hunyuan_vl", **MODALITIES))
        np.testing.assert_array_equal(got[0], together[row])


def test_cached_decoding_goes_on_where_the_sequence_ended():
    rng = np.random.default_rng(2)
    samples = [random_sample(rng) for _ in range(10)]
    fused, _, _ = padded(samples, ("left",))
    _, behind = mm.rotary_positions(fused, "qwen2_vl", **MODALITIES, return_next=True)
    step = {
        "mask": np.ones((10, 2), bool),
        "modality_ids": np.zeros((10, 2), "int32"),
        "positions": np.zeros((10, 2, 3), "float32"),
    }
    got = mm.rotary_positions(step, "qwen2_vl", **MODALITIES, start_index=behind)
    for sample in samples:
        sample.text(2)
    longer, _, _ = padded(samples, ("left",))
    whole = array(mm.rotary_positions(longer, "qwen2_vl", **MODALITIES))
    np.testing.assert_array_equal(array(got), whole[:, -2:])
    same = mm.rotary_positions(step, "qwen2_vl", **MODALITIES, start_index=7)
    assert array(same)[0].tolist() == [[7, 7, 7], [8, 8, 8]]


def test_tokens_that_repeat_a_position():
    sample = Sample()
    sample.text(2)
    sample.text(1, repeats=True)
    sample.grid(IMAGE, 1, 1, 2)
    sample.text(1)
    sample.text(1, repeats=True)
    fused, _, repeats = padded([sample])
    got = mm.rotary_positions(fused, "qwen2_vl", **MODALITIES, repeats=repeats)
    assert array(got)[0, :7, 0].tolist() == [0, 1, 1, 2, 2, 4, 4]


def test_times_in_seconds_are_not_rounded():
    sample = Sample()
    sample.text(1)
    sample.grid(VIDEO, 3, 1, 1)
    sample.text(1)
    fused, _, _ = padded([sample])
    fused["positions"][0, 1:4, 0] = [0.0, 0.4, 0.8]
    got = mm.rotary_positions(fused, "seconds", **MODALITIES, rate=2.0)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    expected = [0.0, 1.0, 1.8, 2.6, 3.6]
    np.testing.assert_allclose(array(got)[0, :5, 0], expected, atol=1e-6)
    down = mm.rotary_positions(fused, "qwen2_5_vl", **MODALITIES, rate={"video": 25.0})
    assert array(down)[0, :5, 0].tolist() == [0, 1, 11, 21, 22]


def test_coordinates_of_a_tower():
    sample = Sample()
    sample.grid(IMAGE, 1, 2, 2)
    sample.text(1)
    fused, _, _ = padded([sample])
    fused["modality_ids"][0, 4] = -1
    got = array(mm.rotary_positions(fused, "image"))[0, :6]
    expected = [[0, 0], [0, 1], [1, 0], [1, 1], [-1, -1], [-1, -1]]
    np.testing.assert_array_equal(got, expected)
    clip = array(mm.rotary_positions(fused, "clip"))[0, :6]
    np.testing.assert_array_equal(clip[:, 1:], expected)
    none = mm.rotary_positions(fused, "image", modalities=NAMES, grids=["video"])
    assert (array(none) == -1).all()


@pytest.mark.parametrize("rule", ["sequence", "qwen2_vl", "seconds", "hunyuan_vl"])
@pytest.mark.parametrize("packed", [False, True], ids=["", "packed"])
def test_compiled_with_an_unknown_length(rule, packed):
    rng = np.random.default_rng(4)
    fused, _, _ = padded([random_sample(rng) for _ in range(3)], ("left", "right"))
    inputs = {
        name: keras.Input((None, *values.shape[2:]), dtype=str(values.dtype), name=name)
        for name, values in fused.items()
    }
    more, fed = {}, {}
    if packed:
        fed["examples"] = np.cumsum(rng.random(fused["mask"].shape) < 0.1, 1)
        inputs["examples"] = keras.Input((None,), dtype="int32", name="examples")
        more["example_ids"] = inputs["examples"]
    named = {name: inputs[name] for name in fused}
    options = {} if rule == "sequence" else MODALITIES
    model = keras.Model(inputs, mm.rotary_positions(named, rule, **options, **more))
    if packed:
        more["example_ids"] = fed["examples"].astype("int32")
    expected = array(mm.rotary_positions(fused, rule, **options, **more))
    got = model.predict({**fused, **fed}, verbose=0)
    np.testing.assert_array_equal(got, expected)


def test_no_tokens_and_no_samples():
    for shape in ((2, 0), (0, 3)):
        fused = {
            "mask": np.ones(shape, bool),
            "modality_ids": np.zeros(shape, "int32"),
            "positions": np.zeros((*shape, 3), "float32"),
        }
        got, behind = mm.rotary_positions(
            fused, "qwen2_vl", **MODALITIES, return_next=True
        )
        assert tuple(got.shape) == (*shape, 3)
        assert (array(behind) == 0).all()
        assert tuple(mm.rotary_positions(fused).shape) == shape
