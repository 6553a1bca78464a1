"""Files of models, kept so that later versions of the package still read them.

    KERAS_BACKEND=jax python tests/write_kept_files.py

writes tests/data/<name>.keras, and tests/data/<name>.npz with inputs and outputs. What
stands there is never written again: it is what users of that day have.
"""

from pathlib import Path

import keras
import numpy as np

import keras_mmembed as mm

FOLDER = Path(__file__).with_name("data")
CONFIGS = {
    "text": {
        "type": "1d",
        "max_len": 9,
        "vocabulary_size": 30,
        "dim": 16,
        "segments": 2,
        "position": "learned",
        "start_token": True,
        "end_token": True,
    },
    "image": {"type": "2d", "dim": 12, "position": "learned", "height": 2, "width": 3},
    "video": {"type": "3d", "dim": 16},
    "second": {"instance_of": "image"},
    "sound": {"type": "1d", "dim": 6, "into": "video", "gate": True},
}
PLAIN = {
    "text": {"type": "1d", "dim": 16, "vocabulary_size": 30},
    "image": {"type": "2d", "dim": 12, "position": "learned", "height": 2, "width": 3},
}


def values():
    """Return inputs for all models, by name."""
    rng = np.random.default_rng(0)
    return {
        "text": rng.integers(0, 30, (2, 5)).astype("int32"),
        "image": rng.normal(size=(2, 2, 3, 12)).astype("float32"),
        "video": rng.normal(size=(2, 2, 2, 2, 16)).astype("float32"),
        "second": rng.normal(size=(2, 2, 3, 12)).astype("float32"),
        "sound": rng.normal(size=(2, 3, 6)).astype("float32"),
        "segments": rng.integers(0, 2, (2, 5)).astype("int32"),
        "places": np.arange(8)[None].repeat(2, 0) % 3 == 0,
        "pixels": rng.normal(size=(2, 4, 6, 3)).astype("float32"),
        "waveform": rng.normal(size=(2, 1600)).astype("float32"),
    }


def symbols(*names):
    arrays = values()
    return {
        name: keras.Input(arrays[name].shape[1:], dtype=arrays[name].dtype, name=name)
        for name in names
    }


def scatter(model):
    """Move every float weight off its first value, so that a lost one is seen."""
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        value = keras.ops.convert_to_numpy(weight)
        weight.assign(value + 0.1 * rng.normal(size=value.shape))
    return model


def fused():
    """A fusion with every kind of vector, its mask, and a split."""
    inputs = symbols(*CONFIGS, "segments", "places")
    fusion = mm.MultiModalFusion(
        CONFIGS,
        16,
        normalization="both",
        cls_token=True,
        num_registers=2,
        missing="token",
        return_dict=True,
        name="fusion",
    )
    tensors = {name: inputs[name] for name in CONFIGS}
    known = fusion(
        tensors,
        segment_ids={"text": inputs["segments"]},
        placeholders={"sound": inputs["places"]},
    )
    mask = mm.AttentionMask(fusion.modalities, causal=True, prefix=["image"])(known)
    tokens = keras.layers.MultiHeadAttention(2, 8, name="attention")(
        known["embeddings"], known["embeddings"], attention_mask=mask
    )
    parts = fusion.split(tokens, tensors, modality_ids=known["modality_ids"])
    return scatter(keras.Model(inputs, {name: parts[name] for name in CONFIGS}))


def transformer(**options):
    inputs = symbols("text", "image")
    model = mm.MultiModalTransformer(
        PLAIN, 16, num_layers=2, num_heads=2, num_outputs=3, name="model", **options
    )
    return scatter(keras.Model(inputs, model(inputs)))


def int8():
    """A model whose layers are quantized."""
    model = transformer()
    model.quantize("int8")
    return model


def lora():
    """A model with adapters in the fusion and in a block."""
    model = transformer(gated=["image"])
    inner = model.get_layer("model")
    fusion = inner.fusion
    for layer in (
        fusion.branch("text").embedding,
        fusion.branch("image").projection,
        inner.blocks[1].hidden,
    ):
        layer.enable_lora(2)
    return scatter(model)


def raw():
    """Layers that make features of raw inputs, in a fusion."""
    configs = {
        "pixels": {"type": "2d", "embedding": mm.PatchEmbedding(2, 12)},
        "waveform": {"type": "1d", "embedding": mm.AudioEmbedding(16)},
    }
    inputs = symbols(*configs)
    fusion = mm.MultiModalFusion(configs, 16, name="fusion")
    return scatter(keras.Model(inputs, fusion(inputs)))


def raw_changed():
    """Layers of a configuration that are quantized and adapted, in a model."""
    words = keras.layers.Embedding(30, 16, mask_zero=True)
    configs = {
        "pixels": {"type": "2d", "embedding": mm.PatchEmbedding(2, 12)},
        "text": {"embedding": words, "type": "1d"},
    }
    inputs = symbols(*configs)
    model = mm.MultiModalTransformer(
        configs, 16, num_layers=1, num_heads=2, num_outputs=3, name="model"
    )
    model = scatter(keras.Model(inputs, model(inputs)))
    model.quantize("int8")
    words.enable_lora(2)
    return scatter(model)


def raw_trained():
    """A compiled model with the state of its optimizer, after a step of training."""
    configs = {
        "pixels": {"type": "2d", "embedding": mm.PatchEmbedding(2, 12)},
        "text": {"type": "1d", "embedding": keras.layers.Embedding(30, 16)},
    }
    inputs = symbols(*configs)
    model = mm.MultiModalTransformer(
        configs, 16, num_layers=1, num_heads=2, num_outputs=3, name="model"
    )
    model = scatter(keras.Model(inputs, model(inputs)))
    model.compile("adam", "mse")
    model.train_on_batch({name: values()[name] for name in configs}, np.ones((2, 3)))
    return model


def layers():
    """Layers that stand alone."""
    inputs = symbols("text", "segments")
    x = keras.layers.Embedding(30, 16, name="words")(inputs["text"])
    x = mm.PositionEmbedding1D(9, kind="learned", num_prefix_tokens=1)(x)
    x = mm.SegmentEmbedding(2)(x, inputs["segments"])
    x = mm.ModalityEmbedding(["text", "image"])(x, modality="text")
    boxes = keras.ops.stack([inputs["segments"]] * 4, axis=-1)
    y = mm.BoxEmbedding(num_positions=2)(x, boxes)
    return scatter(keras.Model(inputs, mm.ZeroGate()([x, y])))


MODELS = {
    "fused": fused,
    "transformer": transformer,
    "int8": int8,
    "lora": lora,
    "raw": raw,
    "raw_changed": raw_changed,
    "raw_trained": raw_trained,
    "layers": layers,
}


def flat(outputs):
    """Return outputs as arrays by name."""
    outputs = outputs if isinstance(outputs, dict) else {"outputs": outputs}
    return {name: np.asarray(output) for name, output in outputs.items()}


def main():
    """Write what is not there yet."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in MODELS.items():
        path = FOLDER / f"{name}.keras"
        if path.exists():
            continue
        make().save(path)
        # Keras merges an adapter into an int8 kernel when it saves it
        model = keras.models.load_model(path)
        inputs = {key: values()[key] for key in model.input}
        outputs = flat(model.predict(inputs, verbose=0))
        arrays = {f"output/{key}": array for key, array in outputs.items()}
        arrays |= {f"input/{key}": array for key, array in inputs.items()}
        np.savez_compressed(path.with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
