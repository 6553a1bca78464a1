"""Which formats a model can be written in, from which backend: the tables of the docs.

    python tests/serving/formats.py write

finds out, and writes the tables in docs/formats.md. Every export is called at shapes
that were not traced, and compared with the model. It needs the three backends and the
packages of the extra `export`; `tox -e formats` has them.
"""

import json
import os
import re
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import format_routes
import numpy as np
from format_routes import SIZES

sys.path.append(str(Path(__file__).parent.parent / "helpers"))
import processes

BACKENDS = ("tensorflow", "jax", "torch")
# variants are made on TensorFlow, and may differ from what the model gives by so much
VARIANTS = {"mixed_bfloat16": 6e-2, "mixed_float16": 1e-2, "int8": 5e-2, "int4": 5e-2}
TOLERANCE = 1e-5
PACKAGES = [
    *("keras", "jax", "tensorflow-cpu", "torch"),
    *("onnx", "onnxruntime", "onnxscript", "tf2onnx", "openvino"),
]
MARK = "<!-- written by tests/serving/formats.py -->"
DOCS = Path(__file__).parents[2] / "docs" / "formats.md"


def make(column, folder):
    """Write a model, its export, requests and right answers to a folder."""
    import keras
    import serving_models as models

    import keras_mmembed

    keras.utils.set_random_seed(0)
    is_half = column.startswith("mixed")
    model = models.transformer(dtype=column if is_half else None)
    if column.startswith("int"):
        model.quantize(column)
    model.save(folder / "model.keras")
    keras_mmembed.export_for_serving(model, folder / "export")
    for index, (batch, length, height, width) in enumerate(SIZES):
        request = models.requests(
            model,
            seed=index,
            text=(batch, length),
            image=(batch, height, width, 6),
            valid=(batch, length),
        )
        np.savez(folder / f"request_{index}.npz", **request)
        answers = model.predict_on_batch(request)
        answers = {name: np.asarray(a, "float32") for name, a in answers.items()}
        np.savez(folder / f"answers_{index}.npz", **answers)


# by route: its format, and the backend that it needs if not that of the model
ROUTES = {
    "saved_model": ("SavedModel", None),
    "keras_saved_model": ("SavedModel", None),
    "onnx": ("ONNX", "tensorflow"),
    "torch_onnx": ("ONNX", "torch"),
    "keras_onnx": ("ONNX", None),
    "openvino": ("OpenVINO", "tensorflow"),
    "keras_openvino": ("OpenVINO", None),
    "litert": ("LiteRT", "tensorflow"),
    "keras_litert": ("LiteRT", None),
    "torch_pt2": ("PyTorch .pt2", "torch"),
    "keras_pt2": ("PyTorch .pt2", None),
}

LAST = sorted(ROUTES, key=lambda r: r in ("onnx", "saved_model", "keras_saved_model"))

# what an export that fails says, and what that means
REASONS = {
    "XLA compilation disabled": "from JAX the graph is one `XlaCallModule`: it needs "
    "XLA, which a server has switched off unless told otherwise",
    "'dict' object has no attribute 'shape'": "Keras does not take dict inputs here",
    "jax2onnx": "needs `jax2onnx`, which the tests do not install; tried by hand, it "
    "takes the lengths of a text and of its mask for two unknowns",
    "Could not trace the TF model": "goes through a `XlaCallModule`, which OpenVINO "
    "does not know",
    "must end with dim=6": "goes through TorchScript, which does not know the sizes "
    "of tensors",
    "requires TensorFlow or PyTorch": "Keras has it on TensorFlow and PyTorch only",
    "requires PyTorch backend": "on PyTorch only; load the `.keras` file there",
    "litert-torch": "needs `litert-torch` and 1.1 GB of packages; tried by hand, the "
    "export takes the traced shape only",
    "not supported by the native TFLite": "LiteRT has no matrix product of half "
    "precision",
    "Erfc": "`tf2onnx` does not know the exact GELU; `to_onnx.py` tells it",
    r"tensor\(float16\) and tensor\(bfloat16\)": "`tf2onnx` mixes bfloat16 up with "
    "float16",
    r"Type 'tensor\(bfloat16\)'": "ONNX Runtime has no `Einsum` of bfloat16",
    "unknown element type bf16": "OpenVINO does not read constants of bfloat16",
    "differs by": "OpenVINO multiplies int8 matrices wrongly: other numbers, no error",
    "squeeze_dims": "the converter does not take the `einsum` of int8 attention",
    r"Optype \(Sub\) bound to different types": "the file subtracts int8 from float, "
    "which ONNX does not have",
    "running Squeeze node": "the shapes of int8 attention come out wrong",
}


