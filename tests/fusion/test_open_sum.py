"""The open sum: terms, gates, norms and projections of one modality, against NumPy."""

import itertools

import keras
import numpy as np
import pytest
import reference
from one_modality import EPSILON, WIDTH, embeddings, make
from tensors import array, normal
from weights import randomize, weights_by_path

import keras_mmembed as mm

BOXES = np.random.default_rng(3).integers(0, 9, (2, 4, 4)).astype("int32")
BOXES[..., 2:] += BOXES[..., :2]


def test_one_modality_without_terms_is_the_identity():
    x = normal(2, 4, WIDTH)
    one = {"type": "none", "dim": WIDTH, "modality": False}
    for config, options in (
        (one, {}),
        ({"type": "none", "dim": WIDTH}, {"modality_embedding": False}),
        ({"type": "1d", "dim": WIDTH, "position": None, "modality": False}, {}),
    ):
        layer, weights = make(config, **options)
        assert not weights
        np.testing.assert_array_equal(embeddings(layer, x), x)


def test_an_instance_has_its_own_vector_beside_a_modality_without():
    configs = {
        "x": {"type": "none", "dim": WIDTH, "modality": False},
        "y": {"instance_of": "x"},
    }
    layer = mm.MultiModalFusion(configs, WIDTH, normalization=None, dropout=0.0)
    x = normal(2, 3, WIDTH)
    fused = array(layer({"x": x, "y": x}))
    (vector,) = layer.weights
    assert vector.path.endswith("modality/y")
    np.testing.assert_array_equal(fused[:, :3], x)
    np.testing.assert_allclose(fused[:, 3:], x + array(vector), atol=1e-6)


def test_terms_against_the_formula():
    config = {
        "type": "1d",
        "dim": WIDTH,
        "position": {"layer": "sinusoidal", "gate": "linear"},
        "segments": 2,
        "terms": {
            "row": mm.SegmentEmbedding(5),
            "column": {"layer": mm.SegmentEmbedding(5), "gate": "tanh"},
            "box": {"layer": mm.BoxEmbedding(), "normalization": {"epsilon": EPSILON}},
            "frame": {
                "layer": mm.PositionEmbedding1D(7, kind="learned"),
                "gate": "linear",
            },
        },
    }
    layer, w = make(config)
    x = normal(2, 4, WIDTH)
    row = np.array([[0, 1, 2, 4], [4, 3, 3, 0]], "int32")
    frame = np.array([0, 0, 6, 6], "int32")
    column = row[:, ::-1].copy()
    got = embeddings(
        layer, x, terms={"row": row, "column": column, "box": BOXES, "frame": frame}
    )
    boxes = mm.BoxEmbedding()
    boxes.build((None, None, WIDTH))
    boxes.set_weights([w[f"x/box/{weight.name}"] for weight in boxes.weights])
    box = array(boxes.encode(BOXES))
    # the norm of a term
    gamma, beta = w["x/norm_box/gamma"], w["x/norm_box/beta"]
    terms = (
        w["x/gate_position"] * reference.interleaved(range(4), WIDTH)
        + w["modality/x"]
        + w["x/segment/embeddings"][0]
        + w["x/row/embeddings"][row]
        + np.tanh(w["x/gate_column"]) * w["x/column/embeddings"][column]
        + reference.layer_norm(box, gamma, beta, EPSILON)
        + w["x/gate_frame"] * w["x/frame/embeddings"][frame]
    )
    np.testing.assert_allclose(got, x + terms, atol=1e-4)
    # ids that are left out are 0; boxes and positions then add nothing
    terms = (
        w["x/gate_position"] * reference.interleaved(range(4), WIDTH)
        + w["modality/x"]
        + w["x/segment/embeddings"][0]
        + w["x/row/embeddings"][0]
        + np.tanh(w["x/gate_column"]) * w["x/column/embeddings"][0]
    )
    np.testing.assert_allclose(embeddings(layer, x), x + terms, atol=1e-4)


