"""Short clips of speech, content or not, that espeak-ng makes."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.signal import resample_poly

SPEAKERS = (
    "f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 adam Alex Alicia Andrea Andy Annie antonio "
    "aunty belinda benjamin boris caleb david Denis Diogo ed edward gustave Henrique "
    "Hugo iven iven2 Jacky john kaukovalta Lee linda marcelo Marco Mario max Michael "
    "michel miguel Mike Nguyen pablo paul pedro quincy robert steph steph2 travis "
    "victor zac anika"
).split()
ACCENTS = "en-us en-gb en-gb-scotland en-gb-x-rp en-029 en-us-nyc".split()
# they tell nothing
PHRASES = [
    "I saw it.",
    "So we went.",
    "Here is my view.",
    "That was it.",
    "We had seats.",
    "It began at ten.",
    "My review.",
    "They showed it.",
]
# from and to: pitch from 0 to 99, melody in percent of the usual, words per minute
STYLES = (
    {"pitch": (20, 55), "melody": (20, 100), "speed": (120, 180)},
    {"pitch": (45, 80), "melody": (100, 180), "speed": (170, 230)},
)
SPOKEN_RATE, RATE, LONGEST = 22050, 8000, 8000  # of espeak-ng; of clips; samples


def speak(speaker, accent, phrase, pitch, melody, speed):
    """Return the samples of a phrase, from -1 to 1, cut at one second."""
    text = f'<prosody range="{melody - 100:+d}%">{phrase}</prosody>'
    command = ["espeak-ng", "-z", "-m", "-v", f"{accent}+{speaker}"]
    command += ["-p", str(pitch), "-s", str(speed), "--stdout", text]
    sound = subprocess.run(command, capture_output=True, check=True).stdout
    samples = np.frombuffer(sound[44:], "<i2") / 32768  # behind the header
    return resample_poly(samples, RATE, SPOKEN_RATE)[:LONGEST]


def make_clips(rng, is_positive, speakers, number):
    """Return `(number, samples)` clips padded with 0, and their lengths.

    Who is content speaks faster, higher than usual, and with more melody.
    """
    if shutil.which("espeak-ng") is None:
        raise SystemExit(
            "The voices need espeak-ng. On Debian: apt-get install espeak-ng"
        )
    told = [rng.choice(items, number) for items in (speakers, ACCENTS, PHRASES)]
    told += [rng.integers(*ends, number) for ends in STYLES[is_positive].values()]
    with ThreadPoolExecutor() as pool:
        waves = list(pool.map(speak, *told))
    lengths = np.array([len(wave) for wave in waves], "int32")
    clips = np.zeros((number, LONGEST), "float32")
    for clip, wave in zip(clips, waves, strict=True):
        loudness = rng.uniform(0.1, 1) / np.abs(wave).max()
        clip[: len(wave)] = loudness * wave + rng.normal(0, 0.003, len(wave))
    return clips, lengths
