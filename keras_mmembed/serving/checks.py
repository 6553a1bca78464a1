"""Checks of the arguments of an export."""

import importlib.util
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mmembed.common import checks
from keras_mmembed.serving import comparison, model_file, signature, version_folder
from keras_mmembed.serving.requests import Request
from keras_mmembed.serving.signature import WHO, Arrays, Endpoint, ServedInput

# a server reads no more than this
MOST_WARMUP_REQUESTS = 1000
# the version of a request is an int64
LAST_VERSION = 2**63 - 1


@dataclass(frozen=True)
class CheckedArguments:
    """Arguments of an export with their defaults; no `version` means the next one."""

    directory: Path
    version: int | None
    endpoints: tuple[Endpoint, ...]
    warmup: tuple[Request, ...]
    tolerance: float


def check_arguments(
    model: Any,
    directory: Any,
    version: Any,
    endpoints: Any,
    warmup: Any,
    tolerance: Any,
) -> CheckedArguments:
    """Return the arguments of an export, or raise."""
    check_model(model)
    endpoints = _check_endpoints(model, endpoints)
    warmup = _check_warmup([] if warmup is None else warmup, endpoints)
    version = checks.check_integer(
        WHO, "version", version, optional=True, maximum=LAST_VERSION
    )
    if tolerance is None:
        tolerance = comparison.default_tolerance(model)
    tolerance = checks.check_number(WHO, "tolerance", tolerance, 0)
    checks.check(tolerance < np.inf, WHO, "tolerance", "be finite", tolerance)
    directory = _check_directory(directory)
    free_version(directory, version)
    return CheckedArguments(directory, version, endpoints, warmup, tolerance)


def check_model(model: Any, who: str = WHO) -> None:
    """Raise unless a model is built of `keras.Input`, and its tensors have names."""
    _check_functional(model, who)
    _check_inputs(model, who)
    _check_outputs(model, who)


def _check_functional(model: Any, who: str) -> None:
    is_model = isinstance(model, keras.Model)
    received = type(model).__name__
    checks.check(is_model, who, "model", "be a keras.Model", received, error=TypeError)
    rule = "be built of keras.Input, as functional and sequential models are"
    remedy = (
        "Wrap it: inputs = {'tokens': keras.Input((None,), dtype='int32', "
        "name='tokens')}; keras.Model(inputs, model(inputs))."
    )
    is_symbolic = bool(getattr(model, "inputs", None))
    checks.check(is_symbolic, who, "model", rule, f"{model.name!r}", remedy)


def _check_inputs(model: keras.Model, who: str) -> None:
    structure = signature.input_structure(model)
    parts = structure.values() if isinstance(structure, dict) else structure
    parts = [parts] if isinstance(parts, keras.KerasTensor) else parts
    is_flat = all(isinstance(part, keras.KerasTensor) for part in parts)
    rule = "take one tensor, a list or a dict of them"
    checks.check(is_flat, who, "model", rule, f"{model.name!r} with nested inputs")
    names = tuple(signature.inputs_by_name(model))
    has_names = not any(re.fullmatch(r"keras_tensor(_\d+)?", name) for name in names)
    rule = "have named inputs"
    remedy = "Build it from a dict of inputs, or as keras.Input(..., name='tokens')."
    checks.check(has_names, who, "model", rule, f"{model.name!r}", remedy)
    checks.check_names(who, "model.input", names)
    for name, tensor in signature.inputs_by_name(model).items():
        rule = "be a number or bool"
        remedy = "Look words up before the model, and give it their ids."
        fits, argument = tensor.dtype != "string", f"model.input[{name!r}].dtype"
        dtype = tensor.dtype
        checks.check(fits, who, argument, rule, dtype, remedy, error=TypeError)


def _check_outputs(model: keras.Model, who: str) -> None:
    outputs = signature.output_structure(model)
    names = tuple(signature.outputs_by_name(outputs))
    checks.check_names(who, "model.output", names)
    is_one_to_one = len(names) == len(keras.tree.flatten(outputs))
    rule = "have names that differ when nested names are joined"
    checks.check(is_one_to_one, who, "model.output", rule, names)


def _check_endpoints(model: keras.Model, endpoints: Any) -> tuple[Endpoint, ...]:
    """Return the endpoints of an export: `serve` with all inputs, then the others."""
    inputs = signature.inputs_by_name(model)
    endpoints = {} if endpoints is None else endpoints
    rule = "be a dict of input names by endpoint"
    is_dict = isinstance(endpoints, dict)
    received = type(endpoints).__name__
    checks.check(is_dict, WHO, "endpoints", rule, received, error=TypeError)
    if endpoints:
        checks.check_names(WHO, "endpoints", endpoints)
    for name, input_names in endpoints.items():
        _check_endpoint(name, input_names, inputs)
    served = [signature.served_input(*item) for item in inputs.items()]
    others = [
        Endpoint(name, tuple(one for one in served if one.name in input_names))
        for name, input_names in endpoints.items()
    ]
    return (Endpoint(signature.DEFAULT_ENDPOINTS[0], tuple(served)), *others)


def _check_endpoint(
    name: str, input_names: Any, inputs: dict[str, keras.KerasTensor]
) -> None:
    """Raise unless an endpoint has a name of its own, and all inputs that it needs."""
    argument = f"endpoints[{name!r}]"
    is_new = name not in signature.DEFAULT_ENDPOINTS
    rule = "have a name of its own, because every model has those two"
    checks.check(is_new, WHO, argument, rule, repr(name))
    rule = f"name some of the inputs {list(inputs)}"
    is_list = isinstance(input_names, (list, tuple))
    is_known = (
        is_list
        and len(input_names) > 0
        and all(isinstance(one, str) and one in inputs for one in input_names)
    )
    checks.check(is_known, WHO, argument, rule, repr(input_names))
    missing = [
        name
        for name, tensor in inputs.items()
        if name not in input_names and not signature.is_optional(tensor)
    ]
    rule = "name every input that is not optional"
    remedy = (
        f"{missing} can be left out if they are made by "
        "keras.Input(..., optional=True)."
    )
    checks.check(not missing, WHO, argument, rule, repr(input_names), remedy)


