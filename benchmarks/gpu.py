"""Measures the fusion on a GPU against the bandwidth of a copy.

`python -m benchmarks.gpu` runs a process for each backend and dtype.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import report

BACKENDS = ("torch", "jax")
DTYPES = ("float32", "bfloat16")


def run_worker(backend, dtype, options):
    """Return what a process measures on a backend, in a dtype."""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    if options.device == "cpu":
        environment |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        command = [sys.executable, "-m", "benchmarks.gpu_worker", str(path), dtype]
        command += ["--device", options.device, "--rounds", str(options.rounds)]
        subprocess.run(command, env=environment, check=True)
        return json.loads(path.read_text())


def markdown(command, results):
    """Return the conditions, and the table of all rows."""
    lines = [f"Written by `{command}`.", ""]
    lines += [
        f"- {result['device']}: {result['versions']}; a copy moves "
        f"{result['copy'] / 1e9:.0f} GB/s in {result['dtype']}"
        for result in results
    ]
    heads = ["backend", "dtype", "program", "model", "time", "share of the copy"]
    rows = [
        [result["backend"], result["dtype"], *_cells(row)]
        for result in results
        for row in result["rows"]
    ]
    return "\n".join([*lines, "", report.table(heads, rows)])


def _cells(row):
    share = report.spread(row["share"])
    return row["program"], row["model"], report.time(row["seconds"]), share


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--device", default="gpu", choices=("gpu", "cpu"))
    parser.add_argument("--backends", nargs="+", default=BACKENDS, choices=BACKENDS)
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks_gpu"))
    parser.add_argument(
        "--write", type=Path, help="a page that has a marked place for the table"
    )
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    results = [
        run_worker(backend, dtype, options)
        for backend in options.backends
        for dtype in options.dtypes
    ]
    (options.output / "results.json").write_text(json.dumps(results, indent=1))
    command = shlex.join(["python", "-m", "benchmarks.gpu", *sys.argv[1:]])
    text = markdown(command, results)
    print(text)
    (options.output / "results.md").write_text(text)
    if options.write:
        report.write_between_marks(options.write, "gpu", text)


if __name__ == "__main__":
    main()
