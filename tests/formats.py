"""Which formats a model can be written in, from which backend: the tables of the docs.

    python tests/formats.py write

finds out, and writes the tables in docs/formats.md. Every export is called at shapes
that were not traced, and compared with the model. It takes the packages of the extra
`formats`, and the three backends.
"""

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

BACKENDS = ("tensorflow", "jax", "torch")
# variants are made on TensorFlow, and may differ from what the model gives by so much
VARIANTS = {"mixed_bfloat16": 6e-2, "mixed_float16": 1e-2, "int8": 5e-2, "int4": 5e-2}
TOLERANCE = 1e-5
# batch, length of the text, height and width of the image
SIZES = ((1, 1, 1, 1), (1, 5, 2, 3), (2, 7, 4, 1), (3, 12, 3, 5))
DOCS = Path(__file__).parent.parent / "docs" / "formats.md"


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


def load(folder):
    """Return the model of the folder, on the backend of this process."""
    import keras

    import keras_mmembed  # noqa: F401 - registers the layers

    model = keras.models.load_model(folder / "model.keras", compile=False)
    model(dict(np.load(folder / "request_1.npz")))  # some exporters want it called
    return model


def saved_model(folder, path=None):
    """`export_for_serving`, in TensorFlow's C library without XLA."""
    import serving_models as models

    sys.path.insert(0, str(models.EXAMPLES / "serving"))
    from c_library import SavedModel

    return SavedModel(path or folder / "export" / "1").run


def keras_saved_model(folder):
    """`model.export(path)`, in TensorFlow's C library without XLA."""
    import keras

    path, options = folder / "keras_saved_model", {}
    if keras.backend.backend() == "jax":
        # otherwise the lengths of a text and of its mask are two unknowns
        shapes = {
            "text": "(batch, n)",
            "valid": "(batch, n)",
            "image": "(batch, h, w, 6)",
        }
        options["jax2tf_kwargs"] = {"polymorphic_shapes": [shapes]}
    load(folder).export(path, verbose=False, **options)
    return saved_model(folder, path)


def onnx(folder):
    """`tf2onnx` on the SavedModel, in ONNX Runtime."""
    import serving_models as models

    path = folder / "model.onnx"
    models.example("serving/to_onnx.py").convert(folder / "export" / "1", path)
    return run_onnx(path)


def keras_onnx(folder):
    """`model.export(path, format="onnx")`, in ONNX Runtime."""
    path = folder / "keras.onnx"
    load(folder).export(path, format="onnx", verbose=False)
    return run_onnx(path)


def torch_onnx(folder):
    """`torch.onnx.export(..., dynamo=True)`, in ONNX Runtime."""
    import torch

    model, example, dynamic = for_torch(folder)
    names = list(example)

    class Program(torch.nn.Module):
        """Takes positional tensors, which the exporter can name."""

        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *tensors):
            return tuple(self.model(dict(zip(names, tensors, strict=True))).values())

    path = folder / "torch.onnx"
    torch.onnx.export(
        Program().eval(),
        tuple(example.values()),
        str(path),
        dynamo=True,
        dynamic_shapes=(tuple(dynamic.values()),),
        input_names=names,
        output_names=list(model.output),
    )
    return run_onnx(path)


def run_onnx(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name.split(":")[0] for output in session.get_outputs()]
    return lambda request: dict(zip(names, session.run(None, request), strict=True))


def openvino(folder):
    """`openvino.convert_model` on the SavedModel, in OpenVINO."""
    from openvino import convert_model

    return run_openvino(convert_model(folder / "export" / "1"))


def keras_openvino(folder):
    """`model.export(path, format="openvino")`, in OpenVINO."""
    from openvino import Core

    path = str(folder / "keras.xml")
    load(folder).export(path, format="openvino", verbose=False)
    return run_openvino(Core().read_model(path))


def run_openvino(model):
    from openvino import compile_model

    # the default on a CPU may be bfloat16
    compiled = compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(request):
        answers = compiled(request)
        return {
            next(iter(port.names)): answers[index]
            for index, port in enumerate(compiled.outputs)
        }

    return run


