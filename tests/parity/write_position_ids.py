"""Write the position ids of transformers 4.57.3 for random mixed sequences.

    python tests/parity/write_position_ids.py

in an environment with transformers==4.57.3 and torch. Later versions start the text
behind a clip too early.
"""

import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / "helpers"), str(TESTS / "parity")]

import position_ids as inputs  # noqa: E402
import transformers  # noqa: E402
from mixed_sequences import padded, random_sample  # noqa: E402
from published import torch  # noqa: E402

PATH = TESTS / "data" / "position_ids.npz"
TOKENS_PER_SECOND = 2


def main():
    """Write the position ids of two models, for 100 sequences each."""
    assert transformers.__version__ == "4.57.3"
    kept = {}
    for name in ("qwen2_vl", "qwen2_5_vl"):
        rng = np.random.default_rng(0)
        samples = [random_sample(rng, seconds=(1.0, 2.0, 3.0)) for _ in range(100)]
        fused, rates, _ = padded(samples, ("right", "left"), batch=100)
        ids, _, mask = inputs.tokens_of(fused)
        module = getattr(transformers.models, name)
        module = getattr(module, f"modeling_{name}")
        prefix = {"qwen2_vl": "Qwen2VL", "qwen2_5_vl": "Qwen2_5_VL"}[name]
        settings = inputs.config(tokens_per_second=TOKENS_PER_SECOND)
        model = inputs.caller(getattr(module, f"{prefix}Model"), settings)
        more = {}
        if name == "qwen2_5_vl":
            seconds = [second for sample in samples for second in sample.seconds]
            more["second_per_grid_ts"] = torch.tensor(seconds)
        positions, deltas = model.get_rope_index(
            ids,
            inputs.grids_of(samples, 1),
            inputs.grids_of(samples, 2),
            attention_mask=mask,
            **more,
        )
        kept[f"{name}_positions"] = positions.permute(1, 2, 0).numpy().astype("int16")
        kept[f"{name}_next"] = deltas[:, 0].numpy() + mask.shape[1]
        kept |= {f"{name}_fused_{key}": value for key, value in fused.items()}
        kept[f"{name}_rates"] = rates * TOKENS_PER_SECOND
    np.savez_compressed(PATH, **kept)


if __name__ == "__main__":
    main()
