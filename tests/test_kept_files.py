"""Files that earlier versions of the package wrote are read, and give their outputs."""

import keras
import numpy as np
import pytest
import write_kept_files as kept


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize")
@pytest.mark.parametrize("name", kept.MODELS)
def test_a_kept_file_gives_its_outputs(name):
    model = keras.models.load_model(kept.FOLDER / f"{name}.keras")
    with np.load(kept.FOLDER / f"{name}.npz") as arrays:
        inputs = {key: arrays[f"input/{key}"] for key in model.input}
        outputs = kept.flat(model.predict(inputs, verbose=0))
        assert outputs.keys() == {
            key.removeprefix("output/") for key in arrays if key.startswith("output/")
        }
        for key, output in outputs.items():
            np.testing.assert_allclose(output, arrays[f"output/{key}"], atol=1e-5)
