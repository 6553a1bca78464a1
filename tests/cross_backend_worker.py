"""Saves every case, or predicts with the saved files: run by test_cross_backend."""

import sys
from pathlib import Path

import keras
import numpy as np
from cases import CASES
from test_laws import functional, model_inputs

import keras_mmembed  # noqa: F401 - registers the layers


def permuted(x):
    return dict(reversed(x.items()))


def main(task, directory, backend=None):
    for number, case in enumerate(CASES):
        path = Path(directory) / f"{number:02d}-{case.name}.keras"
        if task == "save":
            model = functional(case, case.make())
            rng = np.random.default_rng(number)
            model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
            model.save(path)
            target = path.with_suffix(".npy")
        else:
            model = keras.models.load_model(path)
            target = path.with_suffix(f".{backend}.npy")
        np.save(target, model.predict(permuted(model_inputs(case)), verbose=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
