"""The tables in docs/formats.md say what the code does."""

import formats
import pytest

REWRITE = "Run: python tests/serving/formats.py write, or tox -e formats"
# one of each program that runs a file, and one export that fails
PART = ["onnx", "openvino", "litert", "torch_pt2", "keras_saved_model"]


def test_the_tables_are_whole():
    columns = formats.read_tables()
    assert list(columns) == [*formats.BACKENDS, *formats.VARIANTS], REWRITE
    for name, cells in columns.items():
        assert list(cells) == formats.routes_of(name), REWRITE
    reasons = {text for cells in columns.values() for text in cells.values()} - {""}
    assert reasons == set(formats.REASONS.values()), REWRITE
    for names, part in zip(
        (formats.BACKENDS, formats.VARIANTS), formats.read_parts(), strict=False
    ):
        assert formats.table({name: columns[name] for name in names}) == part, REWRITE


def test_the_tables_are_of_the_versions_that_are_tested():
    pinned = (formats.DOCS.parents[1] / "constraints.txt").read_text().split("\n")
    named = formats.read_parts()[2].split(", ")
    assert [one.split(" ")[0] for one in named] == formats.PACKAGES, REWRITE
    for one in named:
        assert one.replace(" ", "==") in pinned, REWRITE


@pytest.mark.cross_backend
def test_a_part_of_the_tables_again():
    expected = formats.read_tables()["jax"]
    found = formats.column("jax", PART)
    assert found == {route: expected[route] for route in PART}, REWRITE
    assert set(found.values()) - {""}


@pytest.mark.cross_backend
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [*formats.BACKENDS, *formats.VARIANTS])
def test_the_tables_again(name):
    assert formats.column(name) == formats.read_tables()[name], REWRITE
