"""The programs that set networks up: `ip` and `bridge`, told many things at once.

The only module of the network that starts processes. What it tells them takes a moment each.
"""

import subprocess
from collections.abc import Sequence

STRETCH_S = 10.0


class NetworkFailedError(RuntimeError):
    """A network could not be set up; the message says what was told and what came back."""


class Tools:
    """Tells a network what to be: this process's, or that of a namespace that is named."""

    def __init__(self, namespace: str = "") -> None:
        self._inside = ("ip", "netns", "exec", namespace) if namespace else ()

    def ip(self, *lines: str) -> None:
        """Carry out these lines of `ip`, in order. Raises `NetworkFailedError`."""
        self._batch(("ip", "-batch", "-"), lines)

    def bridge(self, *lines: str) -> None:
        """Carry out these lines of `bridge`, in order. Raises `NetworkFailedError`."""
        self._batch(("bridge", "-batch", "-"), lines)

    def run(self, words: Sequence[str], said: str = "") -> str:
        """Run a program and return what it prints. Raises `NetworkFailedError`."""
        try:
            ended = subprocess.run(  # noqa: S603 - programs and arguments of ours
                (*self._inside, *words),
                input=said.encode(),
                capture_output=True,
                check=False,
                timeout=STRETCH_S,
            )
        except subprocess.TimeoutExpired:
            message = f"{' '.join(words)}: no answer within {STRETCH_S:.0f} s"
            raise NetworkFailedError(message) from None
        if ended.returncode:
            wrong = ended.stderr.decode(errors="replace").strip()
            message = f"{' '.join(words)}: {wrong}\n{said}"
            raise NetworkFailedError(message.strip())
        return ended.stdout.decode(errors="replace")

    def _batch(self, words: Sequence[str], lines: Sequence[str]) -> None:
        if lines:
            self.run(words, "\n".join((*lines, "")))
