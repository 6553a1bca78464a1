"""Position ids of mixed sequences against published functions, without difference."""

from pathlib import Path

import numpy as np
import pytest
from mixed_sequences import (
    AUDIO,
    IMAGE,
    MODALITIES,
    VIDEO,
    Sample,
    padded,
    random_sample,
)
from position_ids import TOKENS, caller, config, grids_of, tokens_of
from published import array, models, torch

import keras_mmembed as mm

KEPT = Path(__file__).parents[1] / "data" / "position_ids.npz"
NUMBER = 100
TOKENS_PER_SECOND = 2.0


def model_of(name, prefix, **attributes):
    module = getattr(getattr(models, name), f"modeling_{name}")
    settings = config(tokens_per_second=TOKENS_PER_SECOND)
    return caller(getattr(module, prefix), settings, **attributes)


def assert_equal(got, expected, mask):
    """Assert that valid tokens have the same positions; expected has axes first."""
    got, expected = array(got), array(expected.permute(1, 2, 0))
    assert mask.sum() > 5 * NUMBER
    np.testing.assert_array_equal(got[mask], expected[mask])


def samples_of(number=NUMBER, **options):
    rng = np.random.default_rng(0)
    return [random_sample(rng, **options) for _ in range(number)]


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl"])
def test_of_transformers_4(name):
    kept = np.load(KEPT)
    keys = ("mask", "modality_ids", "positions")
    fused = {key: kept[f"{name}_fused_{key}"] for key in keys}
    rate = {"rate": kept[f"{name}_rates"]} if name == "qwen2_5_vl" else {}
    got, behind = mm.rotary_positions(
        fused, name, **MODALITIES, **rate, return_next=True
    )
    mask = fused["mask"]
    assert len(mask) == NUMBER
    expected = kept[f"{name}_positions"]
    np.testing.assert_array_equal(array(got)[mask], expected[mask])
    np.testing.assert_array_equal(array(behind), kept[f"{name}_next"])


FRAMES = {"kinds": (IMAGE, VIDEO), "split": True}
IMAGES = {"kinds": (IMAGE,)}


@pytest.mark.parametrize(
    "name, prefix, rule, options",
    [
        ("qwen2_vl", "Qwen2VLModel", "qwen2_vl", IMAGES),
        ("paddleocr_vl", "PaddleOCRVLModel", "qwen2_vl", IMAGES),
        ("qwen3_vl", "Qwen3VLModel", "qwen3_vl", FRAMES),
        ("qwen3_5", "Qwen3_5Model", "qwen3_vl", FRAMES),
        ("glm4v", "Glm4vModel", "qwen3_vl", FRAMES),
    ],
)
def test_model(name, prefix, rule, options):
    samples = samples_of(**options)
    fused, _, _ = padded(samples, ("right", "left"), batch=NUMBER)
    ids, kinds, mask = tokens_of(fused)
    expected, deltas = model_of(name, prefix).get_rope_index(
        ids,
        mm_token_type_ids=kinds,
        image_grid_thw=grids_of(samples, IMAGE),
        video_grid_thw=grids_of(samples, VIDEO),
        attention_mask=mask,
    )
    got, behind = mm.rotary_positions(fused, rule, **MODALITIES, return_next=True)
    assert_equal(got, expected, fused["mask"])
    behind = array(behind) - fused["mask"].sum(axis=1)
    np.testing.assert_array_equal(behind, array(deltas)[:, 0])


def test_fractions_of_seconds_in_qwen2_5_vl():
    samples, rng = [], np.random.default_rng(0)
    for _ in range(NUMBER):
        sample = Sample()
        sample.text(int(rng.integers(1, 9)))
        # it comes last: the published function is wrong for text behind it
        sizes = map(int, rng.integers(1, 5, 3))
        sample.seconds.append(float(rng.choice([0.25, 0.75, 1.25, 3.5])))
        sample.grid(VIDEO, *sizes, sample.seconds[0])
        samples.append(sample)
    fused, rates, _ = padded(samples, batch=NUMBER)
    ids, kinds, mask = tokens_of(fused)
    model = model_of("qwen2_5_vl", "Qwen2_5_VLModel")
    expected, _ = model.get_rope_index(
        ids,
        mm_token_type_ids=kinds,
        video_grid_thw=grids_of(samples, VIDEO),
        second_per_grid_ts=torch.tensor([one.seconds[0] for one in samples]),
        attention_mask=mask,
    )
    rate = rates * TOKENS_PER_SECOND
    got = mm.rotary_positions(fused, "qwen2_5_vl", **MODALITIES, rate=rate)
    assert_equal(got, expected, fused["mask"])


def test_text_behind_a_clip():
    sample = Sample()
    sample.text(3)
    sample.grid(VIDEO, 12, 2, 2)
    sample.text(1)
    fused, _, _ = padded([sample])
    ids, kinds, mask = tokens_of(fused)
    model = model_of("qwen2_vl", "Qwen2VLModel")
    expected, _ = model.get_rope_index(
        ids[:1],
        mm_token_type_ids=kinds[:1],
        video_grid_thw=grids_of([sample], VIDEO),
        attention_mask=mask[:1],
    )
    last = len(sample) - 1
    got = array(mm.rotary_positions(fused, "qwen2_vl", **MODALITIES))[0]
    assert got[last].tolist() == [15] * 3
    # the fault of the published function, of which its version 4 is free
    assert expected[:, 0, last].tolist() == [5] * 3


