"""The programs that set networks up: `ip`, `bridge` and `nft`, told many things at once.

The only module of the network that starts processes.
"""

import asyncio
from collections.abc import Sequence

STRETCH_S = 10.0
MISSING = ("No such file or directory", "Cannot find device", "does not exist")


class NetworkFailedError(RuntimeError):
    """A network could not be set up; the message says what was told and what came back."""


class Tools:
    """Tells a network what to be: this machine's, or that of a namespace that is named."""

    def __init__(self, namespace: str = "") -> None:
        self._inside = ("ip", "netns", "exec", namespace) if namespace else ()

    async def ip(self, *lines: str) -> None:
        """Carry out these lines of `ip`, in order. Raises `NetworkFailedError`."""
        await self._batch(("ip", "-batch", "-"), lines)

    async def bridge(self, *lines: str) -> None:
        """Carry out these lines of `bridge`, in order. Raises `NetworkFailedError`."""
        await self._batch(("bridge", "-batch", "-"), lines)

    async def nft(self, rules: str) -> None:
        """Take these rules in, all or none. Raises `NetworkFailedError`."""
        await self.run(("nft", "-f", "-"), rules)

    async def run(self, words: Sequence[str], said: str = "") -> str:
        """Run a program and return what it prints. Raises `NetworkFailedError`."""
        process = await asyncio.create_subprocess_exec(
            *self._inside,
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(STRETCH_S):
                out, wrong = await process.communicate(said.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            message = f"{' '.join(words)}: no answer within {STRETCH_S:.0f} s"
            raise NetworkFailedError(message) from None
        if process.returncode:
            message = f"{' '.join(words)}: {wrong.decode(errors='replace').strip()}\n{said}"
            raise NetworkFailedError(message.strip())
        return out.decode(errors="replace")

    async def _batch(self, words: Sequence[str], lines: Sequence[str]) -> None:
        if lines:
            await self.run(words, "\n".join((*lines, "")))
