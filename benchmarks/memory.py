"""Peak memory of a program, over what its inputs and outputs take.

A process of its own runs the program twice and reads from the kernel how far the
second run goes above what stood before it. Freed memory is handed back at once there,
and the first run has compiled. The kernel counts everything: temporary tensors,
results, and copies that a backend makes without saying so.
"""

import argparse
import ctypes
import gc
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from benchmarks import sizes
from benchmarks.competitors import fusion_group
from benchmarks.measure import FLOOR, OURS
from benchmarks.programs import make_program, modes

SIZE = "large"
# every large block comes from the kernel and goes back to it; with oneDNN TensorFlow
# would keep what it has once had, and the second run would seem to need nothing
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


def measure_memory(options):
    """Return a row for each kind, mode and competitor."""
    rows = []
    for kind in ("forward", "step"):
        # each is a process; the fastest way to run is the one that says most
        mode = modes()[-1]
        for name in (FLOOR, OURS):
            backend = keras.backend.backend()
            print(f"{backend}: memory, {kind}, {mode}, {name}", flush=True)
            arguments = ["--kind", kind, "--mode", mode, "--name", name]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.memory", *arguments],
                env={**os.environ, **ALLOCATOR},
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise RuntimeError(done.stderr)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    return rows


def resident(entry):
    """Return VmRSS, what the process holds now, or VmHWM, the most so far; in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{entry}:\s+(\d+)", status)[1])


def peak_of(program):
    """Return what a call needs above what is held before it, and the results."""
    program()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    # the peak starts again from what is held now
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    results = program()
    return resident("VmHWM") - before, results


def bytes_of(tensors):
    """Return the size of tensors, whatever they are nested in."""
    return sum(
        math.prod(x.shape) * np.dtype(keras.backend.standardize_dtype(x.dtype)).itemsize
        for x in keras.tree.flatten(tensors)
        if hasattr(x, "shape")
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", required=True)
    parser.add_argument("--mode", required=True)
    parser.add_argument("--name", required=True)
    options = parser.parse_args()
    size = sizes.SIZES[SIZE]
    group = fusion_group(size, dropout=0.0)
    model = group.models[options.name]
    program = make_program(options.kind, model, group.inputs, options.mode)
    above, results = peak_of(program)
    inputs = sum(x.nbytes for x in group.inputs.values())
    if options.kind == "step":
        inputs += 4 * math.prod(size.fused_shape)
    outputs = bytes_of(results)
    print(
        json.dumps(
            {
                **vars(options),
                "inputs": inputs,
                "outputs": outputs,
                "above": above,
                "ratio": (inputs + above) / (inputs + outputs),
            }
        )
    )


if __name__ == "__main__":
    main()
