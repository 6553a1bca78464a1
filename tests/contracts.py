"""What saved files hold: the keys of each configuration, the weights and their shapes.

    python tests/contracts.py

writes it to tests/contracts/. A change there is a change for everybody's files.
"""

import json
from pathlib import Path

import keras
from cases import CASES, inputs_of

import keras_mmembed as mm

FOLDER = Path(__file__).with_name("contracts")
# layers that take what another layer returns have no case: their arguments
DECODER = {"text": {"type": "1d", "vocabulary_size": 9}}
DECODING = {"num_layers": 1, "num_heads": 2, "causal": True, "pooling": "tokens"}
WITHOUT_CASE = {
    "AttachMask": (),
    "AttentionMask": (["text", "image"],),
    "ModalitySplit": (
        mm.MultiModalFusion({"text": {"type": "1d", "dim": 4}}, 4).layout,
    ),
    "ModelWithLengths": (keras.Input((2,), name="x"),) * 2,
    "ReadLengths": (),
    "ReadMask": (),
    "TokenGenerator": (
        mm.MultiModalTransformer(
            DECODER, 4, tie_embeddings=True, name="decoder", **DECODING
        ),
        3,
    ),
    "ZeroGate": (),
}


def registered_class(name):
    """Return a class of the package, public or not, by its name in files."""
    return keras.saving.get_registered_object(f"keras_mmembed>{name}")


def registered():
    """Return the names of all classes that may stand in a file."""
    found = keras.saving.get_custom_objects().items()
    names = (name.split(">") for name, one in found if isinstance(one, type))
    return {name[1] for name in names if name[0] == "keras_mmembed"}


def keys(config, start=""):
    """Yield the keys of a configuration, those within it with a dot."""
    for key, value in config.items():
        yield f"{start}{key}"
        if isinstance(value, dict) and "class_name" not in value:
            yield from keys(value, f"{start}{key}.")


def contract(layer):
    """Return what a file holds of a layer."""
    weights = {weight.path: weight for weight in layer.weights}
    return {
        "config": sorted(keys(layer.get_config())),
        "weights": {
            path: f"{tuple(weight.shape)} {weight.dtype}"
            for path, weight in sorted(weights.items())
        },
    }


def contracts():
    """Return the contracts of every case, by class and case."""
    found = {}
    for case in CASES:
        layer = case.make(name="layer")
        x, _ = inputs_of(case)
        shapes = {k: v.shape for k, v in x.items()} if isinstance(x, dict) else x.shape
        layer.build(shapes)
        found.setdefault(type(layer).__name__, {})[case.name] = contract(layer)
    for name, arguments in WITHOUT_CASE.items():
        layer = registered_class(name)(*arguments, name="layer")
        is_decoder = name == "TokenGenerator"
        layer.build({"text": (2, 5)} if is_decoder else [(2, 5, 8)] * 2)
        found[name] = {name: contract(layer)}
    return found


def main():
    """Write the contracts of all layers."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, cases in contracts().items():
        text = json.dumps(cases, indent=1, sort_keys=True)
        (FOLDER / f"{name}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
