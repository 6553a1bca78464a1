"""Where the time of one program goes: `python -m benchmarks.profile_program --help`.

JAX: seconds of every operation of the compiled program, beside the bytes that the
whole program reads and writes. TensorFlow: operations of the optimised graph.
PyTorch: seconds of the operations of eager mode, and where the compiler breaks the
graph. Choose the backend with KERAS_BACKEND.
"""

import argparse
import collections
import tempfile
from pathlib import Path

import keras

from benchmarks import sizes
from benchmarks.competitors import fusion_group
from benchmarks.measure import OURS
from benchmarks.programs import cotangent, make_program, modes, tensors

CALLS = 10


def profile_jax(model, inputs, kind):
    """Print the costs of the compiled program, and the time of its operations."""
    import jax

    from benchmarks import programs_jax as programs

    if kind == "forward":
        function = programs.forward_function(model)
        arguments = programs.arguments(model, inputs)
    else:
        function = programs.step_function(model)
        arguments = programs.arguments(model, inputs, cotangent(model, inputs))
    compiled = jax.jit(function).lower(*arguments).compile()
    costs, memory = compiled.cost_analysis(), compiled.memory_analysis()
    print(f"{costs['bytes accessed'] / 2**20:8.1f} MiB read and written")
    print(f"{memory.temp_size_in_bytes / 2**20:8.1f} MiB temporary")
    jax.block_until_ready(compiled(*arguments))
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(CALLS):
                jax.block_until_ready(compiled(*arguments))
        path = next(Path(folder).rglob("*.xplane.pb"))
        trace = jax.profiler.ProfileData.from_file(str(path))
    times = collections.Counter()
    for plane in trace.planes:
        for line in plane.lines:
            for event in line.events:
                if "hlo_op" in dict(event.stats):
                    times[event.name] += event.duration_ns
    for name, nanoseconds in times.most_common():
        print(f"{nanoseconds / CALLS / 1e6:8.3f} ms {name}")


def profile_tensorflow(model, inputs, kind):
    """Print how often each operation occurs in the optimised graph."""
    from tensorflow.python.eager import context

    from benchmarks import programs_tensorflow as programs

    if kind == "forward":
        function = programs.forward_function(model)
    else:
        function = programs.step_function(model, cotangent(model, inputs))
    function = programs.compiled(function, "graph")
    function(inputs)
    context.enable_run_metadata()
    function(inputs)
    graphs = context.export_run_metadata().function_graphs
    context.disable_run_metadata()
    nodes = graphs[-1].post_optimization_graph.node
    for name, count in collections.Counter(node.op for node in nodes).most_common():
        print(f"{count:5d} {name}")


def profile_torch(model, inputs, kind):
    """Print the time of the eager operations, and the breaks of the compiled graph."""
    import torch

    from benchmarks import programs_torch as programs

    arrays = {name: keras.ops.convert_to_numpy(x) for name, x in inputs.items()}
    program = make_program(kind, model, arrays, "eager")
    program()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(CALLS):
            program()
    averages = profiler.key_averages()
    print(averages.table(sort_by="self_cpu_time_total", row_limit=20))
    torch._dynamo.reset()
    call = programs.call_function(model, training=kind != "forward")
    found = torch._dynamo.explain(call)(inputs)
    print(f"{found.graph_break_count} breaks of the graph")
    for reason in found.break_reasons:
        place = reason.user_stack[-1]
        print(f"  {place.filename}:{place.lineno}: {reason.reason.splitlines()[0]}")


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_program")
    parser.add_argument("--size", default="reference", choices=sizes.SIZES)
    parser.add_argument("--kind", default="forward", choices=("forward", "step"))
    parser.add_argument("--name", default=OURS, help="of the model")
    options = parser.parse_args()
    group = fusion_group(sizes.SIZES[options.size], dropout=0.0)
    backend = keras.backend.backend()
    print(f"{options.name}, {options.kind}, {options.size}, {backend}, {modes()[-1]}")
    profile = {
        "jax": profile_jax,
        "tensorflow": profile_tensorflow,
        "torch": profile_torch,
    }[backend]
    profile(group.models[options.name], tensors(group.inputs), options.kind)


if __name__ == "__main__":
    main()
