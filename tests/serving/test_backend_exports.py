"""Exports, called at lengths and grids that were not traced."""

import dataclasses

import keras
import numpy as np
import pytest
from backend_exports import export
from case_models import functional, model_inputs
from cases import CASES
from keras import ops
from tensors import normal

import keras_mmembed as mm

# their length is the size of their grid
FIXED_LENGTH = (mm.PositionEmbedding2D, mm.PositionEmbedding3D)


def grown(case):
    """Return the case at other sizes on the axes that are unknown."""

    def grow(shape, unknown):
        grow_by = 1 if len(shape) > 2 or not fixed else 0
        pairs = zip(shape, unknown, strict=True)
        return tuple(size + grow_by * (axis is None) for size, axis in pairs)

    fixed = isinstance(case.make(), FIXED_LENGTH)
    if isinstance(case.shape, dict):
        shape = {k: grow(s, case.unknown[k]) for k, s in case.shape.items()}
    else:
        shape = grow(case.shape, case.unknown)

    def grow_ids(spec):
        if isinstance(spec, dict):
            return {name: grow_ids(one) for name, one in spec.items()}
        (length, *rest), count = spec
        return (length + 1, *rest), count

    ids = {name: grow_ids(spec) for name, spec in case.ids.items()}
    return dataclasses.replace(case, shape=shape, ids=ids)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_export(case, tmp_path):
    model = functional(case, case.make())
    call = export(model, model_inputs(case), tmp_path / "model.pt2")
    for at_sizes, batch in ((case, 1), (grown(case), 3)):
        inputs = model_inputs(at_sizes, batch=batch)
        expected = ops.convert_to_numpy(model(inputs))
        got = ops.convert_to_numpy(call(inputs))
        np.testing.assert_allclose(got, expected, atol=case.export_atol)


def test_export_of_terms_and_of_mask_and_row_tokens(tmp_path):
    box = {"layer": mm.BoxEmbedding(kind="linear"), "gate": "linear"}
    terms = {"part": mm.SegmentEmbedding(3), "box": box}
    config = {"type": "2d", "dim": 6, "position": None, "terms": terms}
    config |= {"mask_token": True, "row_token": True}
    fusion = mm.MultiModalFusion({"image": config}, 8, dropout=0.0)
    inputs = {
        "image": keras.Input((None, None, 6), name="image"),
        "box_image": keras.Input((None, None, 4), name="box_image"),
        "part_image": keras.Input((None, None), dtype="int32", name="part_image"),
        "masked_image": keras.Input((None, None), dtype="bool", name="masked_image"),
    }
    fused = fusion(
        {"image": inputs["image"]},
        terms={"image": {name: inputs[f"{name}_image"] for name in terms}},
        masked={"image": inputs["masked_image"]},
    )
    model = keras.Model(inputs, fused)

    def fed(*sizes):
        part = np.arange(np.prod(sizes), dtype="int32").reshape(sizes) % 3
        return {
            "image": normal(*sizes, 6),
            "box_image": np.abs(normal(*sizes, 4)),
            "part_image": part,
            "masked_image": part == 1,
        }

    call = export(model, fed(2, 2, 3), tmp_path / "model.pt2")
    for sizes in ((1, 2, 3), (3, 4, 2)):
        x = fed(*sizes)
        expected = ops.convert_to_numpy(model(x))
        assert expected.shape[1] == sizes[1] * (sizes[2] + 1)
        np.testing.assert_allclose(ops.convert_to_numpy(call(x)), expected, atol=1e-6)


def test_export_of_placed_tokens_and_their_split(tmp_path):
    configs = {
        "text": {"type": "1d", "dim": 8, "start_token": True, "end_token": True},
        "audio": {"type": "1d", "dim": 8, "into": "text", "gate": True},
    }
    fusion = mm.MultiModalFusion(configs, 8, dropout=0.0, return_dict=True)
    inputs = {name: keras.Input((None, 8), name=name) for name in configs}
    marks = keras.Input((None,), dtype="bool", name="x_text")
    fused = fusion(inputs, placeholders={"audio": marks})
    parts = fusion.split(
        fused["embeddings"], inputs, modality_ids=fused["modality_ids"]
    )
    model = keras.Model({**inputs, "x_text": marks}, parts["audio"])
    fusion.branch("audio").gate.set_weights([np.float32(0.4)])

    def fed(batch, length, places):
        rng = np.random.default_rng(batch)
        marks = np.zeros((batch, length), bool)
        marks[:, places] = True
        shapes = {"text": (batch, length, 8), "audio": (batch, len(places), 8)}
        x = {n: rng.normal(size=s).astype("float32") for n, s in shapes.items()}
        return {**x, "x_text": marks}

    call = export(model, fed(2, 6, [0, 3]), tmp_path / "model.pt2")
    for sizes in ((1, 6, [0, 3]), (3, 9, [1, 2, 8])):
        x = fed(*sizes)
        expected = ops.convert_to_numpy(model(x))
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(ops.convert_to_numpy(call(x)), expected, atol=1e-6)
