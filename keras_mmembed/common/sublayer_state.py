"""What a layer saves of its vectors and of changes to its sublayers."""

import keras
from keras import ops


def save_by_name(layer, names, store):
    """Store the weights of `layer` under their attribute names, not their places."""
    for name in names:
        store[name] = ops.convert_to_numpy(getattr(layer, name))


def load_by_name(layer, names, store):
    """Load what is stored of the weights; one that is new keeps its values."""
    for name in names:
        if name in store.keys():
            getattr(layer, name).assign(store[name])


def changes_of(layer):
    """Return what was done to sublayers since they were made, as plain data.

    Quantisation and LoRA change which weights a sublayer has. A layer that makes its
    sublayers itself has to do the same again before its file can be read. They are
    counted: the path of a layer depends on where it was built, and its name on what
    was made before.
    """
    changes = {}
    for place, sublayer in enumerate(layer._flatten_layers(include_self=False)):
        change = {}
        if getattr(sublayer, "quantization_mode", None):
            change["quantization_mode"] = sublayer.quantization_mode
            change["quantization_config"] = keras.saving.serialize_keras_object(
                getattr(sublayer, "quantization_config", None)
            )
        if getattr(sublayer, "lora_enabled", False):
            change["lora_rank"] = sublayer.lora_rank
            change["lora_alpha"] = sublayer.lora_alpha
        if change:
            changes[str(place)] = change
    return changes


def repeat_changes(layer, changes):
    """Do to the sublayers of a new layer what was done to those of another."""
    sublayers = layer._flatten_layers(include_self=False)
    for place, change in changes.items():
        sublayer = sublayers[int(place)]
        if "quantization_mode" in change and not sublayer.quantization_mode:
            config = change["quantization_config"]
            if isinstance(config, dict):
                config = keras.saving.deserialize_keras_object(config)
            sublayer.quantize(change["quantization_mode"], config=config)
        if "lora_rank" in change and not sublayer.lora_enabled:
            sublayer.enable_lora(change["lora_rank"], lora_alpha=change["lora_alpha"])
