import keras
import pytest


def pytest_ignore_collect(collection_path):
    """Look for doctests in no helper: what it registers would be there twice."""
    path = collection_path
    return True if path.is_file() and not path.name.startswith("test_") else None


def pytest_report_header():
    return f"keras {keras.__version__}, backend {keras.backend.backend()}"


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    keras.backend.clear_session(free_memory=False)
