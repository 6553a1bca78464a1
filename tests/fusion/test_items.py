"""Several images or clips of a sample, one behind the other in its tokens."""

import keras
import numpy as np
import pytest
from mixed_sequences import IMAGE, TEXT, VIDEO, random_sample
from position_walk import walk
from tensors import normal, numpy
from weights import randomize, reloaded

import keras_mmembed as mm

WIDTH = 8
TABLE = {"kind": "learned", "interpolation": "bilinear", "out_of_range": "resize"}
NAMES = ("text", "image", "video")
KEYS = ("embeddings", "modality_ids", "positions", "item_ids")


@pytest.fixture(scope="module")
def fusion():
    image = mm.PositionEmbedding2D(2, 2, **TABLE)
    video = mm.PositionEmbedding3D(2, 2, 2, out_of_range="resize_longer")
    ends = {"start_token": True, "end_token": True}
    configs = {
        "text": {"type": "1d", "dim": WIDTH},
        "image": {"type": "2d", "dim": WIDTH, "position": image, **ends},
        "video": {"type": "3d", "dim": WIDTH, "position": video},
    }
    layer = mm.MultiModalFusion(
        configs, WIDTH, dropout=0.0, cls_token=True, return_dict=True, name="fusion"
    )
    layer.build({name: (None, None, WIDTH) for name in configs})
    return randomize(layer)


def samples():
    """Return samples with two images, none and one, and some clips."""
    sizes = [
        ([(2, 3), (1, 2)], [(1, 2, 2)]),
        ([], [(3, 1, 1), (1, 1, 2)]),
        ([(3, 1)], []),
    ]
    made = []
    for seed, (images, clips) in enumerate(sizes):
        grids = [[normal(*s, WIDTH, seed=seed) for s in some] for some in sizes[seed]]
        made.append({"text": normal(2, WIDTH, seed=seed)})
        made[-1] |= {"image": grids[0]} if images else {}
        made[-1] |= {"video": grids[1]} if clips else {}
    return made


def assert_equal(fused, index, expected):
    valid, alone = fused["mask"][index], expected["mask"][0]
    for key in KEYS:
        got, wanted = fused[key][index][valid], expected[key][0][alone]
        np.testing.assert_allclose(got, wanted, atol=2e-6, err_msg=key)


def test_a_batch_equals_its_samples(fusion):
    batch = mm.pad_batch(samples())
    # what has no tokens is absent, without being told
    fused = numpy(fusion(batch["inputs"], grids=batch["grids"]))
    for index, sample in enumerate(samples()):
        assert_equal(fused, index, numpy(fusion(**mm.pad_batch([sample]))))


def test_an_item_is_as_it_is_alone(fusion):
    sample = samples()[0]
    fused = numpy(fusion(**mm.pad_batch([sample])))
    assert fused["item_ids"].tolist() == [[-1, 0, 0, -1, *[0] * 6, 1, 1, -1, *[0] * 4]]
    tokens = fused["embeddings"][0, 4:12]
    for image, got in zip(sample["image"], np.split(tokens, [6]), strict=True):
        alone = numpy(fusion({"image": image[None]}))
        np.testing.assert_allclose(got, alone["embeddings"][0, 2:-1], atol=2e-6)


def test_compiled_with_unknown_lengths_equals_eager(fusion, tmp_path):
    batch = mm.pad_batch(samples())
    given = {**batch["inputs"], "grid": batch["grids"]["image"]}
    given["clips"] = batch["grids"]["video"]
    inputs = {
        name: keras.Input((None, x.shape[-1]), dtype=str(x.dtype), name=name)
        for name, x in given.items()
    }
    grids = {"image": inputs["grid"], "video": inputs["clips"]}
    fused = fusion({name: inputs[name] for name in batch["inputs"]}, grids=grids)
    model = keras.Model(inputs, dict(fused))
    expected = numpy(fusion(batch["inputs"], grids=batch["grids"]))
    for same in (model, reloaded(model, tmp_path)):
        got = same.predict(given, verbose=0)
        np.testing.assert_array_equal(got["item_ids"], expected["item_ids"])
        valid = expected["mask"]
        np.testing.assert_array_equal(got["mask"], valid)
        for key in ("embeddings", "positions"):
            np.testing.assert_allclose(got[key][valid], expected[key][valid], atol=2e-6)


def test_no_items_and_no_tokens(fusion):
    text = normal(2, 3, WIDTH)
    expected = numpy(fusion({"text": text}))
    for length, items in ((4, 0), (0, 2)):
        image = {"text": text, "image": normal(2, length, WIDTH)}
        grids = {"image": np.zeros((2, items, 2), "int32")}
        fused = numpy(fusion(image, grids=grids))
        for index in range(2):
            one = {key: value[index : index + 1] for key, value in expected.items()}
            assert_equal(fused, index, one)


