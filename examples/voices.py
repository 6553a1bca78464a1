"""Short clips of synthetic speech in a gloomy, an even or a cheerful tone.

espeak-ng synthesizes them if it is installed. Otherwise NumPy hums syllables, whose
tones are easier to classify; `find_voices` says which.
"""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.signal import lfilter, resample_poly

SPEAKERS = (
    "f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 adam Alex Alicia Andrea Andy Annie antonio "
    "aunty belinda benjamin boris caleb david Denis Diogo ed edward gustave Henrique "
    "Hugo iven iven2 Jacky john kaukovalta Lee linda marcelo Marco Mario max Michael "
    "michel miguel Mike Nguyen pablo paul pedro quincy robert steph steph2 travis "
    "victor zac anika"
).split()
ACCENTS = "en-us en-gb en-gb-scotland en-gb-x-rp en-029 en-us-nyc".split()
# neutral phrases: the words do not tell the tone
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
# by tone: pitch from 0 to 99, melody in percent of the usual, words per minute
TONES = {
    -1: ((20, 50), (0, 40), (100, 130)),
    0: ((30, 60), (80, 120), (160, 190)),
    1: ((50, 80), (180, 260), (220, 260)),
}
SPOKEN_RATE, RATE, LONGEST = 22050, 8000, 8000  # of espeak-ng; of clips; samples


def find_voices():
    """Return a function that synthesizes a clip, its speakers, and a description."""
    if shutil.which("espeak-ng") is None:
        return hum, range(60), "hummed by NumPy, because espeak-ng is not installed"
    command = ["espeak-ng", "--voices=variant"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    speakers = [name for name in SPEAKERS if f"!v/{name}" in listed.split()]
    return speak, speakers, "spoken by espeak-ng"


def speak(speaker, accent, phrase, pitch, melody, speed):
    """Return the samples of a phrase, synthesized by espeak-ng."""
    text = f'<prosody range="{melody - 100:+d}%">{phrase}</prosody>'
    command = ["espeak-ng", "-z", "-m", "-v", f"{accent}+{speaker}"]
    command += ["-p", str(pitch), "-s", str(speed), "--stdout", text]
    sound = subprocess.run(command, capture_output=True, check=True).stdout
    samples = np.frombuffer(sound[44:], "<i2") / 32768  # behind the header
    return resample_poly(samples, RATE, SPOKEN_RATE)


def hum(speaker, accent, phrase, pitch, melody, speed):
    """Return the samples of hummed syllables: pulses filtered by two formants."""
    own = np.random.default_rng(speaker)
    base, throat = own.uniform(90, 220), own.uniform(0.85, 1.2)
    syllables = len(phrase) // 3
    time = np.arange(int(RATE * syllables * 30 / speed)) / RATE
    beat = time * speed / 30
    turn = np.sin(np.pi * beat + len(accent)) * melody / 800
    frequency = base * 2 ** ((pitch - 50) / 50 + turn)
    wave = np.diff(np.floor(np.cumsum(frequency) / RATE), prepend=0)
    for formant in own.uniform((400, 1200), (700, 2000)) * throat:
        radius, angle = 0.95, 2 * np.pi * formant / RATE
        wave = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], wave)
    return wave * np.abs(np.sin(np.pi * beat)) ** 0.5


def make_clips(rng, tone, voice, speakers, number):
    """Return `(number, samples)` clips padded with 0, and their lengths.

    Cheerful voices are faster and higher, and have more melody.
    """
    told = [rng.choice(items, number) for items in (speakers, ACCENTS, PHRASES)]
    told += [rng.integers(*ends, number) for ends in TONES[tone]]
    with ThreadPoolExecutor() as pool:
        waveforms = list(pool.map(voice, *told))
    lengths = np.array([min(len(waveform), LONGEST) for waveform in waveforms], "int32")
    clips = np.zeros((number, LONGEST), "float32")
    for clip, waveform, length in zip(clips, waveforms, lengths, strict=True):
        loudness = rng.uniform(0.1, 1) / np.abs(waveform).max()
        noise = rng.normal(0, 0.003, length)
        clip[:length] = loudness * waveform[:length] + noise
    return clips, lengths
