"""Film reviews of a sentence, a face and a voice, generated at run time.

All data are synthetic: sentences are composed of lists of words, faces are drawn by
code, and voices are synthesized by espeak-ng. Each of the three is negative (-1),
neutral (0) or positive (1), and by an artificial rule the sentiment of a review is the
sign of their sum. All three are needed, because two may cancel out.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from faces import SIDE, make_faces, make_person
from voices import LONGEST, find_voices, make_clips

NAMES, MOODS = ("text", "face", "voice"), (-1, 0, 1)
CUES = np.array([cues for cues in product(MOODS, repeat=3) if sum(cues)])
NOUNS = "acting plot music ending dialogue camera cast story pace script".split()
BAD = "dull weak poor boring bad awful clumsy silly".split()
GOOD = "great good superb lovely fine brilliant clever witty".split()
# {yes} is the opinion, {no} its opposite; from the fourth on, word order decides
OPINIONS = [
    "the {noun} was {yes}",
    "a really {yes} {noun}",
    "what {yes} {noun}",
    "the {noun} was {yes} , not {no}",
    "the {noun} was not {no} , {yes}",
    "the {noun} was more {yes} than {no}",
    "the {noun} was less {no} than {yes}",
]
NEUTRAL = ["the {noun} was neither {yes} nor {no}", "the {noun} was as {yes} as {no}"]
USED = {*" ".join(OPINIONS + NEUTRAL).split(), *NOUNS, *BAD, *GOOD}
WORDS = sorted(word for word in USED if "{" not in word)
LONGEST_TEXT = 7


def write(rng, mood, is_test):
    """Return a sentence; the test has other pairs of noun and adjective."""
    while True:
        noun, (yes, no) = rng.integers(len(NOUNS)), rng.integers(len(GOOD), size=2)
        if ((noun + yes) % 4 == 0) == ((noun + no) % 4 == 0) == is_test:
            break
    is_good = mood > 0 or (mood == 0 and rng.random() < 0.5)
    meant, other = (GOOD, BAD) if is_good else (BAD, GOOD)
    template = rng.choice(OPINIONS if mood else NEUTRAL)
    return template.format(noun=NOUNS[noun], yes=meant[yes], no=other[no])


def to_ids(sentence):
    """Return the token ids of a sentence, padded with 0."""
    ids = [WORDS.index(word) + 1 for word in sentence.split()]
    return ids + [0] * (LONGEST_TEXT - len(ids))


def to_sentence(ids):
    """Return the sentence of token ids."""
    return " ".join(WORDS[index - 1] for index in ids if index)


@dataclass
class Sources:
    """Pictures of faces and clips of voices of each mood, to compose reviews of."""

    faces: dict
    clips: dict
    is_test: bool


def make_sources(rng, number):
    """Return sources for training, and for a test with other people and speakers.

    Args:
        rng: A random number generator.
        number: Number of training pictures of each mood, three times that of clips; the
            test has a quarter of both.
    """
    voice, speakers, what = find_voices()
    print(f"The voices are {what}.", flush=True)
    speakers = rng.permutation(speakers)
    people = [make_person(rng) for _ in range(400)]
    test, cut = number // 4, len(speakers) // 4
    return (
        _make_part(rng, voice, speakers[cut:], people[100:], number, False),
        _make_part(rng, voice, speakers[:cut], people[:100], test, True),
    )


def _make_part(rng, voice, speakers, people, number, is_test):
    return Sources(
        {mood: make_faces(rng, mood, people, number) for mood in MOODS},
        {mood: make_clips(rng, mood, voice, speakers, number // 3) for mood in MOODS},
        is_test,
    )


def make_reviews(rng, sources, number):
    """Return model inputs, labels (1 is positive), and the mood of each modality."""
    cues = CUES[rng.integers(len(CUES), size=number)]
    text = [to_ids(write(rng, mood, sources.is_test)) for mood in cues[:, 0]]
    faces = np.zeros((number, SIDE, SIDE, 3), "float32")
    clips, lengths = np.zeros((number, LONGEST), "float32"), np.zeros(number, "int32")
    for mood in MOODS:
        rows = np.flatnonzero(cues[:, 1] == mood)
        faces[rows] = rng.choice(sources.faces[mood], len(rows))
        rows = np.flatnonzero(cues[:, 2] == mood)
        chosen = rng.integers(len(sources.clips[mood][1]), size=len(rows))
        clips[rows], lengths[rows] = (some[chosen] for some in sources.clips[mood])
    text = np.array(text, "int32")
    inputs = {"text": text, "face": faces, "voice": clips, "samples": lengths}
    return inputs, (cues.sum(axis=1) > 0).astype("int32"), cues


def best_possible(names):
    """Return the best accuracy possible with some modalities: the Bayes accuracy."""
    known = CUES[:, [NAMES.index(name) for name in names]]
    right = 0
    for seen in np.unique(known, axis=0):
        positive = CUES[(known == seen).all(axis=1)].sum(axis=1) > 0
        right += max(positive.sum(), (~positive).sum())
    return right / len(CUES)
