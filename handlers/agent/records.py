"""A file of records that survives its writer: appended, checked on reading, synced on demand.

A record is its length, its CRC-32 and its bytes. What a crash tore off at the end is ignored;
damage anywhere else is not guessed at.
"""

import asyncio
import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from zlib import crc32

HEAD = struct.Struct(">II")
SPARE_BYTES = 256 * 1_024
"""A file that has grown by less is left alone."""
IN_USE_S = 3.0
"""How long a file may be held by what is left of a process that was killed."""
LOOK_S = 0.01
GROWN = 4
"""How many times as large as its last compaction a file becomes before the next one."""


class RecordsDamagedError(ValueError):
    """There is a damaged record with sound ones behind it; the message names the place."""


class RecordsInUseError(RuntimeError):
    """Another process writes this file."""


class Records:
    """One open file of records; one process at a time."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._written = 0
        self._synced = 0
        self._syncing = 0
        self._size = self._compacted = os.fstat(fd).st_size

    @classmethod
    def open(cls, path: Path) -> tuple["Records", list[bytes]]:
        """Open the file, or begin it, and return it with its records.

        Raises `RecordsDamagedError`, `RecordsInUseError`.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as unless_sound:
            fd = _lock(path)
            unless_sound.callback(os.close, fd)
            records, end = parse(path.read_bytes(), path)
            os.ftruncate(fd, end)
            unless_sound.pop_all()
        return cls(path, fd), records

    def append(self, data: bytes) -> None:
        """Write a record. It survives this process from now on, and the host once synced."""
        self._size += _write(self._fd, data)
        self._written += 1

    async def sync(self) -> None:
        """Return when all that has been written is on disk."""
        upto = self._written
        if upto > self._synced:
            self._syncing += 1
            try:
                await asyncio.to_thread(os.fsync, self._fd)
            finally:
                self._syncing -= 1
            self._synced = max(self._synced, upto)

    def tidy(self, records: Callable[[], Iterable[bytes]]) -> None:
        """Put these records in place of all, where most of the file must be of the past.

        Not while it is synced: its file would be closed. Where it cannot be done the file stays
        as it is, and it is tried again later.
        """
        if self._size > SPARE_BYTES + GROWN * self._compacted and not self._syncing:
            try:
                self.compact(records())
            except OSError:  # a full disk: nothing is lost, and appending may yet go on
                self._compacted = self._size

    def compact(self, records: Iterable[bytes]) -> None:
        """Put these records in place of all that the file holds: all of them or nothing."""
        fresh = self.path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with contextlib.ExitStack() as unless_whole:
            fd = _lock(fresh)
            unless_whole.callback(os.close, fd)
            size = sum(_write(fd, data) for data in records)
            os.fsync(fd)
            fresh.replace(self.path)
            unless_whole.pop_all()
        os.close(self._fd)
        self._fd = fd
        self._size = self._compacted = size
        folder = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self._synced = self._written

    def close(self) -> None:
        os.close(self._fd)


def _lock(path: Path) -> int:
    """Open a file that nobody else writes.

    Whoever was killed holds it for a moment yet: until the disk has what was just being synced,
    and until a child that was just being started has become another program.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    until_s = time.monotonic() + IN_USE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until_s:
                os.close(fd)
                message = f"{path} is in use: does another agent of this host run?"
                raise RecordsInUseError(message) from error
            time.sleep(LOOK_S)
        else:
            return fd


def _write(fd: int, data: bytes) -> int:
    """Write a record and return its size in the file."""
    rest = memoryview(HEAD.pack(len(data), crc32(data)) + data)
    size = len(rest)
    while rest:
        rest = rest[os.write(fd, rest) :]
    return size


def parse(data: bytes, path: Path) -> tuple[list[bytes], int]:
    """Return the records in `data` and where the last sound one ends."""
    records: list[bytes] = []
    at = 0
    while (record := _record_at(data, at)) is not None:
        records.append(record)
        at += HEAD.size + len(record)
    if _sound_behind(data, at):
        message = f"{path}: the record at byte {at} is damaged, and there are others behind it"
        raise RecordsDamagedError(message)
    return records, at


def _record_at(data: bytes, at: int) -> bytes | None:
    if at + HEAD.size > len(data):
        return None
    length, check = HEAD.unpack_from(data, at)
    record = data[at + HEAD.size : at + HEAD.size + length]
    return record if length == len(record) > 0 and crc32(record) == check else None


def _sound_behind(data: bytes, at: int) -> bool:
    """Say whether a sound record begins anywhere behind; the length may be what is damaged."""
    last = len(data) - HEAD.size
    return any(_record_at(data, place) is not None for place in range(at + 1, last))
