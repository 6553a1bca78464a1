"""A folder of versions: locked, cleaned, and filled in one step."""

import os
import threading

import pytest

from keras_mmembed.serving import version_folder


def test_only_numbers_are_versions(tmp_path):
    assert version_folder.versions(tmp_path / "nothing") == set()
    for name in ("1", "0012", "3.tmp", "-4", "²", ".exporting-5", "v6"):
        (tmp_path / name).mkdir()
    (tmp_path / "7").write_text("a file is in the way too")
    assert version_folder.versions(tmp_path) == {1, 12, 7}


def test_a_version_comes_in_one_step(tmp_path):
    directory = tmp_path / "new" / "models"
    with version_folder.staging(directory) as (folder, _):
        assert folder.parent == directory
        (folder / "model").mkdir()
        (folder / "model" / "file").write_text("content")
        assert version_folder.versions(directory) == set()
        path = version_folder.publish(folder / "model", directory, 5)
    assert path == directory / "5"
    assert os.listdir(directory) == ["5"]
    assert (path / "file").read_text() == "content"


def test_what_a_server_reads_is_readable(tmp_path):
    with version_folder.staging(tmp_path) as (folder, _):
        (folder / "model").mkdir()
        path = version_folder.publish(folder / "model", tmp_path, 1)
    mask = os.umask(0o022)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o777 & ~mask


@pytest.mark.parametrize("existed", [True, False])
def test_a_failure_leaves_nothing(tmp_path, existed):
    directory = tmp_path / "a" / "b"
    if existed:
        (directory / "1").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        with version_folder.staging(directory) as (folder, _):
            (folder / "file").write_text("half")
            raise KeyboardInterrupt
    if existed:
        assert os.listdir(directory) == ["1"]
    else:
        assert os.listdir(tmp_path) == []


def test_leftovers_of_the_dead_are_removed_and_nothing_else(tmp_path):
    for name in (".exporting-0abc", ".hidden", "1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("content")
    with version_folder.staging(tmp_path):
        assert not (tmp_path / ".exporting-0abc").exists()
    assert sorted(os.listdir(tmp_path)) == [".hidden", "1"]


def test_exports_to_one_directory_take_turns(tmp_path):
    pytest.importorskip("fcntl", reason="no locks here")
    order = []

    def second():
        with version_folder.staging(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second, daemon=True)
    with version_folder.staging(tmp_path) as (folder, _):
        thread.start()
        thread.join(timeout=0.2)
        assert folder.exists()  # the other has not taken it for a leftover
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]


def test_without_locks_leftovers_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(version_folder, "fcntl", None)
    (tmp_path / ".exporting-0abc").mkdir()
    with version_folder.staging(tmp_path) as (_, lock):
        assert lock is None
    assert os.listdir(tmp_path) == [".exporting-0abc"]
