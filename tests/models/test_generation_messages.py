"""What `generate` refuses before any step, and how it says it."""

import functools

import numpy as np
import pytest
from decoders import decoder, prompt
from messages import checks, make, wrong


def generates(**changes):
    """Return `generate` of a model with an argument of another value."""
    return functools.partial(decoder(**changes).generate, prompt(), 4)


DECODER = decoder()
GENERATE = functools.partial(DECODER.generate, prompt(), 4)
ERRORS = [
    wrong(GENERATE, "be greater than 0", temperature=-1.0),
    wrong(GENERATE, "be a number", temperature="hot"),
    wrong(GENERATE, "be a number", temperature=True),
    wrong(GENERATE, "be at least 1", temperature=1.0, top_k=0),
    wrong(GENERATE, "lie in [0, 1]", temperature=1.0, top_p=1.5),
    wrong(GENERATE, "lie in (0, 1]", temperature=1.0, top_p=0.0),
    wrong(GENERATE, "be None with temperature=0", top_p=0.5),
    wrong(GENERATE, "be None with temperature=0", top_k=3),
    wrong(GENERATE, "be an id, or a list of at least one", stop_ids=[]),
    wrong(GENERATE, "be below the vocabulary_size 11", "11", stop_ids=[11]),
    wrong(GENERATE, "be an integer", "'a'", stop_ids="a"),
    wrong(GENERATE, "be at least 9, for 5 tokens of the prompt and 4", max_length=8),
    wrong(GENERATE, "be at least 0", temperature=1.0, seed=-1),
    wrong(GENERATE, "be True or False", stream="yes"),
    wrong(
        functools.partial(DECODER.generate, prompt()), "be at least 1", max_new_tokens=0
    ),
    wrong(
        functools.partial(DECODER.generate, max_new_tokens=4),
        "have ids of 'text', such as a start token",
        "['text']",
        inputs={"text": np.zeros((2, 0), "int32")},
    ),
    make(generates(causal=False)).says("causal", "be True: a token", "False"),
    make(generates(pooling="mean")).says("pooling", 'be "tokens"', "'mean'"),
    make(functools.partial(decoder(num_outputs=7).generate, prompt(), 4)).says(
        "num_outputs", "be 11, the vocabulary_size of 'text'", "7"
    ),
    make(generates(image={}, prefix=["text"])).says(
        "prefix", "not hold 'text', whose tokens are generated", "['text']"
    ),
]
test_errors = checks(ERRORS)


def test_an_unknown_argument_is_told():
    rule = "`images` must be left out: the arguments of a call are segment_ids"
    with pytest.raises(TypeError, match=rule):
        GENERATE(images=3)
