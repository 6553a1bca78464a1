"""Whether an error has come of a disk that takes no more."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

NUMBERS = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EIO)
# what must fit for an error to be about something else
PROBE_BYTES = 2**20


def trouble(error: BaseException, folder: Path) -> OSError | None:
    """Return the error of the disk that is behind another one, or `None`.

    TensorFlow and HDF5 raise errors of their own, whose texts name it or do not; so a
    file is written in `folder` too.
    """
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in NUMBERS:
            return each
        number = _named(str(each))
        if number is not None:
            return OSError(number, os.strerror(number))
    return _probe(folder)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those while which or because of which it was raised."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _named(text: str) -> int | None:
    return next((n for n in NUMBERS if os.strerror(n) in text), None)


def _probe(folder: Path) -> OSError | None:
    path = folder / "probe"
    try:
        with path.open("wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except OSError as error:
        return error if error.errno in NUMBERS else None
    return None
