"""The tables of docs/positions.md name configurations that exist."""

import re
from pathlib import Path

import keras_mmembed as mm
from keras_mmembed.attention.bias_conventions import BIAS_CONVENTION_NAMES
from keras_mmembed.attention.position_rules import POSITION_RULE_NAMES
from keras_mmembed.attention.rotary_conventions import (
    ROTARY_CONVENTION_NAMES,
    ROTARY_CONVENTIONS,
)

PAGE = Path(__file__).parents[2] / "docs" / "positions.md"


def tables():
    """Yield the rows of each table, as lists of cells; the first has the headings."""
    for block in re.findall(r"(?:^\|.*\n)+", PAGE.read_text(), re.MULTILINE):
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in block.splitlines()
        ]
        yield [rows[0], *rows[2:]]


def layers_of(name):
    """Return a layer, and the other cells, for each row of the table of a layer."""
    made = []
    for headings, *rows in tables():
        for column, heading in enumerate(headings):
            if heading.startswith(f"`{name}("):
                first = "8, " if "num_heads" in heading else ""
                for row in rows:
                    call = f"mm.{name}({first}{row[column].strip('`')})"
                    layer = eval(call, {"mm": mm, "head_dim": 64})
                    made.append((layer, row[column + 1 :]))
    return made


def test_rotary_embeddings():
    layers = layers_of("RotaryEmbedding")
    assert {layer.convention for layer, _ in layers} == set(ROTARY_CONVENTION_NAMES)
    for layer, (axes,) in layers:
        assert tuple(axes.split(", ")) == ROTARY_CONVENTIONS[layer.convention].axes


def test_relative_biases():
    layers = [layer for layer, _ in layers_of("RelativePositionBias")]
    assert {layer.convention for layer in layers} == set(BIAS_CONVENTION_NAMES)


def test_attention_layers():
    assert len(layers_of("MultiModalAttention")) >= 8


def test_rules_of_position_ids():
    (rows,) = (rows for heading, *rows in tables() if heading[0] == "`rule`")
    named = [name for row in rows for name in re.findall(r'`"(\w+)"`', row[0])]
    assert sorted(named) == sorted(POSITION_RULE_NAMES)
