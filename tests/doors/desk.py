"""A desk that keeps the promise of `Desk` without an engine behind it."""

import asyncio
import time
from collections.abc import Callable

from domain.decider import Answered, Ask
from domain.host import HostCordoned
from domain.messages import Accepted, Code, HostId, Refusal
from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.doors import DeskClosedError
from handlers.journal.stream import info
from tests.plans import plan_of

PATIENCE_S = 30


class RecordingDesk:
    """Answers each id once; the same id with another fingerprint is refused.

    While `gate` is not set, answers wait. `broken` is raised instead of an answer; `overloads` asks
    are turned away first.
    """

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.answers: dict[str, tuple[bytes, Answered]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False
        self.overloads = 0
        self.broken: Exception | None = None
        self.refusal: Refusal | None = None

    async def ask(self, ask: Ask) -> Answered:
        if self.closed:
            raise DeskClosedError
        if self.broken is not None:
            raise self.broken
        self.asked.append(ask)
        await self.gate.wait()
        if self.overloads:
            self.overloads -= 1
            return Answered(Refusal(Code.RATE_LIMITED, "too much at once"), 0)
        if ask.dry_run:
            return Answered(Accepted(), len(self.answers), plan_of(HostCordoned(HostId("n"))))
        fingerprint, answered = self.answers.setdefault(ask.id, (ask.fingerprint, self.answer()))
        if fingerprint == ask.fingerprint:
            return answered
        return Answered(Refusal(Code.COMMAND_REUSED, f"{ask.id} was another command"), 0)

    def answer(self) -> Answered:
        """Return an answer that no other ask gets."""
        number = len(self.answers) + 1
        return Answered(self.refusal or Accepted(operation=f"op{number}", version=number), number)


async def until(happened: Callable[[], bool]) -> None:
    """Wait until something has happened; fail if it does not in time."""
    give_up = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.01)


async def count(bus: Bus, stream: str) -> int:
    """Return how many messages a stream holds."""
    found = await info(bus, stream)
    assert found is not None
    return found.state.messages


async def all_taken(bus: Bus, subjects: Subjects) -> None:
    """Wait until no command is left in the stream."""
    give_up = time.monotonic() + PATIENCE_S
    while await count(bus, subjects.stream("CMD")):
        assert time.monotonic() < give_up
        await asyncio.sleep(0.01)
