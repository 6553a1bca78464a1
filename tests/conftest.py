import keras
import pytest

# scripts that tests start with arguments
collect_ignore_glob = ["*_worker.py"]


def pytest_report_header():
    return f"keras {keras.__version__}, backend {keras.backend.backend()}"


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    keras.backend.clear_session(free_memory=False)
