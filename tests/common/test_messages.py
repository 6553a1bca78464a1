"""What a gate refuses, and how it says it."""

from messages import call, each, zeros

import keras_mmembed as mm

CALLS = [
    call(mm.ZeroGate(), inputs).says(
        "inputs", "be a list of two tensors of one shape", ""
    )
    for inputs in (zeros(2, 3), [zeros(2, 3), zeros(3)])
]


@each(CALLS)
def test_eager_call(row):
    row.check()


@each(CALLS)
def test_a_functional_model_cannot_be_built(row):
    row.check_symbolic()
