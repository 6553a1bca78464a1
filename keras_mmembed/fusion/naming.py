"""The name of a modality in the errors of its sublayers."""

from collections.abc import Iterator
from contextlib import contextmanager

WHO = "MultiModalFusion"


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Say in the error of a sublayer which modality it works for."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError):
            raise  # a backend's own error, whose arguments are its own
        message = f"{error} This is modality {name!r} of {WHO}."
        raise type(error)(message) from None
