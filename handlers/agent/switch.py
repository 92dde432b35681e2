"""The dead man's switch of a host: until when what is to be fenced may run, whatever happens.

It is a number in a file, in seconds of the machine's monotonic clock, which goes on while agents
come and go. Whatever runs containers looks at it by itself; so a killed agent fences in time.
"""

import os
import struct
from pathlib import Path

FORM = struct.Struct(">d")
NEVER_S = float("inf")
"""Nobody has armed it yet: this host was never granted a lease."""


class Switch:
    """One host's switch. It is off once `until_s` has passed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        written = os.pread(self._fd, FORM.size, 0)
        self.until_s: float = FORM.unpack(written)[0] if len(written) == FORM.size else NEVER_S

    def arm(self, until_s: float) -> None:
        """Let things run until then."""
        os.pwrite(self._fd, FORM.pack(until_s), 0)
        self.until_s = until_s

    def close(self) -> None:
        os.close(self._fd)
