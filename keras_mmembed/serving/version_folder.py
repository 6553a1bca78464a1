"""A folder of numbered versions, which a server may be watching."""

import contextlib
import os
import secrets
import shutil

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# a server reads the names that are numbers, and no others
PREFIX = ".exporting-"


@contextlib.contextmanager
def staging(directory):
    """Yield an empty folder in `directory`, and the descriptor that locks it.

    One export at a time works in `directory`; others wait. Afterwards the empty folder
    is gone, and so is what exports have left behind that were killed. If the export
    fails, folders that were made for it are removed again.
    """
    made = [path for path in (directory, *directory.parents) if not path.exists()]
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
            yield folder, lock
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    finally:
        if lock is not None:
            os.close(lock)


def versions(directory):
    """Return the numbers among the names in `directory`."""
    names = os.listdir(directory) if directory.is_dir() else []
    return {int(name) for name in names if name.isascii() and name.isdecimal()}


def publish(folder, directory, version):
    """Turn a finished folder into a version, in one step."""
    target = directory / str(version)
    os.rename(folder, target)
    return target


def _remove_leftovers(directory):
    for path in directory.glob(f"{PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


def _lock(directory):
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
