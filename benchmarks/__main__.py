"""Measures the fusion against the floor and its peers; see docs/performance.md."""

import argparse
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import plan, report, startup
from benchmarks.goals import HUB
from benchmarks.measure import FLOOR, OURS

BACKENDS = ("jax", "tensorflow", "torch")
PARTS = ("times", "memory", "scaling", "serving", "generation", "import")
# KerasHub has an environment of its own, where the rest is not measured again
HUB_PLAN = {
    "sizes": ("reference",),
    "kinds": ("forward", "step"),
    "models": (FLOOR, OURS, HUB),
}
# memory, scaling, serving, generation, import and KerasHub of one backend
SECONDS_OF_OTHER_PARTS = 180
# freed memory stays in the process: else the page faults that one model causes by
# its pattern of allocations would decide
WARM_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**33),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
}


def environment_of(backend, options):
    """Return the environment of a process that measures a backend."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": str(options.threads),
    }
    return environment if options.fresh_memory else {**environment, **WARM_MEMORY}


def run_worker(backend, parts, options, python=sys.executable, **changes):
    """Return what a process measures on a backend."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        command = [str(python), "-m", "benchmarks.worker", str(path)]
        command += ["--parts", *parts, *plan.arguments(options, **changes)]
        cores = sorted(os.sched_getaffinity(0))[: options.threads]
        subprocess.run(
            command,
            env=environment_of(backend, options),
            # JAX and TensorFlow take as many threads as there are cores to use
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
            check=True,
        )
        return json.loads(path.read_text())


def parse_arguments():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    here = [name for name in BACKENDS if importlib.util.find_spec(name)]
    parser.add_argument("--backends", nargs="+", default=here, choices=BACKENDS)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    plan.add_arguments(parser)
    parser.add_argument(
        "--minutes", type=float, default=12.0, help="after which rows are left out"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--fresh-memory", action="store_true", help="let the allocator give memory back"
    )
    parser.add_argument(
        "--kerashub", type=Path, help="Python of an environment that has KerasHub"
    )
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"))
    parser.add_argument(
        "--write", type=Path, help="a page that has a marked place for the tables"
    )
    return parser.parse_args()


def measure(options):
    """Return all results, one backend after the other."""
    parts = [part for part in options.parts if part != "import"]
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    results = {"command": command, "rounds": options.rounds}
    results |= {"backends": [], "hub": [], "imports": []}
    start = time.time()
    for done, backend in enumerate(options.backends, start=1):
        # what one backend leaves over is for the next
        share = 60 * options.minutes * done / len(options.backends)
        until = start + share - SECONDS_OF_OTHER_PARTS
        if parts:
            found = run_worker(backend, parts, options, until=until)
            results["backends"].append(found)
        if options.kerashub and "times" in parts:
            python = options.kerashub
            changes = {**HUB_PLAN, "until": start + share}
            found = run_worker(backend, ["times"], options, python, **changes)
            results["hub"].append(found)
        if "import" in options.parts:
            results["imports"].append(startup.measure_import(backend))
    return results


def main():
    options = parse_arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    results = measure(options)
    (options.output / "results.json").write_text(json.dumps(results, indent=1))
    text = report.markdown(results)
    print(text)
    (options.output / "results.md").write_text(text)
    if options.write:
        report.write_between_marks(options.write, "cpu", text)
    if "times" in options.parts and "reference" in options.sizes:
        report.plot(results, options.output / "results.png")
    print(f"Written to {options.output}: results.json, results.md, results.png")


if __name__ == "__main__":
    main()
