"""Start and end tokens beside a grid, with a learned position each."""

import keras
import numpy as np
import pytest
import reference
from one_modality import EPSILON, WIDTH, embeddings, make
from tensors import normal, numpy
from weights import randomize, reloaded

import keras_mmembed as mm


@pytest.mark.parametrize("place", ["features", "modality", "sum"])
@pytest.mark.parametrize("gate", [None, "tanh"])
def test_special_tokens_of_a_grid_have_rows(gate, place):
    table = mm.PositionEmbedding2D(2, 3, kind="learned")
    config = {
        "type": "2d",
        "dim": WIDTH,
        "position": {"layer": table, "gate": gate},
        "start_token": True,
        "end_token": True,
        "count_special": True,
        "normalization": {"place": place, "epsilon": EPSILON},
    }
    layer, w = make(config, (None, 2, 3, WIDTH))
    x = normal(2, 2, 3, WIDTH)
    share = np.tanh(w["x/gate_position"]) if gate else 1.0

    def norm(x):
        return reference.layer_norm(x, w["x/norm/gamma"], w["x/norm/beta"], EPSILON)

    tokens = [x.reshape(2, 6, WIDTH), w["x/start"][None], w["x/end"][None]]
    positions = [w["x/position/embeddings"].reshape(6, WIDTH)]
    positions += [w["x/start_position"], w["x/end_position"]]
    vector = w["modality/x"]
    if place == "features":
        tokens = [norm(one) for one in tokens]
    summed = [t + share * p for t, p in zip(tokens, positions, strict=True)]
    if place == "sum":
        summed = [norm(one + vector) for one in summed]
    else:
        summed = [norm(one) if place == "modality" else one for one in summed]
        summed = [one + vector for one in summed]
    inner, start, end = summed
    start, end = (np.broadcast_to(one, (2, 1, WIDTH)) for one in (start, end))
    expected = np.concatenate([start, inner, end], axis=1)
    np.testing.assert_allclose(embeddings(layer, x), expected, atol=1e-4)


RESIZED = {"max_length": 5, "out_of_range": "resize"}
COUNTED = {
    "resize": {**RESIZED, "interpolation": "bicubic"},
    "longer": {
        "max_length": 5,
        "interpolation": "bilinear",
        "out_of_range": "resize_longer",
    },
    "offset": {"max_length": 12, "offset": 2},
    "sinusoids": {**RESIZED, "kind": "sinusoidal"},
}


@pytest.mark.parametrize("ends", [("start", "end"), ("end",), ("start",)])
@pytest.mark.parametrize("options", COUNTED.values(), ids=COUNTED)
def test_counted_tokens_of_a_padded_batch_are_as_alone(options, ends):
    table = mm.PositionEmbedding1D(**{"kind": "learned", **options})
    config = {"type": "1d", "dim": WIDTH, "position": table, "count_special": True}
    config |= {f"{end}_token": True for end in ends}
    layer, _ = make(config, (None, None, WIDTH))
    x, lengths = normal(3, 7, WIDTH), np.array([7, 3, 0])
    fused = numpy(layer({"x": x}, mask={"x": lengths}))
    for row, length in enumerate(lengths):
        alone = numpy(layer({"x": x[row : row + 1, :length]}))
        for key in ("embeddings", "positions"):
            got = fused[key][row][fused["mask"][row]]
            np.testing.assert_allclose(got, alone[key][0], atol=2e-6)


def test_they_are_in_files_and_have_no_decay(tmp_path):
    config = {
        "type": "3d",
        "dim": WIDTH,
        "position": mm.PositionEmbedding3D(1, 2, 3, kind=(None, "learned", "learned")),
        "start_token": True,
        "count_special": True,
    }
    fusion = mm.MultiModalFusion({"x": config}, WIDTH, dropout=0.0, name="f")
    inputs = keras.Input((1, None, None, WIDTH))
    model = randomize(keras.Model(inputs, fusion({"x": inputs})))
    paths = {weight.path for weight in mm.weights_without_decay(model)}
    assert {"f/x/start", "f/x/start_position"} <= paths
    assert "f/x/end_position" not in {weight.path for weight in model.weights}
    x = normal(2, 1, 2, 3, WIDTH)
    expected = model.predict(x, verbose=0)
    got = reloaded(model, tmp_path).predict(x, verbose=0)
    np.testing.assert_array_equal(got, expected)
