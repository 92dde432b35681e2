"""What the doors lean on: the desk that answers, the bus, the clock and the dice."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from domain.decider import Answered, Ask
from domain.messages import Instant
from domain.subjects import Subjects
from handlers.bus import Bus


class DeskClosedError(RuntimeError):
    """This engine answers no more. The ask may be asked again, of another engine."""


class Desk(Protocol):
    """Answers asks, each once: asked again under the same id, the same answer."""

    def ask(self, ask: Ask) -> Awaitable[Answered]:
        """Answer when the answer stands in the journal. Raises `DeskClosedError`.

        An `async def` will do; a future that is resolved later saves a task for every ask.
        """
        ...


class Doorway(msgspec.Struct, frozen=True):
    """What every door needs. `new_id` makes ids for asks without one and for traces."""

    bus: Bus
    subjects: Subjects
    desk: Desk
    new_id: Callable[[], str]
    now: Callable[[], Instant]