def _check_warmup(warmup: Any, endpoints: Sequence[Endpoint]) -> tuple[Request, ...]:
    """Return warmup requests, each for the endpoint that has its inputs."""
    rule = "be a list of dicts, each with an array for every input of an endpoint"
    is_list = isinstance(warmup, (list, tuple))
    received = type(warmup).__name__
    checks.check(is_list, WHO, "warmup", rule, received, error=TypeError)
    most = MOST_WARMUP_REQUESTS
    rule = f"hold at most {most} requests, which is what a server reads"
    checks.check(len(warmup) <= most, WHO, "warmup", rule, len(warmup))
    return tuple(
        _check_request(f"warmup[{index}]", arrays, endpoints)
        for index, arrays in enumerate(warmup)
    )


def _check_request(
    argument: str, arrays: Any, endpoints: Sequence[Endpoint]
) -> Request:
    rule = "be a dict of arrays"
    received = type(arrays).__name__
    is_dict = isinstance(arrays, dict)
    checks.check(is_dict, WHO, argument, rule, received, error=TypeError)
    fitting = [one for one in endpoints if set(one.input_names) == set(arrays)]
    names = {one.name: one.input_names for one in endpoints}
    rule = f"have the inputs of one of the endpoints {names}"
    checks.check(fitting, WHO, argument, rule, sorted(arrays, key=str))
    endpoint = fitting[0]
    checked: Arrays = {
        served.name: _check_array(
            f"{argument}[{served.name!r}]", arrays[served.name], served
        )
        for served in endpoint.inputs
    }
    sizes = {name: array.shape[0] for name, array in checked.items() if array.ndim}
    rule = "have one batch size for all inputs"
    checks.check(len(set(sizes.values())) == 1, WHO, argument, rule, sizes)
    return Request(endpoint.name, checked)


def _check_array(argument: str, values: Any, served: ServedInput) -> np.ndarray:
    """Return the values in the dtype of an input."""
    rule = "be an array"
    try:
        array = np.asarray(values)
    except Exception as error:  # ragged lists, tensors without values
        received = type(values).__name__
        remedy = "All its rows need the same length: pad them."
        text = checks.error_text(WHO, argument, rule, received, remedy)
        raise ValueError(f"{text} NumPy says: {error}") from error
    fits = np.can_cast(array.dtype, served.dtype, "same_kind")
    rule = f"be of a dtype that becomes {served.dtype}"
    checks.check(fits, WHO, argument, rule, array.dtype, error=TypeError)
    fits = checks.shapes_match(array.shape, served.shape)
    rule = f"fit {served.shape}"
    checks.check(fits, WHO, f"{argument}.shape", rule, array.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(served.dtype)
        known = np.asarray(np.isfinite(array) if array.dtype.kind in "fc" else True)
        same = cast == array if cast.dtype.kind in "iu" else np.isfinite(cast)
    rule = f"hold values that fit {served.dtype}"
    outside = array[np.broadcast_to(known, array.shape) & ~np.asarray(same)]
    checks.check(not outside.size, WHO, argument, rule, outside[:1].tolist())
    return cast


def _check_directory(directory: Any) -> Path:
    """Return the path of a folder, which need not exist yet."""
    rule = "be a path"
    is_path = isinstance(directory, (str, os.PathLike))
    received = type(directory).__name__
    checks.check(is_path, WHO, "directory", rule, received, error=TypeError)
    text = os.fspath(directory)
    checks.check(isinstance(text, str), WHO, "directory", "be text", repr(text))
    rule, remedy = "name a folder", "Write '.' for the working directory."
    checks.check(text != "", WHO, "directory", rule, "''", remedy)
    # TensorFlow writes paths as UTF-8, which surrogates are not
    is_name = not re.search("[\0\ud800-\udfff]", text)
    rule = "hold only characters of Unicode, and no NUL"
    checks.check(is_name, WHO, "directory", rule, repr(text))
    path = Path(text)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        is_folder = not any(parent.is_file() for parent in path.parents)
    except OSError as error:  # a name that is too long, for instance
        rule = "be a path that the file system takes"
        message = checks.error_text(WHO, "directory", rule, repr(text))
        raise OSError(f"{message} {error.strerror}. Nothing was exported.") from error
    checks.check(is_folder, WHO, "directory", "be a folder", f"'{path}'")
    return path


def free_version(directory: Path, version: int | None) -> int:
    """Return the version, or else the next one; raise if it exists."""
    taken = version_folder.versions(directory)
    following = max(taken, default=0) + 1
    rule = f"not be in '{directory}' yet"
    remedy = f"The next free number is {following}."
    checks.check(version not in taken, WHO, "version", rule, version, remedy)
    return following if version is None else version


def check_tensorflow(model: keras.Model) -> None:
    """Raise unless TensorFlow is installed, and can import the classes of the model."""
    if importlib.util.find_spec("tensorflow") is None:
        rule = f"be installed beside the {keras.backend.backend()} backend"
        remedy = (
            "Install it: pip install 'keras-mmembed[tensorflow]', or tensorflow-cpu."
        )
        text = checks.error_text(WHO, "tensorflow", rule, "nothing", remedy)
        raise ImportError(text)
    if keras.backend.backend() != "tensorflow":
        model_file.custom_modules(model)
