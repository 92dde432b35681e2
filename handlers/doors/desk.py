"""What the doors lean on: the desk that answers, the bus, the clock and the dice."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from domain.dead import Letter
from domain.decider import Answered, Ask
from domain.messages import DeadId, Instant, Refusal, Tenant
from domain.subjects import Subjects
from handlers.bus import Bus


class DeskClosedError(RuntimeError):
    """This engine answers no more. The ask may be asked again, of another engine."""


class Desk(Protocol):
    """Answers asks, each once: asked again under the same id, the same answer."""

    def ask(self, ask: Ask) -> asyncio.Future[Answered]:
        """Answer when the answer stands in the journal. The future raises `DeskClosedError`.

        Whoever is turned away with `rate.limited` finds the future done at once.
        """
        ...

    def give_up(self, ask: Ask) -> asyncio.Future[Answered]:
        """Answer `internal` without deciding, unless there is an answer already."""
        ...

    def knows(self, ask: Ask) -> bool:
        """Say whether an ask has its answer."""
        ...

    def charge(self, tenant: Tenant) -> Refusal | None:
        """Charge a tenant for what is no command, or say when there is room for it again."""
        ...

    def kept_max(self, tenant: Tenant) -> int:
        """Return how many commands of a tenant may wait in the stream."""
        ...

    @property
    def letters(self) -> Mapping[DeadId, Letter]:
        """The dead letters of the region."""
        ...


class Doorway(msgspec.Struct, frozen=True):
    """What every door needs. `new_id` makes ids for asks without one and for traces."""

    bus: Bus
    subjects: Subjects
    desk: Desk
    new_id: Callable[[], str]
    now: Callable[[], Instant]
