"""Who asks the services of a lab, as processes: one that holds on, and many that do not."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import msgspec

from restow.demo.scene import DemoError
from restow.lab import caller, load
from restow.lab.servers import HTTP_PORT
from restow.lab.site import Lab

RATE = 300
"""Requests a second."""
LEAD_S = 0.5
ANSWER_S = 60.0


class Stretch(msgspec.Struct, frozen=True):
    """What the caller heard: answers so far, the last one, the longest gap since it was asked."""

    answers: int
    word: str
    count: int
    gap_ms: int


class Load(msgspec.Struct, frozen=True):
    """How requests went during an act."""

    act: str
    done: int
    failed: int
    what: str

    @property
    def why(self) -> str:
        return f": {self.what}" if self.failed else ""


class Line:
    """The connection that is held all the time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def stretch(self, *, ask: bool = True) -> Stretch:
        """Return how it went since this was asked before. Raises `DemoError` where it broke."""
        talk, ear = self._process.stdin, self._process.stdout
        if talk is not None and ask:
            talk.write(b"\n")
        async with asyncio.timeout(ANSWER_S):
            said = b"" if ear is None else await ear.readline()
        try:
            return _heard(said.decode().split())
        except ValueError as error:
            message = f"the connection did not go on: {said.decode() or 'the client died'}"
            raise DemoError(message) from error


def _heard(words: Sequence[str]) -> Stretch:
    """Read what the caller says. Raises `ValueError` where it says something else."""
    answers, word, count, gap_ms = words
    return Stretch(int(answers), word, int(count), int(gap_ms))


@asynccontextmanager
async def calling(address: str, port: int) -> AsyncGenerator[Line]:
    """Hold one connection during the block."""
    process = await _python(caller.__file__, address, str(port))
    try:
        yield Line(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def asking(lab: Lab, name: str, loads: list[Load], act: str) -> AsyncGenerator[None]:
    """Ask a layer by its name at a fixed rate during the block; then add how it went."""
    process = await _python(load.__file__, lab.fabric.edge, str(HTTP_PORT), name, str(RATE))
    try:
        await asyncio.sleep(LEAD_S)
        yield
        await asyncio.sleep(LEAD_S)
        said, _ = await process.communicate(b"")
        done, failed, what = said.decode().strip().split(maxsplit=2)
        loads.append(Load(act, int(done), int(failed), what))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _python(*words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-S", *words, stdin=pipe, stdout=pipe
    )
