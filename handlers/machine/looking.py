"""How a machine is looked at: files read, programs asked; nothing is changed by looking.

What must be tried to be known (a VXLAN, a table of nftables) is tried in a network namespace that
ends with the trial.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

PATIENCE_S = 10.0
"""How long a program may take to say its version."""
BEYOND_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian keeps programs of root that the path of a user may lack."""


class Look(Protocol):
    """What can be seen of a machine. Nothing here raises: what is not there is None."""

    def text(self, path: str) -> str | None:
        """Return a file's text."""
        ...

    def has(self, path: str) -> bool:
        """Tell whether there is such a file, folder or device."""
        ...

    def program(self, name: str) -> str | None:
        """Return where a program is."""
        ...

    def said(self, *words: str) -> str | None:
        """Run a program and return what it said, or None where it failed."""
        ...


class ThisMachine:
    """The machine that this process runs on. `named`: programs that settings say where to find."""

    def __init__(self, named: Mapping[str, str] | None = None) -> None:
        self._named = dict(named or {})

    def text(self, path: str) -> str | None:
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def has(self, path: str) -> bool:
        return Path(path).exists()

    def program(self, name: str) -> str | None:
        named = self._named.get(name)
        if named is not None:
            return named if os.access(named, os.X_OK) else None
        path = os.environ.get("PATH", os.defpath)
        return shutil.which(name, path=os.pathsep.join((path, *BEYOND_PATH)))

    def said(self, *words: str) -> str | None:
        program = self.program(words[0])
        return None if program is None else _run((program, *words[1:]))


def _run(words: Sequence[str]) -> str | None:
    try:
        ended = subprocess.run(  # noqa: S603 - programs of the checks, arguments of ours
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.decode(errors="replace") if ended.returncode == 0 else None
