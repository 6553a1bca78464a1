"""Time against the number of tokens."""

import keras
import numpy as np

from benchmarks import measure, sizes
from benchmarks.competitors import fusion_group
from benchmarks.measure import FLOOR, OURS
from benchmarks.programs import make_program, modes

FACTORS = (4, 12, 32)


def measure_scaling(options):
    """Return for each kind the tokens, the times and the exponent of the growth."""
    rows = []
    # PyTorch would compile for minutes, and is linear or not without that too
    mode = modes()[0 if keras.backend.backend() == "torch" else -1]
    for kind in ("forward", "step"):
        print(f"{keras.backend.backend()}: time against tokens, {kind}", flush=True)
        tokens, programs = {}, {}
        for factor in FACTORS:
            size = sizes.scaled(factor)
            group = fusion_group(size, dropout=0.0)
            for name in (FLOOR, OURS):
                program = make_program(kind, group.models[name], group.inputs, mode)
                programs[f"{name} {size.tokens}"] = program
                tokens[f"{name} {size.tokens}"] = size.tokens
        times = measure.alternate(programs, options.rounds, limit=options.seconds)
        for name in (FLOOR, OURS):
            chosen = [key for key in times if key.startswith(name)]
            counts = [tokens[key] for key in chosen]
            medians = [measure.quartiles(times[key])[1] for key in chosen]
            exponent = np.polyfit(np.log(counts), np.log(medians), 1)[0]
            rows.append(
                {
                    "name": name,
                    "kind": kind,
                    "mode": mode,
                    "tokens": counts,
                    "seconds": medians,
                    "exponent": float(exponent),
                }
            )
    return rows
