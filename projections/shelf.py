"""The files of the views in their folder: generations, and the one that is used.

A rebuild makes the next generation beside the one that is used; which one that is stands in a
small file that is replaced as a whole. Who has a generation open keeps it until it has moved on.
"""

import fcntl
import os
import re
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec

from projections.batches import Batch
from projections.files import FilePast, FileReader, FileStore
from projections.stores import Generation, ShelfInUseError

USED = "views.json"
NOTE = "note.json"
WRITING = "writing.lock"
REBUILDING = "rebuilding.lock"
NAME = re.compile(r"views-([0-9]{1,9})\.db")
UNFINISHED = ".new"
AROUND = ("", "-wal", "-shm", "-journal")
"""What SQLite keeps beside a file, and the file itself."""


class Used(msgspec.Struct, frozen=True):
    """What `views.json` says."""

    generation: Generation = 0


class FileShelf:
    """The folder of the views: a `projections.stores.Shelf`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, generation: Generation, *, beside: bool = False) -> Path:
        """Return the file of a generation."""
        return self.folder / f"views-{generation}.db{UNFINISHED if beside else ''}"

    def name(self, generation: Generation) -> str:
        return str(self.path(generation))

    async def current(self) -> Generation | None:
        used = self._used()
        return used if self.path(used).exists() else None

    def _used(self) -> Generation:
        try:
            return msgspec.json.decode((self.folder / USED).read_bytes(), type=Used).generation
        except (FileNotFoundError, msgspec.DecodeError):
            return 0

    async def fresh(self) -> Generation:
        return max(self._used(), *self._there(), 0) + 1

    def _there(self) -> list[Generation]:
        names = (path.name.removesuffix(UNFINISHED) for path in self.folder.iterdir())
        return [int(found[1]) for found in map(NAME.fullmatch, names) if found]

    async def use(self, generation: Generation) -> None:
        self._write(USED, msgspec.json.encode(Used(generation)))

    def _write(self, name: str, text: bytes) -> None:
        """Write a file as a whole: it is read as it was, or as it is."""
        new = self.folder / (name + UNFINISHED)
        new.write_bytes(text)
        new.replace(self.folder / name)

    async def note(self, text: bytes) -> None:
        self._write(NOTE, text)

    async def noted(self) -> bytes | None:
        try:
            return (self.folder / NOTE).read_bytes()
        except FileNotFoundError:
            return None

    async def finish(self, generation: Generation) -> None:
        self.path(generation, beside=True).replace(self.path(generation))

    async def discard(self, generation: Generation) -> None:
        remove(self.path(generation, beside=True))

    async def tidy(self, keep: Generation) -> bool:
        for generation in self._there():
            if generation < keep:
                remove(self.path(generation))
        return True

    async def store(self, generation: Generation, *, beside: bool = False) -> FileStore:
        return await FileStore.open(self.path(generation, beside=beside))

    async def reader(self, generation: Generation, *, beside: bool = False) -> FileReader:
        return FileReader(self.path(generation, beside=beside))

    async def past(self, today: Generation, batch: Batch, bounds: Mapping[str, str]) -> FilePast:
        past = FilePast(self.path(today), bounds)
        await past.write(batch)
        return past

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        with self._held(WRITING):
            yield

    @asynccontextmanager
    async def rebuilding(self) -> AsyncGenerator[None]:
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

    async def close(self) -> None:
        """Close nothing: files are opened by those who read and write them."""


def remove(path: Path) -> None:
    """Remove a file of SQLite's with all that belongs to it."""
    for end in AROUND:
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).unlink()