def test_a_mask_is_joined_to_the_grids(fusion):
    grids = np.array([[[1, 2], [2, 1]]])
    mask = np.array([[True, False, True, True, True]])
    fused = numpy(
        fusion(
            {"image": normal(1, 5, WIDTH)}, grids={"image": grids}, mask={"image": mask}
        )
    )
    assert fused["mask"].tolist() == [
        [True, True, True, False, True, True, False, True]
    ]
    assert fused["item_ids"].tolist() == [[-1, -1, 0, 0, 1, 1, -1, -1]]


def test_tokens_that_stand_in_are_one_item():
    config = {"image": {"type": "2d", "dim": WIDTH}, "text": {"type": "1d", "dim": 5}}
    layer = mm.MultiModalFusion(config, WIDTH, missing="token", return_dict=True)
    inputs = {"image": normal(2, 3, WIDTH), "text": normal(2, 1, 5)}
    fused = numpy(layer(inputs, grids={"image": [[[1, 1], [1, 2]], [[0, 0], [0, 0]]]}))
    assert fused["mask"].all()
    assert fused["item_ids"].tolist() == [[0, 1, 1, 0], [0, 0, 0, 0]]
    alone = numpy(layer({"text": inputs["text"]}))
    assert alone["item_ids"].tolist() == [[0, 0]] * 2


def test_special_tokens_are_of_no_item():
    image = {"type": "2d", "dim": WIDTH, "row_token": True, "end_token": True}
    configs = {"image": image, "queries": {"type": "none", "dim": WIDTH}}
    layer = mm.MultiModalFusion(configs, WIDTH, num_registers=1, return_dict=True)
    inputs = {"image": normal(1, 2, 1, WIDTH), "queries": normal(1, 3, WIDTH)}
    expected = [[-1, 0, -1, 0, -1, -1, 0, 0, 0]]
    assert numpy(layer(inputs))["item_ids"].tolist() == expected


def test_an_item_begins_at_each_position_0():
    layer = mm.MultiModalFusion(
        {"image": {"type": "2d", "dim": WIDTH}}, WIDTH, return_dict=True
    )
    positions = np.array([[0, 0], [0, 1], [0, 0], [1, 0]])
    fused = layer({"image": normal(1, 4, WIDTH)}, positions={"image": positions})
    assert numpy(fused)["item_ids"].tolist() == [[0, 0, 1, 1]]


def in_a_text(mixed):
    """Return the arguments of a call that places the items of samples in a text."""
    rows, length = len(mixed), max(map(len, mixed))
    call = {"inputs": {}, "placeholders": {}, "grids": {}}
    words = np.zeros((rows, length), "int32")
    for row, sample in enumerate(mixed):
        words[row, : len(sample)] = np.array(sample.modality) + 1
    call["inputs"]["text"] = words
    for name, kind, axes in (("image", IMAGE, 2), ("video", VIDEO, 3)):
        sizes = [[one[-axes:] for one in s.grids if one[0] == kind] for s in mixed]
        grids = np.zeros((rows, max(map(len, sizes)), axes), "int32")
        for row, some in zip(grids, sizes, strict=True):
            row[: len(some)] = some
        tokens = grids.prod(axis=-1).sum(axis=-1).max()
        call["inputs"][name] = normal(rows, tokens, WIDTH)
        call["grids"][name] = grids
        call["placeholders"][name] = words == kind + 1
    return call


@pytest.fixture(scope="module")
def placed():
    configs = {"text": {"type": "1d", "vocabulary_size": 9, "padding_id": 0}}
    for name, kind in (("image", "2d"), ("video", "3d")):
        configs[name] = {"type": kind, "dim": WIDTH, "into": "text"}
    fusion = mm.MultiModalFusion(configs, WIDTH, dropout=0.0, return_dict=True)
    rng = np.random.default_rng(0)
    mixed = [random_sample(rng, longest=3) for _ in range(4)]
    for sample in mixed:
        # with nothing between
        sample.grid(IMAGE, 1, 2, 1)
        sample.grid(IMAGE, 1, 1, 2)
        sample.grid(VIDEO, 2, 1, 1)
        sample.grid(VIDEO, 1, 1, 2)
    return mixed, numpy(fusion(**in_a_text(mixed)))


@pytest.mark.parametrize("rule", ["qwen2_vl", "qwen3_vl", "hunyuan_vl", "seconds"])
def test_position_ids_of_items_in_a_text(placed, rule):
    mixed, fused = placed
    got = numpy(
        mm.rotary_positions(fused, rule, modalities=NAMES, grids=["image", "video"])
    )
    for row, sample in enumerate(mixed):
        expected = walk(rule, sample)[0]
        np.testing.assert_array_equal(got[row, : len(sample)], expected)


def test_a_placed_item_keeps_its_number(placed):
    mixed, fused = placed
    for row, sample in enumerate(mixed):
        for kind in (TEXT, IMAGE, VIDEO):
            here = np.array(sample.modality) == kind
            numbers = np.array(sample.item)[here] * (kind != TEXT)
            expected = np.unique(numbers, return_inverse=True)[1]
            got = fused["item_ids"][row, : len(sample)][here]
            np.testing.assert_array_equal(got, expected)
