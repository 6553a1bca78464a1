"""Trains a small model on one device or several; run by test_devices.py."""

import os
import sys

if sys.argv[1].startswith("jax"):
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import keras
import numpy as np

import keras_mmembed as mm

CONFIGS = {
    "text": {"type": "1d", "dim": 8, "max_len": 12, "position": "learned"},
    "image": {"type": "2d", "dim": 6, "start_token": True},
}


def data():
    rng = np.random.default_rng(0)
    x = {
        "text": rng.normal(size=(16, 5, 8)).astype("float32"),
        "image": rng.normal(size=(16, 2, 2, 6)).astype("float32"),
    }
    return x, rng.integers(0, 4, 16).astype("int32")


def make():
    keras.utils.set_random_seed(1)
    model = mm.MultiModalTransformer(
        CONFIGS, 8, num_layers=1, num_heads=2, num_outputs=4, dropout=0.0, name="model"
    )
    model.build({name: (None, *x.shape[1:]) for name, x in data()[0].items()})
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    return model


def fit(model):
    model.fit(*data(), batch_size=8, epochs=2, shuffle=False, verbose=0)


def save(model, path):
    values = {w.path: keras.ops.convert_to_numpy(w) for w in model.trainable_weights}
    np.savez(path, **values)


def on_jax(how, path):
    devices = keras.distribution.list_devices("cpu")
    assert len(devices) == 4
    if how == "data":
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    if how == "model":
        mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"], devices)
        layout = keras.distribution.LayoutMap(mesh)
        layout[".*(query|key|value)/kernel"] = (None, "model", None)
        layout[".*attention_output/kernel"] = ("model", None, None)
        layout[".*hidden/kernel"] = (None, "model")
        layout[".*block_[0-9]+/output/kernel"] = ("model", None)
        layout[".*position/embeddings"] = (None, "model")
        keras.distribution.set_distribution(
            keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
        )
    model = make()
    if how == "model":
        for part in ("fusion/text/position/embeddings", "block_0/hidden/kernel"):
            weight = next(w for w in model.weights if w.path.endswith(part))
            assert "model" in weight.value.sharding.spec, part
    fit(model)
    save(model, path)


def on_tensorflow(how, path):
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    strategy = tf.distribute.get_strategy()
    if how == "mirrored":
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        model = make()
        fit(model)
    save(model, path)


def step(rank, world, path, port):
    """Train on the samples `rank`, `rank + world`, ... of every batch."""
    import torch

    if world > 1:
        torch.distributed.init_process_group(
            "gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world
        )
    model = make()
    runner = model
    if world > 1:
        runner = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(
        [w.value for w in model.trainable_weights], lr=0.1, momentum=0.9
    )
    loss = torch.nn.CrossEntropyLoss()
    x, y = data()
    for _ in range(2):
        for start in (0, 8):
            rows = slice(start + rank, start + 8, world)
            inputs = {name: torch.tensor(value[rows]) for name, value in x.items()}
            optimizer.zero_grad()
            targets = torch.tensor(y[rows]).long()
            loss(runner(inputs, training=True), targets).backward()
            optimizer.step()
    if rank == 0:
        save(model, path)
    if world > 1:
        # a process must not end with threads of a group that others still use
        torch.distributed.barrier()
        del runner
        torch.distributed.destroy_process_group()


def on_torch(how, path):
    import socket

    import torch

    if how == "one":
        return step(0, 1, path, None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(step, (2, path, port), nprocs=2)


if __name__ == "__main__":
    backend, how = sys.argv[1].split("-")
    {"jax": on_jax, "tensorflow": on_tensorflow, "torch": on_torch}[backend](
        how, sys.argv[2]
    )
