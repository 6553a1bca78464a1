"""Saves every case and whole models, or predicts and trains with all the files."""

import sys
from pathlib import Path

import keras
import numpy as np
from case_models import functional, model_inputs
from cases import CASES
from tensors import permuted
from weights import randomize
from whole_models import every_other_layer, vqa

import keras_mmembed  # noqa: F401 - registers the layers


def save(directory, backend):
    folder = directory / backend
    (folder / "models").mkdir(parents=True)
    save_models(folder / "models")
    for number, case in enumerate(CASES):
        path = folder / f"{number:02d}-{case.name}.keras"
        model = functional(case, case.make())
        randomize(model, seed=number)
        model.save(path)
        np.save(path.with_suffix(".npy"), model.predict(model_inputs(case), verbose=0))


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def answers(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs, training=False))


def save_model(model, inputs, path):
    model.save(path)
    np.save(path.with_suffix(".npy"), answers(model, inputs))


def save_models(folder):
    """Save a model of the layers without a case, and the first example.

    That is saved before and after a compiled step.
    """
    save_model(*every_other_layer(), folder / "others.keras")
    model, inputs = vqa()
    save_model(model, inputs, folder / "untrained.keras")
    model.compile("adam", LOSS, metrics=["accuracy"])
    model.train_on_batch(inputs, np.arange(8))
    save_model(model, inputs, folder / "trained.keras")


def load_models(directory, backend):
    """Predict with the whole models, and train them after a compile for here."""
    _, of_others = every_other_layer()
    _, of_vqa = vqa()
    for path in sorted(directory.glob("*/models/*.keras")):
        # compiled or not, it loads as it is
        model = keras.models.load_model(path)
        inputs = of_others if path.stem == "others" else of_vqa
        np.save(path.with_suffix(f".{backend}.npy"), answers(model, permuted(inputs)))
        if path.stem == "trained":
            model = keras.models.load_model(path, compile=False)
            # eagerly: JAX would compile every model anew
            model.compile("sgd", LOSS, run_eagerly=True)
            model.train_on_batch(inputs, np.arange(8))
            np.save(path.with_suffix(f".{backend}.after.npy"), answers(model, inputs))


def train(model, inputs, targets):
    """Return the weights after one step."""
    model.compile(keras.optimizers.SGD(0.01), loss="mse", run_eagerly=True)
    model.train_on_batch(inputs, targets)
    return {w.path: keras.ops.convert_to_numpy(w) for w in model.trainable_weights}


def load(directory, backend):
    load_models(directory, backend)
    for path in sorted(directory.glob("*/*.keras")):
        case = CASES[int(path.name[:2])]
        model = keras.models.load_model(path)
        inputs = permuted(model_inputs(case))
        outputs = model.predict(inputs, verbose=0)
        np.save(path.with_suffix(f".{backend}.npy"), outputs)
        if path.parent.name == "jax" and model.trainable_weights:
            targets = np.random.default_rng(0).normal(size=outputs.shape)
            trained = train(model, inputs, targets)
            np.savez(path.with_suffix(f".{backend}.npz"), **trained)


if __name__ == "__main__":
    task, directory, backend = sys.argv[1:]
    {"save": save, "load": load}[task](Path(directory), backend)
