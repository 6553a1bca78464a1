"""What one process measures on a GPU; `python -m benchmarks.gpu` starts it."""

import argparse
import json
import math
from pathlib import Path

import keras

from benchmarks import compositions, measure
from benchmarks.measure import FLOOR, OURS
from benchmarks.programs import cotangent, make_program, modes, tensors
from benchmarks.sizes import SIZES, Size, inputs

# a gigabyte in float32: starting a program takes no part of the time that counts
LARGE = Size("GPU", 64, 1024, text=1024, grid=(32, 64), audio=1024)
MODES = {"torch": ("eager", "compile"), "jax": ("jit",)}


def device_name(device):
    """Return the name of the device that Keras computes on; raise if it is another."""
    if keras.backend.backend() == "jax":
        import jax

        found = jax.devices()[0]
        kind, name = found.platform, found.device_kind
    else:
        import torch

        kind = "gpu" if torch.cuda.is_available() else "cpu"
        name = torch.cuda.get_device_name() if kind == "gpu" else "cpu"
    if kind != device:
        raise RuntimeError(f"{keras.backend.backend()} computes on a {kind}: {name}.")
    return name


def moved_numbers(size, kind):
    """Return how many numbers a program has to read and write at least."""
    given = sum(math.prod(shape) for shape in size.shapes.values())
    forward = given + math.prod(size.fused_shape)
    # a step reads the gradients of the outputs, and writes those of the inputs
    return forward if kind == "forward" else 2 * forward


def measure_rows(size, dtype, rounds):
    """Return a row for each kind, mode and model, and the bandwidth of the copy."""
    models = {
        FLOOR: compositions.build_at(compositions.Floor(size, 0.0), size),
        OURS: compositions.build_at(compositions.fusion(size, 0.0), size),
    }
    features = {n: keras.ops.cast(x, dtype) for n, x in tensors(inputs(size)).items()}
    fused = {"fused": cotangent(models[FLOOR], features)}
    width = 2 if dtype == "bfloat16" else 4
    copied = 2 * math.prod(size.fused_shape) * width
    rows, bandwidths = [], []
    for kind in ("forward", "step"):
        for mode in MODES[keras.backend.backend()]:
            programs = {
                name: make_program(kind, model, features, mode)
                for name, model in models.items()
            }
            copy = compositions.Copy()
            programs["copy"] = make_program("forward", copy, fused, modes()[-1])
            times = measure.alternate(programs, rounds)
            rates = [copied / seconds for seconds in times["copy"]]
            bandwidths.append(measure.quartiles(rates)[1])
            moved = moved_numbers(size, kind) * width
            for name in models:
                share = [
                    moved / seconds / rate
                    for seconds, rate in zip(times[name], rates, strict=True)
                ]
                rows.append(
                    {
                        "program": f"{kind}, {mode}",
                        "model": name,
                        "seconds": measure.quartiles(times[name])[1],
                        "share": measure.quartiles(share),
                    }
                )
    return rows, max(bandwidths)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("dtype")
    parser.add_argument("--device", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    options = parser.parse_args()
    name = device_name(options.device)
    keras.config.set_dtype_policy(options.dtype)
    size = LARGE if options.device == "gpu" else SIZES["one sample"]
    rows, copy = measure_rows(size, options.dtype, options.rounds)
    backend = keras.backend.backend()
    framework = __import__(backend)
    results = {
        "backend": backend,
        "device": name,
        "dtype": options.dtype,
        "size": size.description,
        "versions": f"{backend} {framework.__version__}, keras {keras.__version__}",
        "copy": copy,
        "rows": rows,
    }
    options.output.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
