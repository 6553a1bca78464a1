"""Models for a server, from any backend."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_mmembed.common import checks
from keras_mmembed.serving import (
    comparison,
    disk,
    saved_model,
    tensorflow_process,
    version_folder,
)
from keras_mmembed.serving.checks import (
    check_arguments,
    check_tensorflow,
    free_version,
)
from keras_mmembed.serving.comparison import Comparison
from keras_mmembed.serving.requests import AnsweredRequest, answer_requests
from keras_mmembed.serving.saved_model import ExportJob
from keras_mmembed.serving.signature import WHO, Arrays, ServedInput


@dataclass(frozen=True)
class ServingExport:
    """A model that `export_for_serving` has written; `print` shows it line by line.

    Attributes:
        path: The folder of the version.
        version: Its number.
        endpoints: By endpoint, the `name`, `dtype` and `shape` of each input.
        outputs: Names of the outputs, which all endpoints have.
        compared: For each request that was compared, the `endpoint`, the `shapes` by
            input, and the largest `difference` to the answer of the model.
    """

    path: Path
    version: int
    endpoints: dict[str, tuple[ServedInput, ...]]
    outputs: tuple[str, ...]
    compared: tuple[Comparison, ...]

    def __str__(self) -> str:
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
    model: keras.Model,
    directory: str | os.PathLike[str],
    *,
    version: int | None = None,
    endpoints: Mapping[str, Sequence[str]] | None = None,
    warmup: Sequence[Mapping[str, Any]] | None = None,
    tolerance: float | None = None,
) -> ServingExport:
    """Export a model as a SavedModel for TensorFlow Serving, from any backend.

    The SavedModel holds plain TensorFlow operations, and runs in a server without
    Python and without XLA. From JAX and PyTorch, a second process on TensorFlow loads
    the `.keras` file of the model and writes it.

    The export is written in a hidden folder, read back, compared with the model, and
    renamed in one step, so a server that watches `directory` never sees half a model.
    If anything fails, `directory` stays as it was. Exports to one directory take
    turns.

    Shapes:
        inputs: as in the model; sizes that are `None` there, such as the batch,
            lengths and grids, can have any value in a request.
        outputs: as in the model, floats as float32.

    Args:
        model: A functional or sequential model. Its inputs need names: the keys of a
            dict of inputs, or else `keras.Input(name=...)`. Outputs have the keys of
            a dict, or else are `output_0`, `output_1`, ... Clients send inputs of
            half precision as float32.
        directory: The folder of all versions, `<directory>/<version>/`; it is created
            if it does not exist.
        version: The number of this version, at least 1. By default one more than the
            last.
        endpoints: By name, the inputs of further endpoints. Inputs that an endpoint
            leaves out must be `keras.Input(optional=True)`. By default there are only
            `serve` and `serving_default`, which have all inputs.
        warmup: Requests, each a dict of arrays by input name; none by default. A
            server replays them when it loads the model. They are compared too, after
            random requests, if the model answers those with finite numbers.
        tolerance: The largest difference to the answers of the model that is
            accepted, relative to the largest value of an answer, or to 1 if that is
            less. By default 1e-5; 1e-2 for a model with float16, 6e-2 with bfloat16
            and 5e-2 with quantized layers.

    Returns:
        A `ServingExport`, with the `path`, the `version` and what was compared.

    Raises:
        ImportError: if TensorFlow is not installed.
        OSError: if `directory` cannot be written, or there is no space left.
        RuntimeError: if TensorFlow cannot run the model, or its answers differ.
        TypeError: if an argument has the wrong type.
        ValueError: if the model has no named inputs, an argument has the wrong value,
            or the model does not answer a request, or answers NaN.

    Example:
    >>> import keras
    >>> from keras_mmembed import export_for_serving
    >>> export_for_serving(keras.Sequential([]), "models/nothing")
    Traceback (most recent call last):
        ...
    ValueError: export_for_serving: `model` must be built of keras.Input, ...
    """
    checked = check_arguments(model, directory, version, endpoints, warmup, tolerance)
    check_tensorflow(model)
    answered = answer_requests(model, checked.endpoints, checked.warmup)
    requests = tuple(each.request for each in answered)
    job = ExportJob(checked.endpoints, checked.warmup, requests)
    directory = checked.directory
    with _directory_errors(directory), version_folder.staging(directory) as staging:
        # once more, now that no other export is at work
        number = free_version(directory, checked.version)
        answers = _write(model, staging.folder, job, staging.lock)
        compared = _compare(model, answered, answers, checked.tolerance)
        written = staging.folder / "saved_model"
        path = version_folder.publish(written, directory, number)
    inputs = {endpoint.name: endpoint.inputs for endpoint in checked.endpoints}
    return ServingExport(path, number, inputs, tuple(answered[0].answer), compared)


@contextlib.contextmanager
def _directory_errors(directory: Path) -> Iterator[None]:
    """Say of an error of the file system which argument it is about."""
    try:
        yield
    except OSError as error:
        rule = "be a folder with enough space, in which you may write"
        text = checks.error_text(WHO, "directory", rule, f"'{directory}'")
        raise OSError(f"{text} {error}. Nothing was exported.") from error


def _write(
    model: keras.Model, folder: Path, job: ExportJob, lock: int | None
) -> list[Arrays]:
    """Write the SavedModel in `folder`, and return its answers to the requests."""
    try:
        if keras.backend.backend() == "tensorflow":
            return saved_model.export(model, folder / "saved_model", job)
        return tensorflow_process.export(model, folder, job, lock)
    except OSError:
        raise
    except Exception as error:  # whatever TensorFlow, or a layer, may raise
        full = disk.trouble(error, folder)
        if full is not None:
            raise full from error
        rule = "be written by TensorFlow"
        text = checks.error_text(WHO, "model", rule, f"{model.name!r}")
        raise RuntimeError(f"{text} {error} Nothing was exported.") from error


def _compare(
    model: keras.Model,
    answered: Sequence[AnsweredRequest],
    answers: Sequence[Arrays],
    tolerance: float,
) -> tuple[Comparison, ...]:
    """Return the comparison of each request; raise if answers differ."""
    compared = []
    for right, answer in zip(answered, answers, strict=True):
        request = right.request
        difference = comparison.largest_difference(right.answer, answer)
        compared.append(Comparison(request.endpoint, request.shapes, difference))
        if not difference <= tolerance:
            rule = f"give the same answers on TensorFlow, within {tolerance:.1e}"
            text = checks.error_text(WHO, "model", rule, f"{model.name!r}")
            raise RuntimeError(
                f"{text} Endpoint {request.endpoint!r} differs by {difference:.1e} at "
                f"the shapes {request.shapes}. Nothing was exported."
            )
    return tuple(compared)
