"""Converts an export of `export_for_serving`, from any backend, to ONNX.

    python examples/serving/to_onnx.py models/vqa/1 vqa.onnx

It needs the packages tensorflow (or tensorflow-cpu) and tf2onnx.
"""

import argparse
import sys
from unittest import mock


def convert(saved_model, path):
    """Convert a SavedModel, and keep the names of inputs and outputs."""
    import tf2onnx.convert
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class Erfc:
        """For the exact GELU of Keras; `tf2onnx` supports Erf but not Erfc."""

        @classmethod
        def version_9(cls, ctx, node, **kwargs):
            """Write erfc(x) as 1 - erf(x)."""
            node.type = "Erf"
            dtype = ctx.get_dtype(node.output[0])
            one = ctx.make_const(f"{node.name}_one", one_of(dtype))
            ctx.insert_new_node_on_output(
                "Sub", node.output[0], inputs=[one.output[0], node.output[0]]
            )

    source = ["--saved-model", str(saved_model), "--output", str(path)]
    options = ["--tag", "serve", "--signature_def", "serve", "--opset", "18"]
    with mock.patch.object(sys, "argv", ["tf2onnx", *source, *options]):
        tf2onnx.convert.main()


def one_of(dtype):
    """Return 1 as an array with an ONNX dtype."""
    import numpy as np
    from onnx.helper import tensor_dtype_to_np_dtype

    return np.array(1, tensor_dtype_to_np_dtype(dtype))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("saved_model", help="the folder of one version")
    parser.add_argument("path", help="the file to write")
    options = parser.parse_args()
    convert(options.saved_model, options.path)
