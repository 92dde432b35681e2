"""A desk that keeps the promise of `Desk` without an engine behind it."""

import asyncio

from domain.decider import Answered, Ask
from domain.host import HostCordoned
from domain.messages import Accepted, Code, HostId, Refusal
from handlers.doors import DeskClosedError


class RecordingDesk:
    """Answers each id once; the same id with another fingerprint is refused.

    While `gate` is not set, answers wait. `broken` is raised instead of an answer.
    """

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.answers: dict[str, tuple[bytes, Answered]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False
        self.broken: Exception | None = None
        self.refusal: Refusal | None = None

    async def ask(self, ask: Ask) -> Answered:
        if self.closed:
            raise DeskClosedError
        if self.broken is not None:
            raise self.broken
        self.asked.append(ask)
        await self.gate.wait()
        if ask.dry_run:
            plan = (HostCordoned(HostId("n")),)
            return Answered(Accepted(), len(self.answers), plan, dry_run=True)
        fingerprint, answered = self.answers.setdefault(ask.id, (ask.fingerprint, self.answer()))
        if fingerprint == ask.fingerprint:
            return answered
        return Answered(Refusal(Code.COMMAND_REUSED, f"{ask.id} was another command"), 0)

    def answer(self) -> Answered:
        """Return an answer that no other ask gets."""
        number = len(self.answers) + 1
        return Answered(self.refusal or Accepted(operation=f"op{number}", version=number), number)
