"""Size of an export for TensorFlow Serving, and its latency in the C library.

It needs `keras_mmembed.export_for_serving` and `examples/serving/c_library.py`; where
one of them is missing, nothing is measured.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import measure, sizes

C_LIBRARY = Path(__file__).parent.parent / "examples" / "serving"


def measure_serving(options):
    """Return a row for each size, of bytes and seconds; none where nothing can be."""
    import keras

    import keras_mmembed
    from benchmarks.compositions import build_at, fusion

    if not hasattr(keras_mmembed, "export_for_serving"):
        print("serving: this version has no export_for_serving")
        return []
    rows = []
    for name in options.sizes:
        size = sizes.SIZES[name]
        layer = build_at(fusion(size, dropout=0.1), size)
        inputs = {
            key: keras.Input((None if key != "image" else shape[1], shape[2]), name=key)
            for key, shape in size.shapes.items()
        }
        model = keras.Model(inputs, layer(inputs))
        with tempfile.TemporaryDirectory() as folder:
            path = keras_mmembed.export_for_serving(model, folder).path
            files = [file for file in path.rglob("*") if file.is_file()]
            rows.append(
                {
                    "size": name,
                    "bytes": sum(file.stat().st_size for file in files),
                    **_latency(path, name, options.rounds),
                }
            )
    return rows


def _latency(path, size_name, rounds):
    """Return the seconds of a request, in a process without Keras and TensorFlow."""
    if not (C_LIBRARY / "c_library.py").exists():
        return {}
    arguments = [str(path), "--size", size_name, "--rounds", str(rounds)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(C_LIBRARY)])},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("export")
    parser.add_argument("--size", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    options = parser.parse_args()
    from c_library import SavedModel

    size = sizes.SIZES[options.size]
    requests = sizes.inputs(size)
    copies = {name: np.empty_like(array) for name, array in requests.items()}

    def copy():
        for name, array in requests.items():
            np.copyto(copies[name], array)

    model = SavedModel(options.export)
    programs = {"request": lambda: model.run(requests), "copy": copy}
    times = measure.alternate(programs, options.rounds)
    model.close()
    print(json.dumps({"latency": measure.summarize(times, "copy")}))


if __name__ == "__main__":
    main()
