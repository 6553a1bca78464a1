"""Multimodal sentiment classification with missing modalities.

A film review is a sentence, a face and a voice, all generated (see `reviews.py`). Each
is negative, neutral or positive, and by an artificial rule the sign of their sum is the
label, so a model needs all modalities. The test set has other people, speakers and
pairs of words. For an ablation, models without one part are trained too.

    KERAS_BACKEND=jax python examples/03_sentiment.py --quick

It needs matplotlib and scipy, and for real speech synthesis espeak-ng. `--quick` trains
two small models, with and without positional encodings, and checks the margin.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from ablation import (
    draw_curves,
    parse_arguments,
    print_table,
    silence_modalities,
    train,
    without_positions,
)
from faces import SIDE
from review_pictures import draw_accuracies, draw_reviews
from reviews import NAMES, WORDS, best_possible, make_reviews, make_sources
from voices import RATE

from keras_mmembed import AudioEmbedding, MultiModalTransformer, PatchEmbedding

BATCH, WIDTH = 32, 64
# the modalities that are present in a test
SUBSETS = {
    "all": NAMES,
    "no text": ("face", "voice"),
    "no face": ("text", "voice"),
    "no voice": ("text", "face"),
    "only text": ("text",),
    "only face": ("face",),
    "only voice": ("voice",),
}
PARTS = {
    "whole model, with modality dropout": {},
    "without positions": {"change": without_positions},
    "without modality dropout": {"modality_dropout": 0.0},
    "without modalities": {"silent": True},
    "without the text": {"names": SUBSETS["no text"]},
    "without the face": {"names": SUBSETS["no face"]},
    "without the voice": {"names": SUBSETS["no voice"]},
}


def make_configs():
    """Return the modality configurations, with layers that embed the raw inputs."""
    initializer = keras.initializers.RandomNormal(stddev=0.5)
    words = keras.layers.Embedding(
        len(WORDS) + 1, WIDTH, mask_zero=True, embeddings_initializer=initializer
    )
    frames = {"sampling_rate": RATE, "frame_length": 256, "frame_stride": 128}
    spectrum = AudioEmbedding(WIDTH, num_mel_bins=64, patch_size=16, **frames)
    return {
        "text": {"type": "1d", "embedding": words},
        "face": {"type": "2d", "embedding": PatchEmbedding(12, WIDTH, strides=4)},
        "voice": {"type": "2d", "embedding": spectrum},
    }


def make_model(change=dict, silent=False, modality_dropout=0.5):
    """Return a model of raw inputs, lengths of waveforms, and presence flags."""
    transformer = MultiModalTransformer(
        change(make_configs()),
        WIDTH,
        num_layers=2,
        num_heads=4,
        hidden_dim=2 * WIDTH,
        activation="relu",
        norm_first=False,
        num_outputs=2,
        dropout=0.0,
        modality_dropout=modality_dropout,
        name="transformer",
    )
    inputs = {
        "text": keras.Input((None,), dtype="int32", name="text"),
        "face": keras.Input((SIDE, SIDE, 3), name="face"),
        "voice": keras.Input((None,), name="voice"),
    }
    samples = keras.Input((), dtype="int32", name="samples")
    present = {n: keras.Input((), dtype="bool", name=f"has_{n}") for n in NAMES}
    outputs = transformer(inputs, mask={"voice": samples}, present=present)
    if silent:
        silence_modalities(transformer)
    flags = {flag.name: flag for flag in present.values()}
    return keras.Model({**inputs, "samples": samples, **flags}, outputs)


def with_flags(inputs, names):
    """Return the inputs with presence flags for the modalities in `names`."""
    number = len(inputs["text"])
    return {**inputs, **{f"has_{n}": np.full(number, n in names) for n in NAMES}}


def predict(model, inputs, known=NAMES):
    """Return the probability of "positive" for each subset of the known modalities."""
    results = {}
    for column, names in SUBSETS.items():
        flagged = with_flags(inputs, set(names) & set(known))
        scores = model.predict(flagged, batch_size=BATCH, verbose=0)
        results[column] = 1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))
    return results


def main():
    """Train the models, and compare them when something is missing."""
    options = parse_arguments(__doc__)
    rng = np.random.default_rng(options.seed)
    number = 128 * BATCH if options.quick else 256 * BATCH
    train_sources, test_sources = make_sources(rng, number // 2)
    inputs, answers, _ = make_reviews(rng, train_sources, number)
    tested, truth, moods = make_reviews(rng, test_sources, 64 * BATCH)
    results, curves = {}, {}
    for name in list(PARTS)[:2] if options.quick else PARTS:
        print(f"\nTraining: {name}", flush=True)
        keras.utils.set_random_seed(options.seed)
        part = dict(PARTS[name])
        known = part.pop("names", NAMES)
        model, flagged = make_model(**part), with_flags(inputs, known)
        curves[name] = train(model, flagged, answers, 8, BATCH, 2e-3)["accuracy"]
        opinions = predict(model, tested, known)
        results[name] = [((p > 0.5) == truth).mean() for p in opinions.values()]
        if len(results) == 1:
            model.save(options.output / "sentiment.keras")
            path = options.output / "sentiment_reviews.png"
            draw_reviews(model, tested, opinions, truth, moods, path)
    results["best possible"] = [best_possible(names) for names in SUBSETS.values()]
    draw_accuracies(SUBSETS, results, options.output / "sentiment_missing.png")
    draw_curves(curves, options.output / "sentiment_training.png")
    print_table(f"right answers ({keras.backend.backend()})", SUBSETS, results)
    text = [row[list(SUBSETS).index("only text")] for row in results.values()]
    margin = text[0] - text[1]
    assert margin > 0.04, f"positions should matter for words, margin {margin:.1%}"


if __name__ == "__main__":
    main()
