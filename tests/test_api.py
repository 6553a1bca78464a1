"""The contract: public names, arguments, defaults and what files contain."""

import inspect
import json
import re

import keras
import numpy as np
import pytest
from cases import CASES, inputs_of

import keras_mmembed as mm

LAYERS = {
    "PatchEmbedding": ["patch_size", "output_dim"],
    "TubeletEmbedding": ["patch_size", "output_dim"],
    "AudioEmbedding": ["output_dim"],
    "PositionEmbedding1D": ["max_length"],
    "PositionEmbedding2D": ["height", "width"],
    "PositionEmbedding3D": ["frames", "height", "width"],
    "ModalityEmbedding": ["modalities"],
    "BoxEmbedding": [],
    "ConvPositionEmbedding": ["kernel_size"],
    "AttentionMask": ["modalities"],
    "RotaryEmbedding": ["convention"],
    "MultiModalAttention": ["num_heads"],
    "RelativePositionBias": ["num_heads"],
    "SegmentEmbedding": ["num_segments"],
    "ZeroGate": [],
    "TransformerBlock": ["num_heads", "hidden_dim"],
    "MultiModalTransformer": ["modality_configs", "unified_dim"],
    "MultiModalFusion": ["modality_configs", "unified_dim"],
}
FUNCTIONS = {
    "export_for_serving",
    "load_published_weights",
    "pack_tokens",
    "pad_batch",
    "unpack_tokens",
    "plot_encoding",
    "plot_layout",
    "plot_similarity",
    "resize_positions",
    "rotary_positions",
    "positions_from_ids",
    "positions_from_mask",
    "with_lengths",
    "preset",
    "set_trainable",
    "weights_without_decay",
}
TYPES = {"ModalityConfig"}


def arguments_of(layer):
    named = {}
    for owner in layer.__mro__:
        if not owner.__module__.startswith("keras_mmembed"):
            break
        if "__init__" in vars(owner):
            named.update(inspect.signature(owner.__init__).parameters)
    skipped = {"self", "kwargs", "options", "sizes"}
    return {name: p for name, p in named.items() if name not in skipped}


def documented(text, section):
    body = re.search(rf"^    {section}:\n((?:        .*\n|\n)*)", text, re.MULTILINE)
    return re.findall(r"^        ([a-z_]+): ", body.group(1), re.MULTILINE)


def test_public_names():
    assert set(mm.__all__) == {*LAYERS, *FUNCTIONS, *TYPES}
    assert all(hasattr(mm, name) for name in mm.__all__)


@pytest.mark.parametrize("name", LAYERS)
def test_only_sizes_and_configurations_are_positional(name):
    parameters = inspect.signature(getattr(mm, name).__init__).parameters.values()
    positional = [p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]
    assert positional == ["self", *LAYERS[name]]


@pytest.mark.parametrize("name", LAYERS)
def test_docstrings_have_every_argument(name):
    layer = getattr(mm, name)
    text = inspect.getdoc(layer).replace("\n", "\n    ") + "\n"
    assert set(documented(f"    {text}", "Args")) == set(arguments_of(layer))
    call = set(inspect.signature(layer.call).parameters) - {"self"}
    assert set(documented(f"    {text}", "Call arguments")) == call


@pytest.mark.parametrize("name", LAYERS)
def test_registered_under_the_name_of_the_package(name):
    layer = getattr(mm, name)
    assert keras.saving.get_registered_name(layer) == f"keras_mmembed>{name}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_configurations_are_json(case):
    config = case.make().get_config()
    assert json.loads(json.dumps(config)) == config


PATHS = {
    "text": {"type": "1d", "max_len": 20, "dim": 8, "position": "learned"},
    "image": {"type": "2d", "height": 3, "width": 4, "dim": 6, "segments": 2},
}


def test_paths_of_the_weights():
    fusion = mm.MultiModalFusion(
        PATHS,
        8,
        name="fusion",
        normalization="both",
        cls_token=True,
        num_registers=1,
        missing="token",
    )
    fusion.build({"text": (None, 5, 8), "image": (None, 12, 6)})
    assert {weight.path for weight in fusion.trainable_weights} == {
        "fusion/modality/image",
        "fusion/modality/text",
        "fusion/text/position/embeddings",
        "fusion/text/norm/gamma",
        "fusion/text/norm/beta",
        "fusion/text/missing",
        "fusion/image/projection/kernel",
        "fusion/image/projection/bias",
        "fusion/image/segment/embeddings",
        "fusion/image/norm/gamma",
        "fusion/image/norm/beta",
        "fusion/image/missing",
        "fusion/norm/gamma",
        "fusion/norm/beta",
        "fusion/cls_embedding",
        "fusion/register_embeddings",
    }


def test_no_layer_holds_a_weight_that_is_not_saved(tmp_path):
    case = next(c for c in CASES if c.name == "MultiModalFusion-both")
    x, extra = inputs_of(case)
    layer = case.make()
    layer(x, **extra)
    count = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert layer.count_params() == count


@pytest.mark.parametrize("name", LAYERS)
def test_every_argument_is_in_the_signature(name):
    kinds = {
        p.name: p.kind
        for p in inspect.signature(getattr(mm, name).__init__).parameters.values()
    }
    assert inspect.Parameter.VAR_POSITIONAL not in kinds.values()
    assert kinds.pop("kwargs") == inspect.Parameter.VAR_KEYWORD
    assert inspect.Parameter.VAR_KEYWORD not in kinds.values()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_layer_says_its_configuration_in_one_line(case):
    layer = case.make(name="layer")
    text = repr(layer)
    assert text.startswith(f"{type(layer).__name__}(")
    assert text.endswith("name='layer')")
    assert "\n" not in text
    config, arguments = layer.get_config(), inspect.signature(type(layer).__init__)
    for name, parameter in arguments.parameters.items():
        value = config.get(name)
        if "activation" in name:
            continue  # a function, whose name the configuration has
        if isinstance(value, (str, int, float)) and value != parameter.default:
            assert f"{name}={value!r}" in text


def test_the_line_of_a_fusion_has_its_modalities_and_widths():
    fusion = mm.MultiModalFusion(PATHS, 8, dropout=0.0, name="fusion")
    assert repr(fusion) == (
        "MultiModalFusion(modality_configs={'text': 8, 'image': 6}, unified_dim=8, "
        "dropout=0.0, name='fusion')"
    )


def test_a_summary_has_true_shapes_and_no_plumbing():
    model = mm.MultiModalTransformer(
        PATHS, 8, num_layers=1, num_heads=2, num_outputs=3, causal=True, name="model"
    )
    inputs = {
        "text": keras.Input((None, 8), name="text"),
        "image": keras.Input((3, 4, 6), name="image"),
    }
    lines = []
    whole = keras.Model(inputs, model(inputs))
    for each in (model, whole):
        each.summary(print_fn=lines.append, line_length=120)
    text = "\n".join(lines)
    assert "AttachMask" not in text
    assert "ReadMask" not in text
    assert "?" not in text
    assert "(None, None, None)" in text  # the attention mask
    (head,) = (line for line in lines if "head (Dense)" in line)
    assert "(None, 3)" in head
    fusion = mm.MultiModalFusion(PATHS, 8)
    split = keras.Model(inputs, fusion.split(fusion(inputs), inputs))
    kinds = {type(layer).__name__ for layer in split.layers}
    assert kinds == {"InputLayer", "MultiModalFusion", "ModalitySplit"}
