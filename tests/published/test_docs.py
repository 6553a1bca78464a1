"""The page of published models has a row for each."""

import re
from pathlib import Path

from keras_mmembed.published.recipes import PUBLISHED

PAGE = Path(__file__).parents[2] / "docs" / "published.md"


def test_the_table_has_every_published_model():
    rows = re.findall(r"^\| `([a-z0-9_-]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert rows == ["model_type", *sorted(PUBLISHED)]
