"""Training as users do it: sources of data, checkpoints, decay, half precision."""

import keras
import numpy as np
import pytest
from keras import ops
from tensors import array
from weights import weights_by_path

import keras_mmembed as mm

BACKEND = keras.backend.backend()
CONFIGS = {
    "text": {"type": "1d", "dim": 8, "max_len": 9, "position": "learned"},
    "image": {"type": "2d", "dim": 6, "start_token": True},
}


def data(samples=12):
    rng = np.random.default_rng(0)
    x = {
        "text": rng.normal(size=(samples, 5, 8)).astype("float32"),
        "image": rng.normal(size=(samples, 2, 2, 6)).astype("float32"),
    }
    return x, rng.integers(0, 3, samples).astype("int32")


def make(**kwargs):
    keras.utils.set_random_seed(1)
    model = mm.MultiModalTransformer(
        CONFIGS, 8, num_layers=1, num_heads=2, num_outputs=3, dropout=0.0, **kwargs
    )
    model.build({name: (None, *x.shape[1:]) for name, x in data()[0].items()})
    return compiled(model)


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def weights(model):
    return [np.asarray(ops.convert_to_numpy(w)) for w in model.weights]


def assert_same(one, two, atol=1e-6):
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_allclose(a, b, atol=atol)


class Batches(keras.utils.PyDataset):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y = data()

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(4 * index, 4 * index + 4)
        return {name: x[rows] for name, x in self.x.items()}, self.y[rows]


def tensorflow_dataset():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(data()).batch(4)


def torch_loader():
    torch = pytest.importorskip("torch")

    class Samples(torch.utils.data.Dataset):
        def __len__(self):
            return 12

        def __getitem__(self, index):
            x, y = data()
            return {name: value[index] for name, value in x.items()}, y[index]

    return torch.utils.data.DataLoader(Samples(), batch_size=4)


@pytest.mark.parametrize("source", [Batches, tensorflow_dataset, torch_loader])
def test_sources_of_data_train_the_same(source, capsys):
    expected = make()
    expected.fit(*data(), batch_size=4, epochs=2, shuffle=False, verbose=0)
    model = make()
    model.fit(source(), epochs=2, shuffle=False, verbose=1)
    assert_same(model, expected)
    assert "Epoch 2/2" in capsys.readouterr().out


def test_a_resumed_training_goes_on_where_it_was(tmp_path):
    expected = make()
    fit = {"batch_size": 4, "shuffle": False, "verbose": 0}
    expected.fit(*data(), epochs=3, **fit)
    model = make()
    path = str(tmp_path / "epoch-{epoch}.keras")
    model.fit(
        *data(), epochs=2, callbacks=[keras.callbacks.ModelCheckpoint(path)], **fit
    )
    resumed = keras.models.load_model(tmp_path / "epoch-2.keras")
    resumed.fit(*data(), initial_epoch=2, epochs=3, **fit)
    assert_same(resumed, expected)


def test_weight_decay_leaves_tables_norms_and_biases_alone():
    model = make(missing="token")
    spared = mm.weights_without_decay(model)
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=spared)
    optimizer.build(model.trainable_weights)
    for weight in model.trainable_weights:
        weight.assign(np.ones(weight.shape))
    optimizer.apply([ops.zeros(w.shape) for w in model.trainable_weights])
    paths = weights_by_path(model)
    moved = {path for path, w in paths.items() if w.trainable and (array(w) != 1).any()}
    assert {path.split("/")[-1] for path in moved} == {"kernel"}
    assert "fusion/image/projection/kernel" in moved
    assert len(moved) + len(spared) == len(model.trainable_weights)


def test_half_precision_learns_with_full_precision_weights():
    model = make(dtype="mixed_bfloat16")
    history = model.fit(*data(), batch_size=12, epochs=25, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]
    assert all(np.isfinite(w).all() and w.dtype == "float32" for w in weights(model))
    exact = make()
    exact.set_weights(model.get_weights())
    x = data()[0]
    got = ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(got, ops.convert_to_numpy(exact(x)), atol=0.2)
