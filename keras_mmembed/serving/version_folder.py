"""A folder of numbered versions, which a server may be watching."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# a server reads the names that are numbers, and no others
PREFIX = ".exporting-"


class Staging(NamedTuple):
    """A folder to write in, and the descriptor of the lock, if there are locks."""

    folder: Path
    lock: int | None


@contextlib.contextmanager
def staging(directory: Path) -> Iterator[Staging]:
    """Yield an empty folder in `directory`, which is locked meanwhile.

    One export at a time works in `directory`; others wait. Afterwards the folder is
    removed, and so is what killed exports have left behind. If the export fails,
    parent folders that were created for it are removed too.
    """
    new = [path for path in (directory, *directory.parents) if not path.exists()]
    lock = None
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = _lock(directory)
        if lock is not None:
            _remove_leftovers(directory)
        # within `directory`, because no rename crosses file systems
        folder = directory / f"{PREFIX}{secrets.token_hex(4)}"
        try:
            folder.mkdir()
            yield Staging(folder, lock)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    finally:
        if lock is not None:
            os.close(lock)


def versions(directory: Path) -> set[int]:
    """Return the numbers among the names in `directory`."""
    names = os.listdir(directory) if directory.is_dir() else []
    return {int(name) for name in names if name.isascii() and name.isdecimal()}


def publish(folder: Path, directory: Path, version: int) -> Path:
    """Turn a finished folder into a version, in one step, and return its path."""
    target = directory / str(version)
    os.rename(folder, target)
    return target


def _remove_leftovers(directory: Path) -> None:
    for path in directory.glob(f"{PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


def _lock(directory: Path) -> int | None:
    """Wait for the lock on `directory`; return `None` where there are no locks.

    The lock is free again when the last process ends that holds the descriptor.
    """
    if fcntl is None:
        return None
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a file system that cannot lock
        os.close(descriptor)
        return None
    return descriptor
