"""Figures of film reviews, predictions and accuracies."""

import keras
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from reviews import to_sentence

WORDS_OF_MOODS = ("negative", "neutral", "positive")


def draw_reviews(model, inputs, opinions, sentiments, moods, path, number=3):
    """Draw reviews, and the predictions of a model with some modalities missing.

    Args:
        model: The model; its log-mel spectrograms of the voices are drawn.
        inputs: Reviews, of which the first are drawn.
        opinions: By subset of modalities, the predicted probabilities of "positive".
        sentiments: The labels.
        moods: The moods of sentence, face and voice.
        path: The file to write.
        number: Number of reviews to draw.
    """
    inputs = {name: values[:number] for name, values in inputs.items()}
    spectrum = model.get_layer("transformer").fusion.branch("voice").embedding
    bands = spectrum.log_mel(inputs["voice"], mask=inputs["samples"])
    bands = keras.ops.convert_to_numpy(bands)
    figure, grid = plt.subplots(
        number,
        3,
        figsize=(9, 1.9 * number),
        width_ratios=(1, 2, 2),
        layout="constrained",
    )
    for index, (face, voice, bars) in enumerate(grid):
        said = [WORDS_OF_MOODS[mood + 1] for mood in moods[index]]
        face.imshow((inputs["face"][index] / 4 + 0.5).clip(0, 1))
        face.set_xlabel(f"face: {said[1]}", fontsize=8)
        voice.imshow(bands[index].T, origin="lower", aspect="auto")
        voice.set_xlabel(f"voice: {said[2]}", fontsize=8)
        sentence = to_sentence(inputs["text"][index])
        voice.set_title(f'"{sentence}": {said[0]}', fontsize=9)
        for axes in (face, voice):
            axes.set_xticks([])
            axes.set_yticks([])
        is_positive = sentiments[index] == 1
        values = [shares[index] for shares in opinions.values()]
        colors = ["green" if (v > 0.5) == is_positive else "red" for v in values]
        bars.barh(list(opinions), values, color=colors)
        bars.axvline(0.5, color="gray", linewidth=0.5)
        bars.set(xlim=(0, 1))
        bars.invert_yaxis()
        bars.tick_params(labelsize=8)
        bars.set_title(f"sentiment: {WORDS_OF_MOODS[2 * is_positive]}", fontsize=9)
    grid[-1, 2].set_xlabel("predicted probability of positive", fontsize=8)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def draw_accuracies(columns, results, path):
    """Draw the accuracy of the first three models by subset of modalities."""
    best = results["best possible"]
    names = [name for name in list(results)[:3] if name != "best possible"]
    figure, axes = plt.subplots(figsize=(9, 3.4), layout="constrained")
    places, width = np.arange(len(columns)), 0.8 / len(names)
    for index, name in enumerate(names):
        left = places + (index + 0.5) * width - 0.4
        axes.bar(left, results[name], width, label=name)
    axes.hlines(best, places - 0.4, places + 0.4, color="black", label="best possible")
    axes.axhline(0.5, color="gray", linestyle=":", label="guessing")
    axes.set_xticks(places, list(columns))
    axes.set(ylabel="right answers", ylim=(0.4, 1.02))
    axes.legend(fontsize=8, loc="upper right")
    figure.savefig(path, dpi=90)
    plt.close(figure)
