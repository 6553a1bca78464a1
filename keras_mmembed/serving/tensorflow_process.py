"""An export from another backend, by a process that runs on TensorFlow.

The two processes share a folder: the first writes `model.keras`, `job.json` and
requests as `.npz`, the second `saved_model/` and `answers.npz`.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mmembed.common.types import Config
from keras_mmembed.serving import disk, model_file, saved_model
from keras_mmembed.serving.requests import Request
from keras_mmembed.serving.saved_model import ExportJob
from keras_mmembed.serving.signature import Arrays, Endpoint, ServedInput

# how the process ends if the disk takes no more
FIRST_STATUS = 90
OSERROR_STATUSES = dict(enumerate(disk.NUMBERS, FIRST_STATUS))


def export(
    model: keras.Model, folder: Path, job: ExportJob, lock: int | None = None
) -> list[Arrays]:
    """Do what `saved_model.export` does, in a process that runs on TensorFlow.

    That process ends when this one does, and keeps the descriptor `lock` open until
    then.
    """
    modules = model_file.custom_modules(model)
    policies = model_file.quantized_policies(model)
    model.save(folder / "model.keras")
    config = {"modules": modules, "policies": policies, **_job_config(job)}
    (folder / "job.json").write_text(json.dumps(config))
    _save_arrays(folder / "warmup.npz", [each.arrays for each in job.warmup])
    _save_arrays(folder / "requests.npz", [each.arrays for each in job.requests])
    _run(folder, lock)
    return _load_arrays(folder / "answers.npz", len(job.requests))


def _run(folder: Path, lock: int | None) -> None:
    """Run this module on TensorFlow, and raise its error if it fails."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # the accelerator is busy with the backend of this process
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    with (folder / "log.txt").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=() if lock is None else (lock,),
        )
        with process:
            try:
                status = process.wait()
            finally:
                process.kill()
    if status in OSERROR_STATUSES:
        number = OSERROR_STATUSES[status]
        raise OSError(number, os.strerror(number))
    if status:
        raise RuntimeError(_failure(folder, status))


def _failure(folder: Path, status: int) -> str:
    """Return the error that the process left behind, or else its last lines."""
    error = folder / "error.txt"
    text = error.read_text(errors="replace") if error.exists() else ""
    if text:
        return text
    last_lines = (folder / "log.txt").read_text(errors="replace").splitlines()[-3:]
    said = " ".join(["It said:", *last_lines] if last_lines else [])
    return f"The process ended with status {status}. {said}"


def main() -> None:
    """Do the job in the folder of the command line, or leave the error there."""
    folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _do_job(folder)
    except Exception as error:
        full = disk.trouble(error, folder)
        if full is not None:
            # a full disk takes no text either
            os._exit(FIRST_STATUS + disk.NUMBERS.index(full.errno))
        with contextlib.suppress(OSError):
            (folder / "error.txt").write_text(str(error))
        raise


def _end_with_parent() -> None:
    """End this process when the parent ends, which closes its end of the pipe."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _do_job(folder: Path) -> None:
    config = json.loads((folder / "job.json").read_text())
    for module in config["modules"]:
        importlib.import_module(module)
    model = model_file.load_model(folder / "model.keras", config["policies"])
    job = _read_job(folder, config)
    answers = saved_model.export(model, folder / "saved_model", job)
    _save_arrays(folder / "answers.npz", answers)


def _job_config(job: ExportJob) -> Config:
    """Return a job as plain data, without the arrays of its requests."""
    return {
        "endpoints": {each.name: each.inputs for each in job.endpoints},
        "warmup": [each.endpoint for each in job.warmup],
        "requests": [each.endpoint for each in job.requests],
    }


def _read_job(folder: Path, config: Config) -> ExportJob:
    """Return the job of `_job_config`, with the arrays in the folder."""
    endpoints = [
        Endpoint(
            name,
            tuple(
                ServedInput(one, dtype, tuple(shape)) for one, dtype, shape in inputs
            ),
        )
        for name, inputs in config["endpoints"].items()
    ]
    return ExportJob(
        endpoints=tuple(endpoints),
        warmup=_load_requests(folder / "warmup.npz", config["warmup"]),
        requests=_load_requests(folder / "requests.npz", config["requests"]),
    )


def _load_requests(path: Path, endpoints: Sequence[str]) -> tuple[Request, ...]:
    many = _load_arrays(path, len(endpoints))
    return tuple(map(Request, endpoints, many))


def _save_arrays(path: Path, many: Sequence[Arrays]) -> None:
    """Save several sets of arrays by name in one file."""
    flat: dict[str, Any] = {
        f"{index}/{name}": array
        for index, arrays in enumerate(many)
        for name, array in arrays.items()
    }
    np.savez(path, **flat)


def _load_arrays(path: Path, count: int) -> list[Arrays]:
    """Return the sets of arrays in a file of `_save_arrays`."""
    many: list[Arrays] = [{} for _ in range(count)]
    with np.load(path) as arrays:
        for key in arrays:
            index, name = key.split("/", 1)
            many[int(index)][name] = arrays[key]
    return many


if __name__ == "__main__":
    main()
