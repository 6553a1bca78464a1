"""What a gate refuses, and how it says it."""

from messages import call, checks, zeros

import keras_mmembed as mm

CALLS = [
    call(mm.ZeroGate(), inputs).says(
        "inputs", "be a list of two tensors of one shape", ""
    )
    for inputs in (zeros(2, 3), [zeros(2, 3), zeros(3)])
]


test_eager_call = checks(CALLS)
test_a_functional_model_cannot_be_built = checks(CALLS, symbolic=True)
