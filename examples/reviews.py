"""Film reviews of a sentence, a face and a voice, made at run time.

No person is in these data. Sentences are put together from lists of words, faces are
emoji and drawings, and voices are those of espeak-ng. Each of the three is positive or
negative by itself. By an artificial rule, the sentiment of a review is what most of
them say. So whoever knows one or two of them is right in 75% of the cases at best.
"""

from dataclasses import dataclass

import numpy as np
from faces import EMOJI, SIDE, make_faces
from voices import LONGEST, SPEAKERS, make_clips

NOUNS = "acting plot music ending dialogue camera cast story pace script".split()
ADJECTIVES = (
    "dull weak poor boring bad awful clumsy tired silly flat messy ugly".split(),
    "great good superb lovely fine brilliant clever fresh witty deep neat fun".split(),
)
# {yes} is what is meant, and {no} is of the other polarity: the order of words matters
TEMPLATES = [
    "the {noun} was {yes}",
    "the {noun} was not {no}",
    "the {noun} was {yes} , not {no}",
    "the {noun} was not {no} , {yes}",
    "the {noun} was more {yes} than {no}",
    "the {noun} was less {no} than {yes}",
]
WORDS = sorted(
    {*" ".join(TEMPLATES).split(), *NOUNS, *ADJECTIVES[0], *ADJECTIVES[1]}
    - {"{noun}", "{yes}", "{no}"}
)
LONGEST_TEXT = 7


def write(rng, is_positive, is_test):
    """Return a sentence; a test has other pairs of noun and adjective."""
    while True:
        noun, (yes, no) = rng.integers(len(NOUNS)), rng.integers(12, size=2)
        is_kept = [(noun + adjective) % 4 == 0 for adjective in (yes, no)]
        if is_kept == [is_test, is_test]:
            break
    return TEMPLATES[rng.integers(len(TEMPLATES))].format(
        noun=NOUNS[noun],
        yes=ADJECTIVES[is_positive][yes],
        no=ADJECTIVES[1 - is_positive][no],
    )


def to_ids(sentence):
    """Return the ids of the words, padded with 0."""
    ids = [WORDS.index(word) + 1 for word in sentence.split()]
    return ids + [0] * (LONGEST_TEXT - len(ids))


def to_sentence(ids):
    """Return the words of ids."""
    return " ".join(WORDS[index - 1] for index in ids if index)


def split(rng, items):
    """Return three quarters of the items to train with, and the others to test."""
    items = [items[index] for index in rng.permutation(len(items))]
    return items[len(items) // 4 :], items[: len(items) // 4]


@dataclass
class Sources:
    """What reviews are made of: the negative and the positive faces and clips."""

    faces: list
    clips: list
    is_test: bool


def make_sources(rng, num_clips, copies):
    """Return sources to train with, and others with other emoji and speakers.

    Args:
        rng: A generator of random numbers.
        num_clips: Number of clips of each kind to train with.
        copies: Number of pictures of each emoji in each font.
    """
    speakers, emoji = split(rng, SPEAKERS), [split(rng, kind) for kind in EMOJI]
    train, test = Sources([], [], False), Sources([], [], True)
    for kind in (0, 1):
        simple = 40 * copies
        train.faces.append(make_faces(rng, kind, emoji[kind][0], copies, simple))
        train.clips.append(make_clips(rng, kind, speakers[0], num_clips))
        test.faces.append(make_faces(rng, kind, emoji[kind][1], copies))
        test.clips.append(make_clips(rng, kind, speakers[1], num_clips // 4))
    return train, test


def make_reviews(rng, sources, number):
    """Return the inputs of a model, and the sentiments: 0 negative, 1 positive."""
    cues = rng.integers(0, 2, (number, 3))
    text = [to_ids(write(rng, cue, sources.is_test)) for cue in cues[:, 0]]
    faces = np.zeros((number, SIDE, SIDE, 3), "float32")
    clips, lengths = np.zeros((number, LONGEST), "float32"), np.zeros(number, "int32")
    for kind in (0, 1):
        rows = np.flatnonzero(cues[:, 1] == kind)
        faces[rows] = rng.choice(sources.faces[kind], len(rows))
        rows = np.flatnonzero(cues[:, 2] == kind)
        chosen = rng.integers(len(sources.clips[kind][1]), size=len(rows))
        clips[rows], lengths[rows] = (some[chosen] for some in sources.clips[kind])
    inputs = {"text": np.array(text), "face": faces, "voice": clips, "samples": lengths}
    return inputs, (cues.sum(axis=1) >= 2).astype("int32")
