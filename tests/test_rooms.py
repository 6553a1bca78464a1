"""Rooms of the package and of its tests: what each may import, and how long it is."""

import ast
from pathlib import Path

import pytest

import keras_mmembed

PACKAGE, TESTS = Path(keras_mmembed.__file__).parent, Path(__file__).parent
# from the top down: a room imports from those it names, and from itself
MAY_IMPORT = {
    "serving": {"common"},
    "models": {"published", "fusion", "attention", "positions", "inputs", "common"},
    "published": {"fusion", "positions", "inputs", "common"},
    "fusion": {"positions", "inputs", "common"},
    "attention": {"positions", "common"},
    "positions": {"common"},
    "inputs": {"common"},
    "plotting": {"common"},
    "common": set(),
}
# used by two rooms so far; the contract puts them where all rooms may reach them
COMMON_BY_CONTRACT = {"sublayer_state", "zero_gate"}
MOST_LINES = 300
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imports(path):
    """Yield the dotted names in the package that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name


def room_of(path):
    """Return the room of a module, or its own name at the top."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def code_lines(path):
    """Return how many lines of a module are no docstrings."""
    text = path.read_text()
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = [
        node.body[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, documented) and ast.get_docstring(node) is not None
    ]
    lines = sum(node.end_lineno - node.lineno + 1 for node in docstrings)
    return len(text.splitlines()) - lines


def test_at_most_nine_entries_at_the_top():
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert {"__init__.py", "py.typed"} <= entries
    entries -= {"__init__.py", "py.typed"}
    assert {name.removesuffix(".py") for name in entries} == set(MAY_IMPORT)
    assert len(entries) <= 9


def test_no_module_is_underscored():
    names = [path.stem for path in PACKAGE.rglob("*.py")]
    assert {name for name in names if name.startswith("_")} == {"__init__"}


def test_the_order_of_rooms_has_no_circle():
    order = list(MAY_IMPORT)
    for room, below in MAY_IMPORT.items():
        assert all(order.index(other) > order.index(room) for other in below)


@pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_arrows_between_rooms_point_down(path):
    room = room_of(path)
    for name in imports(path):
        package, *rest = name.split(".")
        if package != "keras_mmembed":
            continue
        assert rest, "a module imports from rooms, not from the whole package"
        assert rest[0] in {room, *MAY_IMPORT[room]}, name


def test_common_holds_only_what_three_rooms_use():
    users = {}
    for path in PACKAGE.rglob("*.py"):
        for name in imports(path):
            if name.startswith("keras_mmembed.common."):
                users.setdefault(name.split(".")[2], set()).add(room_of(path))
    modules = {path.stem for path in (PACKAGE / "common").glob("[a-z]*.py")}
    assert users.keys() == modules
    few = {name for name, rooms in users.items() if len(rooms - {"common"}) < 3}
    assert few <= COMMON_BY_CONTRACT


@pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_module_is_long(path):
    assert code_lines(path) <= MOST_LINES


def test_the_package_shows_its_public_names_and_nothing_else():
    assert set(dir(keras_mmembed)) == {*keras_mmembed.__all__, "__version__"}


def test_tests_have_the_rooms_of_the_package():
    folders = {path.parent.name for path in TESTS.glob("*/test_*.py")}
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    # published models are compared with many rooms at once
    assert folders == rooms | {"parity"}


def test_no_test_imports_another_test():
    for path in TESTS.rglob("*.py"):
        names = {name.split(".")[0] for name in imports(path)}
        assert not [name for name in names if name.startswith("test_")], path


def test_no_test_is_long():
    long = [path for path in TESTS.rglob("*.py") if code_lines(path) > MOST_LINES]
    assert not long
