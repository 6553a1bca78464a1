"""What the constructors of the fusion and its vectors refuse, and how they say it."""

from functools import partial

import keras
from messages import checks, make, wrong
from reference import TEXT_AND_IMAGE

import keras_mmembed as mm

FUSION, NAMES, SEGMENTS = mm.MultiModalFusion, mm.ModalityEmbedding, mm.SegmentEmbedding
FUSED = partial(FUSION, TEXT_AND_IMAGE, 8)
TEXT = {"type": "1d", "dim": 8}
PLACED = {"text": TEXT, "audio": {**TEXT, "into": "text"}}


def configs(configs, place, rule, received):
    """Return the row of configurations that are wrong at a place."""
    return make(FUSION, configs, 8).says(f"modality_configs{place}", rule, received)


def text(rule, *received, name="text", **config):
    """Return the row of a configuration of a text whose last key is wrong."""
    key, value = list(config.items())[-1]
    made = {"text": TEXT, name: {**TEXT, **config}}
    return configs(made, f"['{name}']['{key}']", rule, *(received or [repr(value)]))


# the same for an audio beside a text
audio = partial(text, name="audio")


class WithoutShape(keras.layers.Layer):
    """An embedding that does not say the shape of what it makes."""


class Narrow(keras.layers.Layer):
    """A term of a width of its own."""

    output_dim = 4

    def encode(self, values):
        return values


def term(layer, **more):
    """Return the terms of a configuration: one, of a layer and more."""
    return {"a": {"layer": layer, **more}}


TABLE = mm.SegmentEmbedding(2)
NORM = "['text']['normalization']"
OPEN_SUM = [
    text("be True or False", modality="no"),
    text("be True or False", mask_token=1),
    text("be False for another type than '2d' and '3d'", row_token=True),
    configs(
        {"text": TEXT, "b": {"instance_of": "text", "modality": False}},
        "['b']",
        "have no other keys beside 'instance_of'",
        "['instance_of', 'modality']",
    ),
    text("be a dict of arguments of keras.layers.Dense, True or False", projection=1),
    text(
        "be left out, because dim=6 differs from unified_dim=8", dim=6, projection=False
    ),
    text("have no key 'units'", "'units'", projection={"units": 3}),
    text("have only arguments of keras.layers.Dense", projection={"bias": 3}),
    text("be a dict with keys among", normalization="layer"),
    text("have no keys but type, epsilon", "'eps'", normalization={"eps": 1e-5}),
    *(
        configs({"text": {**TEXT, "normalization": norm}}, f"{NORM}{place}", *message)
        for norm, place, *message in (
            ({"epsilon": 0}, "['epsilon']", "be greater than 0", "0"),
            ({"type": "batch"}, "['type']", "be one of 'layer', 'rms'", "'batch'"),
            (
                {"place": "end"},
                "['place']",
                "be one of 'features', ",
                "'end'",
            ),
            ({"special": 1}, "['special']", "be True or False", "1"),
        )
    ),
    text("be a dict of a layer for each term", terms=[TABLE]),
    text("have names that start with a letter", "'1'", terms={"1": TABLE}),
    *(
        text("have no name that a part of the modality has", repr(name), **config)
        for name in ("position", "norm_a", "gate_a", "segment")
        for config in [{"segments": 2, "terms": {name: TABLE}}]
    ),
    configs(
        {"text": {**TEXT, "position": {"layer": None, "gate": "tanh"}}},
        "['text']['position']['layer']",
        "be 'sinusoidal', 'learned' or a position layer",
        "None",
    ),
    *(
        configs({"text": {**TEXT, "terms": terms}}, f"['text']['terms']{place}", *said)
        for terms, place, *said in (
            ({"a": 3}, "['a']", "be a layer with a method encode(values)", "3"),
            (
                {"a": keras.layers.Dense(8)},
                "['a']",
                "be a layer with a method encode(values)",
                "<Dense",
            ),
            ({"a": Narrow()}, "['a']", "be a layer of the width unified_dim=8", "4"),
            (term(TABLE, scale=2), "['a']", "have no keys but layer, gate", "'scale'"),
            (
                term(TABLE, gate="sigmoid"),
                "['a']['gate']",
                "be one of 'tanh', 'linear', None",
                "'sigmoid'",
            ),
            (
                term(TABLE, normalization={"place": "sum"}),
                "['a']['normalization']",
                "have no keys but type, epsilon",
                "'place'",
            ),
        )
    ),
    text(
        "have no keys but layer, gate",
        "'scale'",
        position={"layer": "learned", "scale": 2},
    ),
    configs(
        {"text": {**TEXT, "position": {"layer": "sinusoidal", "gate": "exp"}}},
        "['text']['position']['gate']",
        "be one of 'tanh', 'linear', None",
        "'exp'",
    ),
]

