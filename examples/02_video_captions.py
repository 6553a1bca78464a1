"""Video captioning, and video-to-text retrieval by the same causal model.

A clip shows a real handwritten digit that moves, and its caption says so ("seven moves
to the upper left"). The model is trained to predict the next word from the clip and the
words so far. It then writes the caption of a test clip, of other digit images, and it
ranks all 80 captions, among them the same digit moving the opposite way, by their
log-likelihoods. For an ablation, models without one part are trained too.

    KERAS_BACKEND=jax python examples/02_video_captions.py --quick

It needs scikit-learn and matplotlib. `--quick` trains two small models, with and
without temporal positional encodings, and checks the margin between them.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from ablation import (
    draw_curves,
    only,
    parse_arguments,
    print_table,
    silence_modalities,
    train,
    without_positions,
)
from boards import split_digits
from clips import (
    CAPTIONS,
    FRAMES,
    START,
    VOCABULARY,
    caption_tokens,
    draw_attention,
    draw_clips,
    make_clips,
    measure,
    score_captions,
    with_backwards,
)
from writing import END

from keras_mmembed import MultiModalTransformer, PositionEmbedding3D, TubeletEmbedding

BATCH, WIDTH = 64, 64
LONGEST = caption_tokens()[1].shape[1]


def make_configs(frames):
    """Return the modality configurations, with layers that embed pixels and ids."""
    patches = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 16),
            TubeletEmbedding((1, 12, 12), 128, strides=(1, 4, 4)),
            keras.layers.ReLU(),
        ]
    )
    # with one frame in the table, all frames have the same temporal position
    places = PositionEmbedding3D(frames, 2, 2, kind="learned", out_of_range="clip")
    words = {"vocabulary_size": len(VOCABULARY.words), "padding_id": 0}
    return {
        "clip": {"type": "3d", "embedding": patches, "dim": 128, "position": places},
        "caption": {"type": "1d", **words},
    }


PARTS = {
    "whole model": {},
    "without temporal positions": {"frames": 1},
    "without positions": {"change": without_positions},
    "without modalities": {"silent": True},
    "without the clip": {"names": ["caption"]},
    "without the words so far": {"blind": True},
}


def make_model(names, frames=FRAMES, change=dict, silent=False):
    """Return a model that predicts the next word from the clip and the words so far."""
    encoder = MultiModalTransformer(
        only(names, change(make_configs(frames))),
        WIDTH,
        num_layers=2,
        num_heads=4,
        hidden_dim=2 * WIDTH,
        activation="relu",
        norm_first=False,
        causal=True,
        prefix=[name for name in names if name == "clip"],
        pooling="tokens",
        num_outputs=len(VOCABULARY.words),
        dropout=0.0,
        name="encoder",
    )
    shapes = {"clip": (FRAMES, None, None, 1), "caption": (None,)}
    inputs = {n: keras.Input(shapes[n], dtype="uint8", name=n) for n in names}
    outputs = encoder(inputs)[:, -LONGEST:]  # of the caption
    if silent:
        silence_modalities(encoder)
    return keras.Model(inputs, outputs)


def write_captions(model, clips):
    """Return a caption of each clip, written word by word."""
    encoder = model.get_layer("encoder")
    inputs = {"clip": clips, "caption": np.full((len(clips), 1), START)}
    inputs = only(encoder.fusion.modalities, inputs)
    ids = encoder.generate(inputs, LONGEST, stop_ids=END)
    return np.array(VOCABULARY.sentences(ids))


def main():
    """Train the models, and compare their retrieval of captions for the same clips."""
    options = parse_arguments(__doc__)
    output = options.output
    rng = np.random.default_rng(options.seed)
    train_digits, test_digits = split_digits(rng)
    # full batches only: JAX would compile again for a smaller last one
    number, epochs = (96 * BATCH, 3) if options.quick else (160 * BATCH, 4)
    clips, truth = make_clips(rng, train_digits, number)
    number = 64 if options.quick else 200
    tests, test_truth = with_backwards(*make_clips(rng, test_digits, number))
    parts = dict(list(PARTS.items())[:2]) if options.quick else PARTS
    results, curves = {}, {}
    for name, part in parts.items():
        print(f"\nTraining: {name}", flush=True)
        keras.utils.set_random_seed(options.seed)
        blind = part.pop("blind", False)
        read, said = caption_tokens(blind)
        names = part.pop("names", ["clip", "caption"])
        model = make_model(names, **part)
        inputs = only(names, {"clip": clips, "caption": read[truth]})
        weights = 1.0 * (said[truth] > 0)
        history = train(model, inputs, said[truth], epochs, weights=weights)
        curves[name] = history["accuracy"]
        scores = score_captions(model, tests, read, said)
        # what was trained without words cannot read those that it writes
        written = None if blind else write_captions(model, tests)
        right = np.nan if blind else (written == np.array(CAPTIONS)[test_truth]).mean()
        results[name] = [right, *measure(scores, test_truth)]
        if name == "whole model":
            model.save(output / "video.keras")
            path = output / "video_clips.png"
            draw_clips(tests, test_truth, scores, written, path)
            draw_attention(model, tests, test_truth, output / "video_attention.png")
    draw_curves(curves, output / "video_training.png")
    columns = ["written", "recall at 1", "recall at 5", "right, not opposite"]
    print_table(f"80 captions ({keras.backend.backend()})", columns, results)
    margin = results["whole model"][3] - results["without temporal positions"][3]
    assert margin > 0.3, f"temporal positions should matter, margin {margin:.1%}"


if __name__ == "__main__":
    main()
