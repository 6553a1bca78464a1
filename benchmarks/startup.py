"""What it takes to import the package, over Keras alone."""

import os
import subprocess
import sys

from benchmarks import measure

PROGRAMS = {"keras": "import keras", "keras_mmembed": "import keras, keras_mmembed"}


def measure_import(backend, rounds=4):
    """Return the times of fresh processes that import, in turns."""
    environment = {**os.environ, "KERAS_BACKEND": backend}

    def process(code):
        command = [sys.executable, "-c", code]
        return lambda: subprocess.run(
            command, env=environment, check=True, stderr=subprocess.DEVNULL
        )

    programs = {name: process(code) for name, code in PROGRAMS.items()}
    times = measure.alternate(programs, rounds, warm_up=1)
    return {"backend": backend, **measure.summarize(times, "keras")}
