"""Ways to write a model in a format: each returns what runs it.

A function takes a folder that `formats.make` has filled, and returns a function from
arrays to answers, both by name. The first line of its docstring is its row in the docs.
"""

import sys

import numpy as np

# batch, length of the text, height and width of the image
SIZES = ((1, 1, 1, 1), (1, 5, 2, 3), (2, 7, 4, 1), (3, 12, 3, 5))


def load(folder):
    """Return the model of the folder, on the backend of this process."""
    import keras

    import keras_mmembed  # noqa: F401 - registers the layers

    model = keras.models.load_model(folder / "model.keras", compile=False)
    model(dict(np.load(folder / "request_1.npz")))  # some exporters want it called
    return model


def saved_model(folder, path=None):
    """`export_for_serving`, in TensorFlow's C library without XLA."""
    from whole_models import EXAMPLES

    sys.path.insert(0, str(EXAMPLES / "serving"))
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
    from whole_models import example

    path = folder / "model.onnx"
    example("serving/to_onnx.py").convert(folder / "export" / "1", path)
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
    from backend_exports import of_one_dict

    model, example, dynamic = for_torch(folder)
    program = torch.export.export(
        of_one_dict(model), (example,), dynamic_shapes=(dynamic,), strict=False
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
    from backend_exports import dynamic_shapes

    model = load(folder)
    request = dict(np.load(folder / f"request_{len(SIZES) - 1}.npz"))
    example = {name: torch.tensor(request[name]) for name in model.input}
    return model, example, dynamic_shapes(model)
