"""Models for a server, from any backend."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_mmembed.common import checks
from keras_mmembed.serving import (
    comparison,
    signature,
    tensorflow_process,
    version_folder,
)

WHO = signature.WHO


@dataclass(frozen=True)
class ServingExport:
    """What `export_for_serving` has written, and what it compared; `str` reads well.

    Attributes:
        path: The folder of the version.
        version: Its number.
        endpoints: By endpoint, `(name, dtype, shape)` of its inputs.
        outputs: Names of the outputs.
        compared: `(endpoint, shapes by input, largest difference)` of every request
            that the export and the model have answered.
    """

    path: Path
    version: int
    endpoints: dict
    outputs: tuple
    compared: tuple

    def __str__(self):
        lines = [f"version {self.version} in {self.path}"]
        for endpoint, inputs in self.endpoints.items():
            listed = ", ".join(f"{n} {dtype} {shape}" for n, dtype, shape in inputs)
            lines.append(f"{endpoint}: {listed} -> {', '.join(self.outputs)}")
        lines.append("compared with the model:")
        for endpoint, shapes, difference in self.compared:
            listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            lines.append(f"  {endpoint}: {listed}: differs by {difference:.1e}")
        return "\n".join(lines)


def export_for_serving(
    model, directory, *, version=None, endpoints=None, warmup=None, tolerance=None
):
    """Write a model as a SavedModel that TensorFlow Serving serves, from any backend.

    The export holds plain TensorFlow operations, and runs in a server without Python
    and without XLA. From JAX and PyTorch it is made by a second process on TensorFlow,
    out of the `.keras` file of the model. It is written beside its place, read back,
    and moved there in one step only if it gives the answers of the model; a server
    that watches `directory` never sees half a model. If anything fails, `directory`
    is as it was. Exports to one directory take turns.

    Shapes:
        inputs: as in the model; what is unknown there, such as the batch, the lengths
            and the grids, is unknown to the server too.
        outputs: as in the model, floats as float32.

    Args:
        model: A functional or sequential model. Its inputs need names: the keys of a
            dict of inputs, or else `keras.Input(name=...)`. Outputs have the keys of
            a dict, or else are `output_0`, `output_1`, ... Inputs of half precision
            are float32 for clients.
        directory: The folder of all versions, `<directory>/<version>/`; made if it
            does not exist.
        version: The number of this one; by default one more than the last.
        endpoints: By name, inputs that can be sent without the others, which must be
            `keras.Input(optional=True)`. Two endpoints with all inputs are always
            there: `serve` and `serving_default`.
        warmup: Requests, each a dict of arrays by input name. A server replays them
            when it loads the model, and here they are compared, together with
            requests that are made up, if the model takes those.
        tolerance: How far answers may be from those of the model, relative to the
            largest one, or to 1 if that is less. By default 1e-5, and more for a model
            of half precision or with quantized layers.

    Returns:
        A `ServingExport`: `path`, `version`, and what was compared.

    Raises:
        ImportError: if TensorFlow is not installed.
        OSError: if `directory` cannot be written, or the space does not suffice.
        RuntimeError: if TensorFlow cannot run the model, or gives other answers.
        TypeError, ValueError: if an argument is wrong.

    Example:
    >>> import keras
    >>> from keras_mmembed import (export_for_serving)
    >>> export_for_serving(keras.Sequential([]), "models/nothing")
    Traceback (most recent call last):
        ...
    ValueError: export_for_serving: `model` must be built of keras.Input, ...
    """
    signature.check_model(model)
    endpoints = signature.check_endpoints(model, endpoints)
    warmup = signature.check_requests(model, warmup or [], endpoints)
    version = checks.check_integer(WHO, "version", version, optional=True)
    if tolerance is None:
        tolerance = comparison.default_tolerance(model)
    tolerance = checks.check_number(WHO, "tolerance", tolerance, 0)
    directory = _check_directory(directory)
    _check_version(directory, version)
    _check_tensorflow(model)
    requests, expected = comparison.requests_and_answers(model, endpoints, warmup)
    try:
        with version_folder.staging(directory) as (folder, lock):
            # once more, now that no other export is at work
            version = _check_version(directory, version)
            answers = _write(model, folder, endpoints, requests, warmup, lock)
            compared = _compare(model, requests, expected, answers, tolerance)
            path = version_folder.publish(folder / "saved_model", directory, version)
    except OSError as error:
        rule = "be a folder with enough space, in which you may write"
        text = checks.error_text(WHO, "directory", rule, f"'{directory}'")
        raise OSError(f"{text} {error}. Nothing was exported.") from error
    inputs = signature.inputs_by_name(model)
    described = {
        endpoint: tuple(signature.describe(name, inputs[name]) for name in names)
        for endpoint, names in endpoints.items()
    }
    return ServingExport(path, version, described, tuple(expected[0]), compared)


def _check_directory(directory):
    rule = "be a path"
    is_path = isinstance(directory, (str, os.PathLike))
    received = type(directory).__name__
    checks.check(is_path, WHO, "directory", rule, received, error=TypeError)
    directory = Path(directory)
    is_folder = directory.is_dir() or not directory.exists()
    checks.check(is_folder, WHO, "directory", "be a folder", f"'{directory}'")
    return directory


def _check_version(directory, version):
    """Return the number of the new version."""
    taken = version_folder.versions(directory)
    free = max(taken, default=0) + 1
    rule = f"not be in '{directory}' yet"
    remedy = f"The next free number is {free}."
    checks.check(version not in taken, WHO, "version", rule, version, remedy)
    return free if version is None else version


def _check_tensorflow(model):
    """Raise unless TensorFlow is here, and can know the classes of the model."""
    if importlib.util.find_spec("tensorflow") is None:
        rule = f"be installed beside the {keras.backend.backend()} backend"
        remedy = (
            "Install it: pip install 'keras-mmembed[tensorflow]', or tensorflow-cpu."
        )
        text = checks.error_text(WHO, "tensorflow", rule, "nothing", remedy)
        raise ImportError(text)
    if keras.backend.backend() != "tensorflow":
        tensorflow_process.custom_modules(model)


def _write(model, folder, endpoints, requests, warmup, lock):
    """Write the model in `folder`, and return its answers to the requests."""
    job = (endpoints, requests, warmup)
    try:
        if keras.backend.backend() == "tensorflow":
            from keras_mmembed.serving import saved_model

            return saved_model.export(model, folder / "saved_model", *job)
        return tensorflow_process.export(model, folder, *job, lock=lock)
    except OSError:
        raise
    except Exception as error:  # whatever TensorFlow, or a layer, may raise
        rule = "be written by TensorFlow"
        text = checks.error_text(WHO, "model", rule, f"{model.name!r}")
        raise RuntimeError(f"{text} {error} Nothing was exported.") from error


def _compare(model, requests, expected, answers, tolerance):
    """Return what was compared; raise if the answers are not those of the model."""
    compared = []
    for (endpoint, arrays), right, got in zip(requests, expected, answers, strict=True):
        difference = comparison.largest_difference(right, got)
        shapes = {name: array.shape for name, array in arrays.items()}
        compared.append((endpoint, shapes, difference))
        if not difference <= tolerance:
            rule = f"give the same answers on TensorFlow, within {tolerance:.1e}"
            text = checks.error_text(WHO, "model", rule, f"{model.name!r}")
            raise RuntimeError(
                f"{text} Endpoint {endpoint!r} differs by {difference:.1e} at the "
                f"shapes {shapes}. Nothing was exported."
            )
    return tuple(compared)