def work(routes, folder):
    """Make exports, and write down what went wrong with each."""
    failures = {}
    # what changes this process comes last: an operation more, XLA switched off
    for route in sorted(routes.split(","), key=LAST.index):
        try:
            check(route, folder)
            failures[route] = ""
        except Exception:
            failures[route] = traceback.format_exc()
    backend = os.environ["KERAS_BACKEND"]
    (folder / f"{backend}.json").write_text(json.dumps(failures))


def check(route, folder):
    """Make one export, and raise unless it gives the answers of the model."""
    tolerance = VARIANTS.get(folder.name, TOLERANCE)
    run = getattr(format_routes, route)(folder)
    for index in range(len(SIZES)):
        request = dict(np.load(folder / f"request_{index}.npz"))
        expected = dict(np.load(folder / f"answers_{index}.npz"))
        got = run(request)
        assert set(got) == set(expected), f"the outputs are called {sorted(got)}"
        for name in expected:
            difference = float(np.abs(got[name] - expected[name]).max())
            assert difference <= tolerance, f"{name} differs by {difference:.1e}"


def start(task, name, folder, backend):
    """Run a task in a process of its own."""
    variables = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    processes.run(__file__, task, name, folder, **variables)


def routes_of(name):
    """Return the routes of a column: variants are not written by Keras itself."""
    return [r for r in ROUTES if name in BACKENDS or not r.startswith("keras")]


def column(name, routes=None):
    """Return "" by route, or the reason why not, for a backend or a variant."""
    backend = name if name in BACKENDS else "tensorflow"
    routes = routes or routes_of(name)
    by_backend = {}
    for route in routes:
        by_backend.setdefault(ROUTES[route][1] or backend, []).append(route)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / name
        folder.mkdir()
        start("make", name, folder, backend)
        with ThreadPoolExecutor(2) as pool:
            jobs = [
                pool.submit(start, "work", ",".join(some), folder, other)
                for other, some in by_backend.items()
            ]
            for job in jobs:
                job.result()
        files = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    said = {route: text for file in files for route, text in file.items()}
    return {route: reason(f"{name}, {route}", said[route]) for route in routes}


def reason(cell, said):
    """Return the reason for an error, which the docs give; none for none."""
    if not said:
        return ""
    for pattern, text in REASONS.items():
        if re.search(pattern, said):
            return text
    raise AssertionError(f"{cell}: there is no reason yet for\n{said[-3000:]}")


def how(route):
    """Return the first line of what a route is."""
    return getattr(format_routes, route).__doc__.split("\n")[0].rstrip(".")


def table(columns):
    """Return a table in Markdown, and the reasons below it."""
    reasons, lines = [], []
    names = list(columns)
    lines.append(f"| format | how, and what runs it | {' | '.join(names)} |")
    lines.append("|---" * (2 + len(names)) + "|")
    for route in next(iter(columns.values())):
        cells = []
        for name in names:
            text = columns[name][route]
            if text and text not in reasons:
                reasons.append(text)
            cells.append(f"no ({reasons.index(text) + 1})" if text else "yes")
        format_name = ROUTES[route][0]
        lines.append(f"| {format_name} | {how(route)} | {' | '.join(cells)} |")
    listed = [f"{index}. {text}" for index, text in enumerate(reasons, 1)]
    return "\n".join([*lines, "", *listed])


def versions():
    """Return the line of the docs that says what the tables were found out with."""
    # a build for one device ends in +cpu or the like
    found = {name: metadata.version(name).split("+")[0] for name in PACKAGES}
    return ", ".join(f"{name} {version}" for name, version in found.items())


def read_parts():
    """Return the generated parts of the docs: two tables and the versions."""
    return [part.strip() for part in DOCS.read_text().split(MARK)[1::2]]


def read_tables():
    """Return the columns of the tables in the docs, as `column` returns them."""
    columns = {}
    for part in read_parts()[:2]:
        rows = [
            line.strip("| ").split(" | ") for line in part.split("\n") if "|" in line
        ]
        reasons = dict(re.findall(r"^(\d+)\. (.*)$", part, re.MULTILINE))
        routes = {how(route): route for route in ROUTES}
        for index, name in enumerate(rows[0][2:], 2):
            columns[name] = {}
            for row in rows[2:]:
                number = re.sub(r"\D", "", row[index])
                columns[name][routes[row[1]]] = reasons.get(number, "")
    return columns


def write():
    """Find out all columns, and write the generated parts of the docs."""
    write_parts({name: column(name) for name in (*BACKENDS, *VARIANTS)})


def write_parts(columns):
    """Write tables of the columns in the docs, and the versions."""
    tables = [table({n: columns[n] for n in names}) for names in (BACKENDS, VARIANTS)]
    parts = DOCS.read_text().split(MARK)
    parts[1::2] = [f"\n\n{text}\n\n" for text in (*tables, versions())]
    DOCS.write_text(MARK.join(parts))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write()
    else:
        task, name, folder = sys.argv[1:]
        {"make": make, "work": work}[task](name, Path(folder))
