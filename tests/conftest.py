import sys
from collections import Counter

import keras
import pytest

# TensorFlow traces a tower in a decoder in a model in a doctest
sys.setrecursionlimit(3000)


def pytest_ignore_collect(collection_path):
    """Look for doctests in no helper: what it registers would be there twice."""
    path = collection_path
    return True if path.is_file() and not path.name.startswith("test_") else None


def pytest_report_header():
    return f"keras {keras.__version__}, backend {keras.backend.backend()}"


def pytest_terminal_summary(terminalreporter):
    """Say how many bad inputs the sweep tried, and how they were answered."""
    counts = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                counts.update(dict(report.user_properties).get("bad inputs", {}))
    if counts:
        kinds = ("message", "result", "silent", "unclear", "known")
        listed = ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
        backend = keras.backend.backend()
        terminalreporter.line(f"{backend}: {counts.total()} bad inputs: {listed}")


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    keras.backend.clear_session(free_memory=False)
