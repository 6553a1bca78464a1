"""What one process on one backend measures; `python -m benchmarks` starts it."""

import argparse
import gc
import json
import math
import os
import platform
import sys
import time
from pathlib import Path

import keras
import numpy as np

from benchmarks import generation, measure, memory, plan, scaling, serving
from benchmarks.competitors import groups
from benchmarks.measure import OURS
from benchmarks.programs import make_program

TOLERANCE = 2e-5


def measure_group(group, kind, mode, options):
    """Return the times of all models of a group."""
    programs, first_calls, outputs = {}, {}, {}
    for name, model in group.models.items():
        inputs = group.own_inputs.get(name, group.inputs)
        programs[name] = make_program(kind, model, inputs, mode)
        first_calls[name] = measure.first_call(programs[name])
        if kind == "forward":
            outputs[name] = keras.ops.convert_to_numpy(programs[name]())
    check_numbers(group, outputs)
    times = measure.alternate(programs, options.rounds, limit=options.seconds)
    return {
        "group": group.name,
        "base": group.base,
        "kind": kind,
        "mode": mode,
        "first_calls": first_calls,
        "times": times,
        "summary": measure.summarize(times, group.base),
    }


def check_numbers(group, outputs):
    """Raise unless those that should agree with this package do."""
    for name in group.same_numbers:
        if name in outputs:
            difference = np.abs(outputs[name] - outputs[OURS]).max()
            if difference > TOLERANCE:
                raise ValueError(f"{name} differs from {OURS} by {difference}.")


def measure_times(options):
    """Return a row for each size, kind and mode."""
    rows = []
    backend = keras.backend.backend()
    for size, kind, mode in plan.chosen(options):
        for group in groups(size, plan.DROPOUT[kind]):
            group.keep(options.models)
            if len(group.models) < 2:
                continue
            name = f"{backend}: {size.name}, {kind}, {mode}, {group.name}"
            if time.time() > options.until:
                print(f"{name}: left out, there is no time", flush=True)
                continue
            print(name, flush=True)
            row = measure_group(group, kind, mode, options)
            rows.append({"backend": backend, "size": size.name, **row})
            del group
            gc.collect()
    return rows


def machine():
    """Return what the numbers depend on."""
    packages = ("jax", "tensorflow", "torch", "keras_hub", "transformers")
    versions = {
        name: sys.modules[name].__version__ for name in packages if name in sys.modules
    }
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if "model name" in line]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "keras": keras.__version__,
        **versions,
    }


PARTS = {
    "times": measure_times,
    "memory": memory.measure_memory,
    "scaling": scaling.measure_scaling,
    "serving": serving.measure_serving,
    "generation": generation.measure_generation,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    plan.add_arguments(parser)
    parser.add_argument("--until", type=float, default=math.inf)
    options = parser.parse_args()
    results = {"backend": keras.backend.backend(), "machine": machine()}
    for part in options.parts:
        results[part] = PARTS[part](options)
    options.output.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
