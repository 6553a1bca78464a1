"""An image-to-text model of the LLaVA kind, which reads two digits and adds them.

The model writes "seven plus five is twelve". A transformer makes tokens of a picture
(the image tower), a projection brings them to the width of the words, and they take the
places of `<image>` in the prompt. The causal decoder has rotary positions. It learns by
teacher forcing, and generates with a KV cache.

    KERAS_BACKEND=jax python examples/05_image_to_text.py --quick

It needs scikit-learn and matplotlib. `--quick` trains less.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from ablation import parse_arguments, print_table, train
from boards import split_digits
from sums import IMAGE, PROMPT, VOCABULARY, draw_sums, make_sums
from writing import END

from keras_mmembed import MultiModalTransformer, PatchEmbedding

BATCH, IMAGE_WIDTH, WIDTH = 64, 48, 64
LLAMA = {"norm_type": "rms", "mlp": "gated", "activation": "silu", "use_bias": False}
OPTIONS = {"num_heads": 4, "pooling": "tokens", "dropout": 0.0}


def make_decoder():
    """Return the model of words, with the image tower in front of it."""
    patches = {"type": "2d", "embedding": PatchEmbedding((8, 2), IMAGE_WIDTH)}
    tower = MultiModalTransformer(
        {"patches": patches}, IMAGE_WIDTH, num_layers=1, **OPTIONS, name="tower"
    )
    # the rotary positions are those of the sequence of words and patches
    image = {"type": "1d", "embedding": tower, "dim": IMAGE_WIDTH, "position": None}
    words = {"vocabulary_size": len(VOCABULARY.words), "padding_id": 0}
    configs = {
        "image": {**image, "projection": True, "into": "text"},
        "text": {"type": "1d", **words, "position": None},
    }
    return MultiModalTransformer(
        configs,
        WIDTH,
        num_layers=2,
        num_key_value_heads=2,
        hidden_dim=2 * WIDTH,
        rotary="llama",
        causal=True,
        normalization=None,
        tie_embeddings=True,
        **LLAMA,
        **OPTIONS,
        name="decoder",
    )


def main():
    """Train with and without the picture, and compare what is written."""
    options = parse_arguments(__doc__)
    rng = np.random.default_rng(options.seed)
    train_digits, test_digits = split_digits(rng)
    number, epochs = (96 * BATCH, 3) if options.quick else (160 * BATCH, 6)
    pictures, sentences = make_sums(rng, train_digits, number)
    tests, truth = make_sums(rng, test_digits, 256)
    prompt = VOCABULARY.ids([PROMPT] * len(tests))
    read, said, weights = VOCABULARY.teacher_forcing([PROMPT] * number, sentences)
    results = {}
    for name, shown in {"whole model": 1, "without the picture": 0}.items():
        print(f"\nTraining: {name}", flush=True)
        keras.utils.set_random_seed(options.seed)
        decoder = make_decoder()
        image = keras.Input((8, 16, 1), name="image")
        text = keras.Input((None,), dtype="int32", name="text")
        inputs = {"image": image, "text": text}
        # `fit` hands on inputs only: what else a call takes is made of them
        logits = decoder(inputs, placeholders={"image": keras.ops.equal(text, IMAGE)})
        given = {"image": shown * pictures, "text": read}
        train(keras.Model(inputs, logits), given, said, epochs, weights=weights)
        places = {"image": prompt == IMAGE}
        given = {"image": shown * tests, "text": prompt}
        ids = decoder.generate(given, 6, stop_ids=END, placeholders=places)
        written = np.array(VOCABULARY.sentences(ids))
        sums = [[text.split()[-1] for text in texts] for texts in (written, truth)]
        results[name] = [(written == truth).mean(), np.mean(np.equal(*sums))]
        if shown:
            decoder.save(options.output / "image_to_text.keras")
            draw_sums(tests, written, truth, options.output / "image_to_text.png")
    print_table(f"({keras.backend.backend()})", ["sentence", "sum"], results)
    margin = results["whole model"][0] - results["without the picture"][0]
    assert margin > 0.5, f"the picture should matter, margin {margin:.1%}"


if __name__ == "__main__":
    main()
