"""One `restow up` for each data directory: a lock that ends with the process that holds it."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "up.lock"


class HeldError(Exception):
    """Somebody else holds the lock."""


@contextmanager
def held(data: Path) -> Generator[None]:
    """Hold the lock of a data directory during the block. Raises `HeldError`."""
    data.mkdir(parents=True, exist_ok=True)
    # Programs that are started do not inherit it (PEP 446), so it ends with this process alone.
    file = os.open(data / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(file, data)
        yield
    finally:
        os.close(file)


def _take(file: int, data: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise HeldError(str(data)) from error


def is_held(data: Path) -> bool:
    """Tell whether somebody holds the lock now."""
    if not (data / LOCK_FILE).exists():
        return False
    try:
        with held(data):
            return False
    except HeldError:
        return True
