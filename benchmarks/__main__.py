"""Measures the fusion against the floor and its peers; see README.md."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import report, sizes, startup

MODULES = {"jax": "jax", "tensorflow": "tensorflow", "torch": "torch"}
QUICK_SIZES = ("nearly empty", "one sample", "reference")
PARTS = ("times", "memory", "scaling", "serving", "import")
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


def run_worker(backend, parts, options, folder):
    """Return what a process measures on a backend."""
    path = Path(folder) / f"{backend}.json"
    command = [sys.executable, "-m", "benchmarks.worker", str(path)]
    command += ["--rounds", str(options.rounds)]
    command += ["--sizes", *options.sizes, "--parts", *parts]
    command += ["--kinds", *options.kinds] if options.kinds else []
    command += ["--modes", *options.modes] if options.modes else []
    command += ["--quick"] if options.quick else []
    cores = sorted(os.sched_getaffinity(0))[: options.threads]
    subprocess.run(
        command,
        env=environment_of(backend, options),
        # JAX and TensorFlow take as many threads as there are cores that they may use
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        check=True,
    )
    return json.loads(path.read_text())


def parse_arguments():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    here = [name for name in MODULES if importlib.util.find_spec(MODULES[name])]
    parser.add_argument("--quick", action="store_true", help="a few minutes, no large")
    parser.add_argument("--backends", nargs="+", default=here, choices=MODULES)
    parser.add_argument("--sizes", nargs="+", choices=sizes.SIZES)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--kinds", nargs="+", help="forward, step, step with dropout")
    parser.add_argument("--modes", nargs="+", help="eager, jit, graph, xla, compile")
    parser.add_argument("--rounds", type=int, help="how often each program is timed")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--fresh-memory", action="store_true", help="let the allocator give memory back"
    )
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"))
    parser.add_argument("--write", type=Path, help="where to write the tables too")
    options = parser.parse_args()
    options.sizes = options.sizes or (QUICK_SIZES if options.quick else [*sizes.SIZES])
    options.rounds = options.rounds or (10 if options.quick else 40)
    return options


def main():
    options = parse_arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    parts = [part for part in options.parts if part != "import"]
    results = {"rounds": options.rounds, "backends": [], "imports": []}
    with tempfile.TemporaryDirectory() as folder:
        for backend in options.backends:
            if parts:
                results["backends"].append(run_worker(backend, parts, options, folder))
            if "import" in options.parts:
                rounds = max(3, options.rounds // 4)
                results["imports"].append(startup.measure_import(backend, rounds))
    (options.output / "results.json").write_text(json.dumps(results, indent=1))
    text = report.markdown(results)
    print(text)
    for path in (options.output / "results.md", options.write):
        if path:
            path.write_text(text)
    if "times" in options.parts and "reference" in options.sizes:
        report.plot(results, options.output / "results.png")
    print(f"Written to {options.output}: results.json, results.md, results.png")


if __name__ == "__main__":
    main()
