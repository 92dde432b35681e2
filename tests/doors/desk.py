"""A desk that keeps the promise of `Desk` without an engine behind it."""

import asyncio
import time
from collections.abc import Callable

from domain.dead import Letter, SettleDead
from domain.decider import Answered, Ask
from domain.host import HostCordoned
from domain.messages import (
    Accepted,
    Code,
    Command,
    DeadId,
    HostId,
    PublicCommand,
    Refusal,
    Tenant,
    Unchanged,
)
from domain.subjects import Subjects
from domain.tenant import KEPT_DEFAULT
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
        self.own: dict[str, Command | None] = {}
        self.given_up: list[Ask] = []
        self.charged: list[Tenant] = []
        self.kept = KEPT_DEFAULT
        self.limited: set[str] = set()
        self.letters: dict[DeadId, Letter] = {}
        self.answers: dict[str, tuple[bytes, Answered]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False
        self.overloads = 0
        self.broken: Exception | None = None
        self.refusal: Refusal | None = None

    def ask(self, ask: Ask) -> asyncio.Future[Answered]:
        if not isinstance(ask.command, PublicCommand):
            return self._of_ours(ask)
        told: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        if self.closed:
            told.set_exception(DeskClosedError())
            return told
        if self.broken is not None:
            told.set_exception(self.broken)
            return told
        self.asked.append(ask)
        if self.overloads or ask.tenant in self.limited:
            self.overloads -= bool(self.overloads)
            told.set_result(Answered(Refusal(Code.RATE_LIMITED, "too much at once"), 0))
            return told
        return asyncio.ensure_future(self._answered(ask))

    def _of_ours(self, ask: Ask) -> asyncio.Future[Answered]:
        self.own[ask.id] = ask.command
        if isinstance(ask.command, SettleDead):
            self.letters.pop(ask.command.dead)
        told: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        if self.closed:
            told.set_exception(DeskClosedError())
        else:
            told.set_result(Answered(Unchanged(), 0))
        return told

    def give_up(self, ask: Ask) -> asyncio.Future[Answered]:
        self.given_up.append(ask)
        told: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        told.set_result(Answered(Refusal(Code.INTERNAL, "given up"), 1))
        return told

    def knows(self, ask: Ask) -> bool:
        return ask.id in self.answers or ask.id in self.own

    def charge(self, tenant: Tenant) -> Refusal | None:
        self.charged.append(tenant)
        return None

    def kept_max(self, _tenant: Tenant) -> int:
        return self.kept

    async def _answered(self, ask: Ask) -> Answered:
        await self.gate.wait()
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
