"""The log of a container: lines with their time and where they came from; the oldest are dropped.

The standard library alone: a shim writes it.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

FILE_BYTES = 4 << 20
"""A file that is longer becomes `log.1`, in place of the one before."""
LINE_BYTES = 16_384


class LogFile:
    """Appends lines; `out` and `err` are the container's, `---` is the shim's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = _opened(path)
        self._size = os.fstat(self._fd).st_size
        self._rest: dict[str, bytes] = {}

    def write(self, source: str, data: bytes) -> None:
        """Take what came from a source; a line is written when it is whole, or too long."""
        *lines, rest = (self._rest.get(source, b"") + data).split(b"\n")
        while len(rest) >= LINE_BYTES:
            lines.append(rest[:LINE_BYTES])
            rest = rest[LINE_BYTES:]
        self._rest[source] = rest
        self._append(b"".join(_line(source, line) for line in lines))

    def note(self, text: str) -> None:
        """Write what the shim has to say, after all that the container had."""
        for source, rest in self._rest.items():
            if rest:
                self._append(_line(source, rest))
        self._rest = {}
        self._append(_line("---", text.encode()))

    def _append(self, data: bytes) -> None:
        os.write(self._fd, data)
        self._size += len(data)
        if self._size > FILE_BYTES:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            os.close(self._fd)
            self._fd, self._size = _opened(self._path), 0


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _line(source: str, line: bytes) -> bytes:
    at = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
    return f"{at} {source} ".encode() + line + b"\n"
