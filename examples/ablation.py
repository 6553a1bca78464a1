"""Shared code of the examples: command line, ablations, training, tables, curves."""

import argparse
from pathlib import Path

import keras
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def parse_arguments(description):
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="train small models only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("outputs"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    return options


def without_positions(configs):
    """Return the configurations without positional encodings."""
    plain = {}
    for name, config in configs.items():
        sizes = ("max_len", "frames", "height", "width", "position")
        plain[name] = {key: v for key, v in config.items() if key not in sizes}
        plain[name]["type"] = "none"
    return plain


def silence_modalities(model):
    """Fix the modality embedding to zero."""
    rows = model.fusion.modality.get_weights()
    model.fusion.modality.set_weights([0 * row for row in rows])
    model.fusion.modality.trainable = False


def only(names, inputs):
    """Return the inputs of some modalities."""
    return {name: inputs[name] for name in names}


def train(
    model, inputs, targets, epochs, batch_size=64, peak=3e-3, loss=None, weights=None
):
    """Train with a warmup of a tenth of the steps and cosine decay to 0."""
    samples = len(next(iter(inputs.values())))
    steps = epochs * (samples // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=peak, warmup_steps=steps // 10
    )
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3, beta_2=0.98),
        loss=loss,
        weighted_metrics=["accuracy"],
    )
    return model.fit(
        inputs,
        targets,
        sample_weight=weights,
        batch_size=batch_size,
        epochs=epochs,
        verbose=2,
    ).history


def print_table(title, columns, rows):
    """Print results as a table in Markdown."""
    print(f"\n| {title} | {' | '.join(columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for name, values in rows.items():
        shares = [f"{value:.1%}" if value == value else "-" for value in values]
        print(f"| {name} | {' | '.join(shares)} |")


def draw_curves(curves, path):
    """Draw the training accuracy of several models."""
    figure, axes = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
    # the first line is the widest, so that it shows under the others
    for index, (name, values) in enumerate(curves.items()):
        width = len(curves) - index
        axes.plot(range(1, len(values) + 1), values, "o-", linewidth=width, label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="epoch", ylabel="accuracy in training", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path, dpi=90)
    plt.close(figure)