def test_terms_of_a_grid_come_as_the_grid_or_row_by_row():
    config = {
        "type": "2d",
        "dim": WIDTH,
        "terms": {"part": mm.SegmentEmbedding(3), "box": mm.BoxEmbedding()},
    }
    layer, _ = make(config, (None, 2, 2, WIDTH))
    x = normal(2, 2, 2, WIDTH)
    ids, boxes = np.array([[[0, 1], [2, 1]]] * 2, "int32"), BOXES.reshape(2, 2, 2, 4)
    grid = embeddings(layer, x, terms={"part": ids, "box": boxes})
    flat = {"part": ids.reshape(2, 4), "box": BOXES}
    np.testing.assert_array_equal(grid, embeddings(layer, x, terms=flat))
    plain = embeddings(layer, x)
    assert np.abs(grid - plain).min(axis=-1).max() > 0


def test_gates_start_open_and_closed():
    table = mm.SegmentEmbedding(3)
    plain = {"type": "none", "dim": WIDTH, "modality": False}
    x, ids = normal(2, 4, WIDTH), np.array([[0, 1, 2, 0]] * 2, "int32")
    for gate, share in (("tanh", 0.0), ("linear", 1.0)):
        config = {**plain, "terms": {"kind": {"layer": table, "gate": gate}}}
        layer = mm.MultiModalFusion(
            {"x": config}, WIDTH, normalization=None, dropout=0.0
        )
        got = array(layer({"x": x}, terms={"x": {"kind": ids}}))
        rows = array(table.embeddings)[ids]
        np.testing.assert_allclose(got, x + share * rows, atol=1e-6)


PLACES = list(itertools.product(["features", "modality", "sum"], [True, False]))


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("place, special", PLACES)
def test_places_of_a_norm(place, special, counted):
    norm = {"epsilon": EPSILON, "place": place, "special": special}
    config = {
        "type": "1d",
        "dim": 5,
        "start_token": True,
        "end_token": True,
        "count_special": counted,
        "normalization": norm,
        "terms": {"kind": mm.SegmentEmbedding(3)},
    }
    layer, w = make(config, (None, None, 5))
    x, kinds = normal(2, 4, 5), np.array([[0, 1, 2, 0]] * 2, "int32")
    gamma, beta = w["x/norm/gamma"], w["x/norm/beta"]

    def normalized(x):
        return reference.layer_norm(x, gamma, beta, EPSILON)

    ends = [w["x/start"], w["x/end"]]
    tokens = x @ w["x/projection/kernel"] + w["x/projection/bias"]
    if place == "features":
        tokens = normalized(tokens)
        ends = [normalized(end) for end in ends] if special else ends
    tokens = tokens + w["x/kind/embeddings"][kinds]
    positions = range(6) if counted else range(4)
    encoding = reference.interleaved(positions, WIDTH)
    tokens = tokens + (encoding[1:-1] if counted else encoding)
    if counted:
        ends = [ends[0] + encoding[0], ends[1] + encoding[-1]]
    vector = w["modality/x"]
    if place != "modality":
        tokens, ends = tokens + vector, [end + vector for end in ends]
    if place != "features":
        tokens = normalized(tokens)
        ends = [normalized(end) for end in ends] if special else ends
    if place == "modality":
        tokens, ends = tokens + vector, [end + vector for end in ends]
    first, last = (np.broadcast_to(end, (2, 1, WIDTH)) for end in ends)
    expected = np.concatenate([first, tokens, last], axis=1)
    got = embeddings(layer, x, terms={"kind": kinds})
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_norm_of_one_modality_replaces_that_of_all():
    configs = {
        "x": {"type": "none", "dim": WIDTH, "normalization": {"type": "rms"}},
        "y": {"type": "none", "dim": WIDTH, "normalization": None},
        "z": {"type": "none", "dim": WIDTH},
    }
    inputs = {name: normal(2, 3, WIDTH, seed=n) for n, name in enumerate(configs)}
    for normalization in ("shared", "per_modality", "both", None):
        layer = mm.MultiModalFusion(
            configs,
            WIDTH,
            normalization=normalization,
            epsilon=EPSILON,
            modality_embedding=False,
            dropout=0.0,
        )
        layer(inputs)
        w = {k: array(v) for k, v in weights_by_path(randomize(layer)).items()}

        def norm(x, path, w=w):
            scale = w.get(f"{path}/gamma", w.get(f"{path}/scale"))
            return reference.layer_norm(x, scale, w[f"{path}/beta"], EPSILON)

        x, y, z = (value.astype("float64") for value in inputs.values())
        x = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + EPSILON)
        x = x * w["x/norm/scale"]
        z = norm(z, "z/norm") if normalization in ("per_modality", "both") else z
        z = norm(z, "norm") if normalization == "shared" else z
        expected = np.concatenate([x, y, z], axis=1)
        expected = norm(expected, "norm") if normalization == "both" else expected
        np.testing.assert_allclose(array(layer(inputs)), expected, atol=1e-4)


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("own", [("x",), ("y",), ("x", "y"), ()])
def test_a_norm_of_its_own_beside_placed_tokens(own, gate):
    configs = {
        "x": {"type": "none", "dim": WIDTH},
        "y": {"type": "none", "dim": WIDTH, "into": "x", "gate": gate},
        "z": {"type": "none", "dim": WIDTH, "normalization": None},
    }
    for name in own:
        configs[name]["normalization"] = {"epsilon": EPSILON}
    layer = mm.MultiModalFusion(configs, WIDTH, modality_embedding=False, dropout=0.0)
    x, y, z = normal(1, 4, WIDTH), normal(1, 2, WIDTH, seed=1), normal(1, 1, WIDTH)
    call = {"placeholders": {"y": np.array([[False, True, True, False]])}}
    inputs = {"x": x, "y": y, "z": z}
    layer(inputs, **call)
    w = {k: array(v) for k, v in weights_by_path(randomize(layer)).items()}

    def norm(value, name):
        path, epsilon = (f"{name}/norm", EPSILON) if name in own else ("norm", 1e-6)
        return reference.layer_norm(
            value, w[f"{path}/gamma"], w[f"{path}/beta"], epsilon
        )

    share = np.tanh(w["y/gate/gate"]) if gate else 1.0
    placed = x.astype("float64")
    if own:
        placed = norm(placed, "x")
        added = norm(y.astype("float64"), "y")
        placed[:, 1:3] += share * (added - placed[:, 1:3])
    else:
        placed[:, 1:3] += share * (y - placed[:, 1:3])
        placed = norm(placed, "x")
    expected = np.concatenate([placed, z], axis=1)
    np.testing.assert_allclose(array(layer(inputs, **call)), expected, atol=1e-4)


