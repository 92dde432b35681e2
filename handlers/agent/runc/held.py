"""A container that is restored and held: CRIU waits for a script, and that waits for a word.

The standard library alone: a shim holds. If the shim dies, the script reads an end instead of a
word, and what was restored never runs.
"""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from handlers.agent.runc.charge import Charge

POLL_S = 0.003
NO = b"no\n"
HARMLESS = "RLIMIT_NOFILE"
"""CRIU would like to open more files than some machines let it, and does without."""


class Held:
    """One restore, from its begin until it may go or may not."""

    def __init__(
        self, charge: Charge, bundle: tuple[str, ...], stdio: tuple[int, int, int]
    ) -> None:
        self._run = Path(charge.bundle)
        self._log = self._run / "runc.log"
        gate = self._run / "go"
        for path in (gate, self._run / "held", self._log):
            path.unlink(missing_ok=True)
        os.mkfifo(gate, 0o600)
        self._gate = os.open(gate, os.O_RDWR | os.O_CLOEXEC)
        stdin, stdout, stderr = stdio
        self._restoring = subprocess.Popen(  # noqa: S603 - as charged by the agent
            (
                *(charge.runc, "--root", charge.state, "--log", str(self._log)),
                *("--log-format", "json", "--criu", charge.criu, "restore", "--detach", *bundle),
                *("--image-path", charge.images, "--work-path", charge.bundle, *charge.saved),
                charge.name,
            ),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        for fd in stdio:
            os.close(fd)

    def pid(self) -> int:
        """Return its first process once it is held, 0 where it cannot be restored."""
        held = self._run / "held"
        while self._restoring.poll() is None and not held.exists():
            time.sleep(POLL_S)
        return int(held.read_text()) if held.exists() else 0

    def wait(self, given_up: Callable[[], bool]) -> bool:
        """Return whether it went; it does not once it is given up."""
        said = False
        while self._restoring.poll() is None:
            if given_up() and not said:
                os.write(self._gate, NO)
                said = True
            time.sleep(POLL_S)
        os.close(self._gate)
        return self._restoring.returncode == 0

    def why(self) -> str:
        """Say why it could not be restored."""
        said = self._log.read_text().splitlines() if self._log.is_file() else []
        first = first_error(self._run / "restore.log")
        return first or (said or ["runc restore failed"])[-1]


def first_error(log: Path) -> str:
    """Return what CRIU says went wrong first, "" where it says nothing."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    errors = (line.partition(")")[2].strip() for line in lines if "Error" in line)
    return next((error for error in errors if HARMLESS not in error), "")