def test_hunyuan_vl():
    module = models.hunyuan_vl.modeling_hunyuan_vl
    settings = config()
    settings.text_config = settings
    settings.rope_parameters = {"mrope_section": [1, 1, 1, 1]}
    model = caller(module.HunYuanVLModel, settings)
    samples = samples_of(kinds=(IMAGE,))
    fused, _, _ = padded(samples, ("right", "left"), batch=NUMBER)
    got = mm.rotary_positions(fused, "hunyuan_vl", **MODALITIES)
    ids, kinds, mask = tokens_of(fused)
    expected = torch.zeros(4, *mask.shape)
    for row, sample in enumerate(samples):
        grids = grids_of([sample], IMAGE)
        # each row has a token more at its end, which stands in the grid
        grids[:, 2] -= 2
        # one by one: the published number of an image goes on through the batch
        one = slice(row, row + 1)
        expected[:, one] = model.get_rope_index(
            ids[one], kinds[one], grids, attention_mask=mask[one]
        )[0].float()
    assert_equal(got, expected, fused["mask"])


def seconds_of(samples):
    return torch.tensor([second for one in samples for second in one.seconds])


def audio_lengths(samples):
    """Return lengths of spectrograms that become the numbers of audio tokens."""
    return torch.tensor(
        [
            4 * length
            for sample in samples
            for modality, length, _, _ in sample.grids
            if modality == AUDIO
        ]
    )


def omni():
    module = models.qwen2_5_omni.modeling_qwen2_5_omni
    cls = module.Qwen2_5OmniThinkerForConditionalGeneration
    return caller(cls, config(), spatial_merge_size=2)


def test_qwen2_5_omni():
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(NUMBER):
        kinds = (IMAGE, VIDEO, AUDIO)
        # each item stands between its start token and its end token
        sample = random_sample(rng, kinds, (0.25, 0.5, 1.5), least=2)
        sample.text(1)
        samples.append(sample)
    fused, rates, _ = padded(samples, ("right", "left"), batch=NUMBER)
    ids, _, mask = tokens_of(fused)
    expected, _ = omni().get_rope_index(
        ids,
        grids_of(samples, IMAGE),
        grids_of(samples, VIDEO),
        mask,
        False,
        audio_lengths(samples),
        seconds_of(samples),
    )
    rate = {"video": 25 * rates}
    got = mm.rotary_positions(
        fused, "qwen2_5_omni", **MODALITIES, audio=["audio"], rate=rate
    )
    assert_equal(got, expected, fused["mask"])


def clip_with_sound(rng):
    """Return a clip and its sound, merged by chunks of two seconds."""
    sample = Sample()
    sample.text(int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        sample.text(1)
        sample.grid(IMAGE, 1, *map(int, rng.integers(1, 4, 2)))
        sample.text(2)
    sample.text(1)
    sample.text(1, repeats=True)
    second = float(rng.choice([0.5, 1.0, 0.75]))
    frames, height, width = map(int, rng.integers(1, 4, 3))
    length = int(rng.integers(1, 90))
    clip = [
        (int(25 * second * t), (t, h, w))
        for t, h, w in np.ndindex(frames, height, width)
    ]
    sound = [(i, (i, 0, 0)) for i in range(length)]
    for chunk in range(1 + max(clip[-1][0], length) // 50):
        for kind, tokens in ((VIDEO, clip), (AUDIO, sound)):
            inside = [one for time, one in tokens if time // 50 == chunk]
            sample.add(kind, inside, 25 * second if kind == VIDEO else 1.0)
    sample.grids += [(VIDEO, frames, height, width), (AUDIO, length, 1, 1)]
    sample.seconds.append(second)
    sample.text(1)
    sample.text(1, repeats=True)
    sample.text(int(rng.integers(1, 3)))
    return sample


def test_qwen2_5_omni_with_audio_in_video():
    rng = np.random.default_rng(0)
    samples = [clip_with_sound(rng) for _ in range(NUMBER)]
    fused, rates, repeats = padded(samples, ("right", "left"), batch=NUMBER)
    ids, _, mask = tokens_of(fused)
    # both start tokens stand before the clip
    first = torch.tensor(repeats) & (torch.roll(ids, -1, 1) >= 100)
    ids[first] = TOKENS["audio_start"]
    ids[torch.roll(first, -1, 1)] = TOKENS["vision_start"]
    expected, _ = omni().get_rope_index(
        ids,
        grids_of(samples, IMAGE),
        grids_of(samples, VIDEO),
        mask,
        True,
        audio_lengths(samples),
        seconds_of(samples),
    )
    got = mm.rotary_positions(
        fused,
        "qwen2_5_omni",
        **MODALITIES,
        audio=["audio"],
        rate=rates,
        repeats=repeats,
    )
    assert_equal(got, expected, fused["mask"])