def test_a_projection_is_asked_for():
    x = normal(2, 4, WIDTH)
    plain = {"type": "none", "dim": WIDTH, "modality": False}
    layer, w = make({**plain, "projection": True})
    kernel, bias = w["x/projection/kernel"], w["x/projection/bias"]
    np.testing.assert_allclose(embeddings(layer, x), x @ kernel + bias, atol=1e-5)
    options = {"use_bias": False, "activation": keras.activations.relu}
    layer, w = make({**plain, "projection": options})
    expected = np.maximum(x @ w["x/projection/kernel"], 0)
    np.testing.assert_allclose(embeddings(layer, x), expected, atol=1e-5)
    assert layer.get_config()["modality_configs"]["x"]["projection"] == {
        "use_bias": False,
        "activation": "relu",
    }
    layer, w = make({**plain, "projection": False})
    assert not w


def test_without_an_encoding_the_tokens_keep_their_positions():
    for kind, axes, start in (("1d", (4,), 2), ("2d", (2, 3), 0), ("3d", (2, 2, 2), 0)):
        given, plain = (
            make({"type": kind, "dim": 5, **more}, (None, *axes, 5))[0]
            for more in ({"position": None}, {})
        )
        x = normal(2, *axes, 5)
        call = {"start_index": {"x": start}} if start else {}
        positions = [array(f({"x": x}, **call)["positions"]) for f in (given, plain)]
        np.testing.assert_array_equal(*positions)
        shifted = [array(f({"x": x})["embeddings"]) for f in (given, plain)]
        assert np.abs(shifted[0] - shifted[1]).max() > 0.1