def litert(folder):
    """`tf.lite.TFLiteConverter` on the SavedModel, in `tf.lite.Interpreter`."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(folder / "export" / "1"), signature_keys=["serve"]
    )
    return run_litert(converter.convert())


def keras_litert(folder):
    """`model.export(path, format="litert")`, in `tf.lite.Interpreter`."""
    path = folder / "keras.tflite"
    load(folder).export(path, format="litert", verbose=False)
    return run_litert(path.read_bytes())


def run_litert(content):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=content)
    signature = next(iter(interpreter.get_signature_list()))

    def run(request):
        for tensor in interpreter.get_input_details():
            name = next(n for n in request if f"_{n}:" in tensor["name"])
            interpreter.resize_tensor_input(tensor["index"], request[name].shape)
        interpreter.allocate_tensors()
        return interpreter.get_signature_runner(signature)(**request)

    return run


def torch_pt2(folder):
    """`torch.export.export` of the `.keras` file, in PyTorch."""
    import torch

    model, example, dynamic = for_torch(folder)

    class Program(torch.nn.Module):
        """Takes one dict."""

        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, inputs):
            return self.model(inputs)

    program = torch.export.export(
        Program().eval(), (example,), dynamic_shapes=(dynamic,), strict=False
    )
    return run_pt2(program, folder / "model.pt2")


def keras_pt2(folder):
    """`model.export(path, format="torch", dynamic_shapes=...)`, in PyTorch."""
    import torch

    model, _, dynamic = for_torch(folder)
    path = folder / "keras.pt2"
    model.export(path, format="torch", dynamic_shapes=(dynamic,), verbose=False)
    return run_pt2(torch.export.load(path), path)


def run_pt2(program, path):
    import torch

    torch.export.save(program, path)
    module = torch.export.load(path).module()

    def run(request):
        tensors = {name: torch.tensor(array) for name, array in request.items()}
        answers = module(tensors)
        return {name: a.detach().float().numpy() for name, a in answers.items()}

    return run


def for_torch(folder):
    """Return the model, an example of its inputs, and which axes may change."""
    import torch

    model = load(folder)
    request = dict(np.load(folder / f"request_{len(SIZES) - 1}.npz"))
    example = {name: torch.tensor(request[name]) for name in model.input}
    free = torch.export.Dim.DYNAMIC
    dynamic = {
        name: {axis: free for axis, size in enumerate(tensor.shape) if size is None}
        for name, tensor in model.input.items()
    }
    return model, example, dynamic


# by route: its format, and the backend that it takes if not that of the model
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

# what an export that fails says, and what that means
REASONS = {
    "XLA compilation disabled": "from JAX the graph is one `XlaCallModule`, which needs "
    "XLA; a server has it switched off unless told otherwise",
    "'dict' object has no attribute 'shape'": "Keras does not take dict inputs here",
    "jax2onnx": "needs `jax2onnx`, which the tests do not install; tried by hand, it "
    "takes a text and its mask for sequences of two unknown lengths",
    "Could not trace the TF model": "goes through a `XlaCallModule`, which OpenVINO "
    "does not know",
    "must end with dim=6": "goes through TorchScript, which does not know the sizes "
    "of tensors",
    "requires TensorFlow or PyTorch": "Keras has it on TensorFlow and PyTorch only",
    "requires PyTorch backend": "on PyTorch only; load the `.keras` file there",
    "litert-torch": "needs `litert-torch` and 1.1 GB of packages; tried by hand, the "
    "export takes the traced shape only",
    "outputs are called": "the numbers agree, but an output loses its name",
    "Erfc": "`tf2onnx` does not know the exact GELU; `serving/to_onnx.py` tells it",
    "unsupported numpy dtype 'bfloat16'": "`tf2onnx` mixes bfloat16 up with float16",
    r"Type 'tensor\(bfloat16\)'": "ONNX Runtime has no `Einsum` of bfloat16",
    "unknown element type bf16": "OpenVINO does not read constants of bfloat16",
    "not supported by the native TFLite": "LiteRT has no matrix product of half "
    "precision",
    "differs by": "OpenVINO multiplies int8 matrices wrongly: other numbers, no error",
    "squeeze_dims": "the converter does not take the `einsum` of int8 attention",
    "running Squeeze node": "the shapes of int8 attention come out wrong",
}


def work(route, folder):
    """Make one export, and raise unless it gives the answers of the model."""
    tolerance = VARIANTS.get(folder.name, TOLERANCE)
    run = globals()[route](folder)
    for index in range(len(SIZES)):
        request = dict(np.load(folder / f"request_{index}.npz"))
        expected = dict(np.load(folder / f"answers_{index}.npz"))
        got = run(request)
        assert set(got) == set(expected), f"the outputs are called {sorted(got)}"
        for name in expected:
            difference = float(np.abs(got[name] - expected[name]).max())
            assert difference <= tolerance, f"{name} differs by {difference:.1e}"


def start(task, name, folder, backend):
    """Run a task in a process of its own; return its status and what it said."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, __file__, task, name, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, done.stderr


def column(name):
    """Return "" by route, or the reason why not, for a backend or a variant."""
    backend = name if name in BACKENDS else "tensorflow"
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / name
        folder.mkdir()
        status, said = start("make", name, folder, backend)
        assert status == 0, said
        routes = [r for r in ROUTES if name in BACKENDS or not r.startswith("keras")]
        with ThreadPoolExecutor(2) as pool:
            done = pool.map(
                lambda r: start("work", r, folder, ROUTES[r][1] or backend), routes
            )
            return {
                route: "" if status == 0 else reason(f"{name}, {route}", said)
                for route, (status, said) in zip(routes, done, strict=True)
            }


def reason(cell, said):
    """Return the reason for an error, which the docs give."""
    for pattern, text in REASONS.items():
        if re.search(pattern, said):
            return text
    raise AssertionError(f"{cell}: there is no reason yet for\n{said[-3000:]}")


def how(route):
    """Return the first line of what a route is."""
    return globals()[route].__doc__.split("\n")[0].rstrip(".")


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


def read_tables():
    """Return the columns of the tables in the docs, as `column` returns them."""
    columns = {}
    for part in DOCS.read_text().split("<!-- table -->")[1::2]:
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
    """Find out all columns, and write the tables in the docs."""
    tables = [table({n: column(n) for n in names}) for names in (BACKENDS, VARIANTS)]
    parts = DOCS.read_text().split("<!-- table -->")
    parts[1::2] = [f"\n\n{text}\n\n" for text in tables]
    DOCS.write_text("<!-- table -->".join(parts))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write()
    else:
        task, name, folder = sys.argv[1:]
        {"make": make, "work": work}[task](name, Path(folder))
