"""A disk moved by blocks: passes while it is written to, and a last one while it stands still.

Only what is allocated is read, and only what differs from what was sent is sent again. Moved so,
inodes and the journal of the file system are those that they were.
"""

import ctypes
import errno
import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

CHUNK_BYTES = 65_536
FREEZE, THAW = 0xC0045877, 0xC0045878
"""The calls FIFREEZE and FITHAW: a file system whole on its disk, and nothing written to it."""

_libc = ctypes.CDLL(None)  # the standard library has no syncfs

Chunk = tuple[int, bytes]


class Passes:
    """What has been sent of a disk so far, by hashes."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._sent: dict[int, bytes] = {}

    @property
    def size(self) -> int:
        return self._disk.stat().st_size

    def changed(self) -> Iterator[Chunk]:
        """Yield each chunk that is not as it was sent last, with its place."""
        fd = os.open(self._disk, os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = set[int]()
            for offset in _allocated(fd):
                there.add(offset)
                data = os.pread(fd, CHUNK_BYTES, offset)
                seen = blake2b(data, digest_size=16).digest()
                if self._sent.get(offset) != seen:
                    yield offset, data
                    self._sent[offset] = seen
            for offset in self._sent.keys() - there:  # it was given back: zeros again
                yield offset, bytes(min(CHUNK_BYTES, self.size - offset))
                del self._sent[offset]
        finally:
            os.close(fd)


def _allocated(fd: int) -> Iterator[int]:
    """Yield where there is something, by chunks."""
    end = os.fstat(fd).st_size
    at = 0
    while at < end:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        at = os.lseek(fd, start, os.SEEK_HOLE)
        start -= start % CHUNK_BYTES
        at += -at % CHUNK_BYTES
        yield from range(start, min(at, end), CHUNK_BYTES)


def flush(mounted: Path) -> None:
    """Have on its disk what has been written to a file system so far."""
    fd = os.open(mounted, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _libc.syncfs(fd)
    finally:
        os.close(fd)


@contextmanager
def still(mounted: Path) -> Generator[None]:
    """Keep a file system whole on its disk for as long as it takes."""
    fd = os.open(mounted, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, FREEZE, 0)
        try:
            yield
        finally:
            fcntl.ioctl(fd, THAW, 0)
    finally:
        os.close(fd)