CONSTRUCTORS = [
    *OPEN_SUM,
    wrong(NAMES, "hold at least one name", modalities=[]),
    wrong(
        NAMES,
        "start with a letter and hold only letters, digits and underscores",
        "'a/b'",
        modalities=["a/b"],
    ),
    make(NAMES, ["Text", "text"]).says(
        "modalities", "differ in more than upper and lower case", "'Text' and 'text'"
    ),
    wrong(SEGMENTS, "be at least 1", num_segments=0),
    wrong(SEGMENTS, "be an integer", num_segments="two"),
    wrong(FUSION, "be a dict of a dict for each modality", modality_configs=[]),
    wrong(FUSED, "be at least 0", seed=-1),
    wrong(FUSED, "be below 2 ** 31", seed=2**31),
    wrong(FUSED, "be an integer or None", seed=True),
    wrong(FUSED, "be True or False", cls_token="no"),
    wrong(FUSED, "be True or False", return_dict=1),
    wrong(FUSED, "be finite", epsilon=float("inf")),
    text("be left out without 'vocabulary_size'", padding_id=0),
    text("be below the vocabulary_size 9", "9", vocabulary_size=9, padding_id=9),
    text("be at least 0", "-1", vocabulary_size=9, padding_id=-1),
    wrong(FUSION, "hold at least one name", modality_configs={}),
    configs({"a b": {}}, "", "start with a letter", "'a b'"),
    configs({"text": 8}, "['text']", "be a dict", "8"),
    configs({"text": {"type": "1d"}}, "['text']", "have the key 'dim'", "['type']"),
    configs(
        {"text": {**TEXT, "height": 3}},
        "['text']",
        "have no keys but type, dim, max_len, position, modality, projection, ",
        "'height'",
    ),
    text("be one of '1d', '2d', '3d', 'none'", type="4d"),
    text("be at least 1", dim=0),
    text("be 'sinusoidal', 'learned', None or a", position="rotary"),
    text("be given for a learned position table", position="learned", max_len=None),
    text(
        "be given here or in the PositionEmbedding1D, not in both",
        position=mm.PositionEmbedding1D(4),
        max_len=4,
    ),
    text("be None or left out with type 'none'", type="none", position="learned"),
    configs(
        {"text": TEXT, "other": {"instance_of": "text", "dim": 8}},
        "['other']",
        "have no other keys beside 'instance_of'",
        "['dim', 'instance_of']",
    ),
    configs(
        {"text": TEXT, "other": {"instance_of": "image"}},
        "['other']['instance_of']",
        "be one of the other modalities ['text']",
        "'image'",
    ),
    audio("be one of the other modalities ['text']", into="audio"),
    audio(
        "be False for a modality that is placed into another",
        into="text",
        start_token=True,
    ),
    audio("be False for a modality that is not placed into another", gate=True),
    audio("be False without a start or end token", count_special=True),
    text(
        "be False with type '2d' and no learned position table",
        type="2d",
        start_token=True,
        count_special=True,
    ),
    audio("be True or False", end_token=1),
    audio("be at least 1", vocabulary_size=0),
    audio("be a Keras layer that makes features of raw inputs", embedding="conv"),
    audio(
        "be left out, because 'embedding' is given",
        embedding=keras.layers.Embedding(4, 8),
        vocabulary_size=4,
    ),
    audio(
        "be a layer with a compute_output_shape of its own",
        "WithoutShape",
        embedding=WithoutShape(),
    ),
    audio(
        "be a layer of one input, so as a model have one modality",
        ["a", "b"],
        embedding=mm.MultiModalTransformer({"a": TEXT, "b": TEXT}, 8, num_layers=1),
    ),
    configs(
        {
            **PLACED,
            "audio_2": {"instance_of": "audio"},
            "image": {"type": "2d", "dim": 8, "into": "audio_2"},
        },
        "['image']['into']",
        "be a modality that is not placed into another",
        "'audio_2'",
    ),
    wrong(partial(FUSION, TEXT_AND_IMAGE), "be at least 1", unified_dim=0),
    wrong(FUSED, "be one of 'layer', 'rms'", norm_type="batch"),
    wrong(
        FUSED,
        "be one of 'shared', 'per_modality', 'both', None",
        normalization="batch",
    ),
    wrong(FUSED, "be greater than 0", epsilon=0),
    wrong(FUSED, "lie in [0, 1)", dropout=1.0),
    make(FUSED, modality_dropout={"image": 1.5}).says(
        "modality_dropout['image']", "lie in [0, 1)", "1.5"
    ),
    make(FUSED, modality_dropout={"sound": 0.5}).says(
        "modality_dropout", "name only the modalities ['text', 'image']", "'sound'"
    ),
    make(FUSION, PLACED, 8, modality_dropout={"text": 0.5}).says(
        "modality_dropout['text']",
        "be left out for a modality that others are placed into",
        "0.5",
    ),
    wrong(FUSED, "be one of 'mask', 'token'", missing="skip"),
    wrong(FUSED, "be at least 0", num_registers=-1),
]


test_constructor = checks(CONSTRUCTORS)
