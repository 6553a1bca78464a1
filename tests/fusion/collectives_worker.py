"""Runs the fusion on simulated devices, and reads what the devices send each other.

    python collectives_worker.py FOLDER BATCHxMODEL ...

with `XLA_FLAGS=--xla_force_host_platform_device_count=4`.
"""

import collections
import json
import re
import sys
from pathlib import Path

import jax
import keras
import numpy as np

from keras_mmembed import MultiModalFusion

BATCH, WIDTH = 8, 16
SHAPES = {
    "text": (BATCH, 6, WIDTH),
    "image": (BATCH, 12, WIDTH),
    "audio": (BATCH, 5, 8),
}
TOKENS = 23
CONFIGS = {
    "text": {"type": "1d", "max_len": 8, "dim": WIDTH},
    "image": {"type": "2d", "height": 3, "width": 4, "dim": WIDTH},
    "audio": {"type": "1d", "dim": 8},
}
COLLECTIVES = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"


def distribute(batch, model):
    """Share the batch, or also the width of the projections; return the mesh."""
    devices = keras.distribution.list_devices()[: batch * model]
    if model == 1:
        distribution = keras.distribution.DataParallel(devices=devices)
    else:
        mesh = keras.distribution.DeviceMesh(
            (batch, model), ["batch", "model"], devices
        )
        layouts = keras.distribution.LayoutMap(mesh)
        layouts["fusion/.*projection.*/kernel"] = (None, "model")
        layouts["fusion/.*projection.*/bias"] = ("model",)
        distribution = keras.distribution.ModelParallel(
            layout_map=layouts, batch_dim_name="batch"
        )
    keras.distribution.set_distribution(distribution)
    return distribution.device_mesh


def make_fusion():
    """Return a fusion with weights that do not depend on the devices."""
    fusion = MultiModalFusion(CONFIGS, WIDTH, dropout=0.0, name="fusion")
    fusion.build(SHAPES)
    rng = np.random.default_rng(0)
    for weight in fusion.weights:
        weight.assign(rng.normal(size=weight.shape))
    return fusion


def make_programs(fusion):
    """Return functions of the weights and the inputs."""
    state = [v.value for v in fusion.non_trainable_variables]

    def forward(weights, inputs):
        return fusion.stateless_call(weights, state, inputs)[0]

    def step(weights, inputs):
        def loss(weights):
            return (forward(weights, inputs) ** 2).mean()

        return jax.grad(loss)(weights)

    return {"forward": forward, "step": step}


def sent_numbers(text):
    """Return how many numbers each kind of collective of a program sends."""
    sent = collections.Counter()
    for line in text.splitlines():
        match = re.search(rf" = (.*?) ({COLLECTIVES})(-start)?\(", line)
        if match:
            shapes = re.findall(r"\w+\[([\d,]*)\]", match[1])
            sizes = [[int(n) for n in shape.split(",") if n] for shape in shapes]
            sent[match[2]] += sum(int(np.prod(size)) for size in sizes)
    return dict(sent)


def run(folder, layout):
    batch, model = (int(number) for number in layout.split("x"))
    mesh = distribute(batch, model)
    fusion = make_fusion()
    rng = np.random.default_rng(1)
    sharding = jax.sharding.NamedSharding(
        mesh.backend_mesh, jax.sharding.PartitionSpec("batch")
    )
    inputs = {
        name: jax.device_put(rng.normal(size=shape).astype("float32"), sharding)
        for name, shape in SHAPES.items()
    }
    weights = [v.value for v in fusion.trainable_variables]
    kernel = next(w.value for w in fusion.weights if w.path.endswith("kernel"))
    assert kernel.sharding.shard_shape(kernel.shape)[1] == WIDTH // model
    arrays = {}
    sent = {
        # of one device, as is what a program sends
        "tokens": BATCH * TOKENS // batch,
        "positions": TOKENS * WIDTH,
        "weights": sum(weight.size for weight in weights),
    }
    for kind, function in make_programs(fusion).items():
        program = jax.jit(function).lower(weights, inputs).compile()
        sent[kind] = sent_numbers(program.as_text())
        for index, array in enumerate(jax.tree.leaves(program(weights, inputs))):
            arrays[f"{kind}_{index}"] = np.asarray(array)
    np.savez(folder / f"{layout}.npz", **arrays)
    (folder / f"{layout}.json").write_text(json.dumps(sent))


if __name__ == "__main__":
    for layout in sys.argv[2:]:
        run(Path(sys.argv[1]), layout)
