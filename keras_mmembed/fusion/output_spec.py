"""The symbolic outputs of a fusion."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import keras

from keras_mmembed.common.types import Shape
from keras_mmembed.fusion.arguments import CallArguments
from keras_mmembed.fusion.checks import Branches, check_positions, features_shapes
from keras_mmembed.fusion.layout import Layout

# in the order of the first files; what comes later goes behind
OUTPUTS = ("embeddings", "mask", "modality_ids", "positions", "item_ids")


def output_spec(
    branches: Branches,
    layout: Layout,
    inputs_shape: Mapping[str, Shape | None],
    arguments: CallArguments,
    width: int,
    dtype: str,
    return_dict: bool,
) -> Any:
    """Return the symbolic outputs of a fusion for inputs of some shapes.

    Args:
        branches: The branch of each modality.
        layout: The order of the tokens.
        inputs_shape: By name, the shapes of the inputs.
        arguments: The other arguments of the call.
        width: Width of the tokens.
        dtype: The compute dtype.
        return_dict: Whether the outputs are a dict with the metadata.
    """
    shapes = features_shapes(branches, layout, inputs_shape)
    check_positions(branches, shapes, arguments)
    lengths = {n: layout.length(n, shape[1:-1]) for n, shape in shapes.items()}
    axes = next(iter(shapes.values()))[0], layout.total(lengths)
    fused = keras.KerasTensor((*axes, width), dtype=dtype)
    if not return_dict:
        return fused
    metadata = {
        "mask": keras.KerasTensor(axes, dtype="bool"),
        "modality_ids": keras.KerasTensor(axes, dtype="int32"),
        "positions": keras.KerasTensor((*axes, 3), dtype="float32"),
        "item_ids": keras.KerasTensor(axes, dtype="int32"),
    }
    return ordered({"embeddings": fused, **metadata})


def ordered(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs as a dict that keeps its order.

    Files of functional models hold the place of each output. Keras sorts the keys of
    other dicts, so that one more would move those behind it.
    """
    return OrderedDict((key, outputs[key]) for key in OUTPUTS)
