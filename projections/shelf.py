"""The files of the views in their folder: generations, and the one that is used.

A rebuild makes the next generation beside the one that is used; which one that is stands in a
small file that is replaced as a whole. Who has a generation open keeps it until it has moved on.
"""

import fcntl
import os
import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from projections.sqlite import SqliteReader, StoreDamagedError, StoreLockedError

USED = "views.json"
WRITING = "writing.lock"
REBUILDING = "rebuilding.lock"
NAME = re.compile(r"views-([0-9]{1,9})\.db")
UNFINISHED = ".new"
BESIDE = ("", "-wal", "-shm", "-journal")
"""What SQLite keeps beside a file, and the file itself."""


class ShelfInUseError(RuntimeError):
    """Another process writes, or rebuilds, the views in this folder."""


class Used(msgspec.Struct, frozen=True):
    """What `views.json` says."""

    generation: int = 0


class Shelf:
    """The folder of the views."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def current(self) -> Path | None:
        """Return the generation that is used; None where there is none, or its file is gone."""
        try:
            used = msgspec.json.decode((self.folder / USED).read_bytes(), type=Used)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        path = self._path(used.generation)
        return path if path.exists() else None

    def fresh(self) -> Path:
        """Return the path of a generation that was never there."""
        numbers = [self.number(path) for path in self.folder.iterdir()]
        with suppress(FileNotFoundError, msgspec.DecodeError):
            used = msgspec.json.decode((self.folder / USED).read_bytes(), type=Used)
            numbers.append(used.generation)
        return self._path(max(numbers, default=0) + 1)

    def use(self, path: Path) -> None:
        """Let a generation be the one that is used."""
        new = self.folder / (USED + UNFINISHED)
        new.write_bytes(msgspec.json.encode(Used(self.number(path))))
        new.replace(self.folder / USED)

    def unfinished(self, path: Path) -> Path:
        """Return where a generation is built that is not to be used yet."""
        return path.with_name(path.name + UNFINISHED)

    def finish(self, path: Path) -> None:
        """Give a generation that was built, and closed, its name."""
        self.unfinished(path).replace(path)

    def tidy(self, *keep: Path) -> None:
        """Remove the generations that nobody is to use any more."""
        for path in list(self.folder.iterdir()):
            if NAME.fullmatch(path.name) and path not in keep:
                remove(path)

    def number(self, path: Path) -> int:
        """Return the number of a generation, 0 for another file."""
        found = NAME.fullmatch(path.name.removesuffix(UNFINISHED))
        return int(found[1]) if found else 0

    def _path(self, generation: int) -> Path:
        return self.folder / f"views-{generation}.db"

    @contextmanager
    def writing(self) -> Generator[None]:
        """Be the one process that writes. Raises `ShelfInUseError`."""
        with self._held(WRITING):
            yield

    @contextmanager
    def rebuilding(self) -> Generator[None]:
        """Be the one process that rebuilds. Raises `ShelfInUseError`."""
        with self._held(REBUILDING):
            for path in list(self.folder.glob(f"*.db{UNFINISHED}")):
                remove(path)
            yield

    @contextmanager
    def _held(self, name: str) -> Generator[None]:
        file = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(file)
            message = f"another process has the views in {self.folder} ({name})"
            raise ShelfInUseError(message) from error
        try:
            yield
        finally:
            os.close(file)


def known(shelf: Shelf) -> None:
    """Raise `StoreTooNewError` where a newer Restow made the views that are used."""
    path = shelf.current()
    if path is not None:
        with suppress(StoreDamagedError, StoreLockedError):
            SqliteReader(path).close()


def remove(path: Path) -> None:
    """Remove a file of SQLite's with all that belongs to it."""
    for end in BESIDE:
        path.with_name(path.name + end).unlink(missing_ok=True)
