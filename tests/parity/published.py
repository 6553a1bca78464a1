"""What the comparisons with published models share."""

import numpy as np
import pytest
from keras import ops

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
models = transformers.models

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TEXT = {**SMALL, "vocab_size": 40, "max_position_embeddings": 20}
IMAGE = {**SMALL, "image_size": 16, "patch_size": 4}


def array(x):
    if isinstance(x, torch.Tensor):
        return x.detach().cpu().numpy().astype("float64")
    return np.asarray(ops.convert_to_numpy(x)).astype("float64")


def randomize(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.normal_(generator=generator)
    return module.eval()


def close(got, expected, atol=1e-5):
    np.testing.assert_allclose(got, array(expected), atol=atol, rtol=0)


def boxes_of(batch=2, length=6):
    corners = np.random.default_rng(3).integers(0, 30, (batch, length, 4))
    corners[..., 2:] += corners[..., :2]
    return corners.astype("int32")


def copy_boxes(module, layer):
    layer.build((None, None, 16))
    tables = [getattr(module, f"{axis}_position_embeddings") for axis in "xyhw"]
    layer.set_weights([array(table.weight) for table in tables])


def learned(layer, table, width):
    """Give a layer its learned table."""
    layer.build((None, None, width))
    layer.embeddings.assign(array(table).reshape(layer.embeddings.shape))
    return layer
