"""An export from another backend, by a process that runs on TensorFlow.

The two processes share a folder: `model.keras`, `job.json` and the requests as `.npz`
go in, `saved_model/` and the answers come out.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_mmembed.common import checks
from keras_mmembed.serving import signature

WHO = signature.WHO


def export(model, folder, endpoints, requests, warmup, lock=None):
    """Do what `_saved_model.export` does, in a process of its own.

    The process ends when this one does, and keeps `lock` open until then.
    """
    job = {
        "modules": custom_modules(model),
        "endpoints": endpoints,
        "requests": [endpoint for endpoint, _ in requests],
        "warmup": [endpoint for endpoint, _ in warmup],
        "quantized": quantized_policies(model),
    }
    model.save(folder / "model.keras")
    (folder / "job.json").write_text(json.dumps(job))
    _save_arrays(folder / "requests.npz", [arrays for _, arrays in requests])
    _save_arrays(folder / "warmup.npz", [arrays for _, arrays in warmup])
    _run(folder, lock)
    answers = _load_arrays(folder / "answers.npz", job["requests"])
    return [arrays for _, arrays in answers]


def quantized_policies(model):
    """Return the dtype policies of quantized layers by index among all layers.

    Not every layer tells in its configuration that layers within it are quantized;
    Keras' own attention does not.
    """
    return {
        index: keras.dtype_policies.serialize(layer.dtype_policy)
        for index, layer in enumerate(model._flatten_layers())
        if layer.quantization_mode
    }


def load(path, policies):
    """Return the model of a `.keras` file, with layers quantized as in the original."""
    # safe_mode guards against the files of others; this one is the parent's own
    if not policies:
        return keras.models.load_model(path, compile=False, safe_mode=False)
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    config.pop("compile_config", None)
    model = keras.saving.deserialize_keras_object(config, safe_mode=False)
    layers = list(model._flatten_layers())
    for index, policy in policies.items():
        # quantizes the layer, and so makes the weights that the file has
        policy = keras.dtype_policies.deserialize(policy)
        layers[int(index)].dtype_policy = policy
    model.load_weights(path)
    return model


def custom_modules(model):
    """Return the modules of what is not Keras' own in a model.

    Raise if a class or function is unknown to another process.
    """
    modules = set()
    for name in sorted(set(_custom_names(keras.saving.serialize_keras_object(model)))):
        rule = "hold only classes and functions that are registered"
        remedy = (
            "Put @keras.saving.register_keras_serializable(package='...') before it, "
            "in a module that can be imported."
        )
        checks.check(">" in name, WHO, "model", rule, name, remedy)
        module = keras.saving.get_registered_object(name).__module__
        rule = "be made of classes that another process can import"
        remedy = "Move it to a module of its own; a script cannot be imported safely."
        received = f"{name} of {module}"
        checks.check(module != "__main__", WHO, "model", rule, received, remedy)
        modules.add(module)
    return sorted(modules)


def _custom_names(config):
    """Yield the registered names in a configuration."""
    if isinstance(config, (list, tuple)):
        for one in config:
            yield from _custom_names(one)
    if not isinstance(config, dict):
        return
    name, module = config.get("registered_name"), config.get("module")
    if name and not (module or "").startswith("keras."):
        yield name
    for key, value in config.items():
        if key != "compile_config":  # losses and the like, which are not exported
            yield from _custom_names(value)


def _run(folder, lock):
    """Run this module on TensorFlow; raise what it says if it fails."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # the accelerator is busy with the backend of this process
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    log = folder / "log.txt"
    with log.open("wb") as stderr:
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
    if status:
        error = folder / "error.txt"
        if error.exists():
            raise RuntimeError(error.read_text())
        last_lines = log.read_text(errors="replace").splitlines()[-3:]
        said = " ".join(["It said:", *last_lines] if last_lines else [])
        raise RuntimeError(f"The process ended with status {status}. {said}")


def _save_arrays(path, many):
    np.savez(
        path,
        **{
            f"{index}/{name}": array
            for index, arrays in enumerate(many)
            for name, array in arrays.items()
        },
    )


def _load_arrays(path, endpoints):
    """Return pairs of an endpoint and the arrays of that index."""
    many = [(endpoint, {}) for endpoint in endpoints]
    with np.load(path) as arrays:
        for key in arrays:
            index, name = key.split("/", 1)
            many[int(index)][1][name] = arrays[key]
    return many


def _work(folder):
    """Do the job of a folder."""
    from keras_mmembed.serving import saved_model

    job = json.loads((folder / "job.json").read_text())
    for module in job["modules"]:
        importlib.import_module(module)
    model = load(folder / "model.keras", job["quantized"])
    requests, warmup = (
        _load_arrays(folder / f"{name}.npz", job[name])
        for name in ("requests", "warmup")
    )
    answers = saved_model.export(
        model, folder / "saved_model", job["endpoints"], requests, warmup
    )
    _save_arrays(folder / "answers.npz", answers)


def _end_with_parent():
    """End this process when the parent ends, which closes its end of the pipe."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main():
    """Do the job, or leave a text that says what went wrong."""
    folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _work(folder)
    except Exception as error:
        with contextlib.suppress(OSError):  # no space, for instance
            (folder / "error.txt").write_text(str(error))
        raise


if __name__ == "__main__":
    main()
