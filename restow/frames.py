"""The journal of a region as projections read it, over the bus."""

from collections.abc import AsyncGenerator

from domain.decider import Frame
from domain.facts import Fact
from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.journal.reader import Head, Heard, before, end, follow
from handlers.journal.tail import Tail


class JournalFrames:
    """The journal as projections read it: a `projections.feed.Frames`."""

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        tail: Tail | None = None,
        heard: Heard | None = None,
    ) -> None:
        """With a `tail`, what is written now is read once for all who follow.

        `heard` is told of the traces of frames; see `handlers.journal.reader.follow`.
        """
        self._tail = tail
        self._heard = heard
        self._bus = bus
        self._subjects = subjects

    def follow(self, after: Head | None) -> AsyncGenerator[tuple[Head, Frame[Fact]]]:
        """Yield every verified frame after `after`, then those to come."""
        if self._tail is not None:
            return self._tail.follow(after or Head(), self._heard)
        return follow(self._bus, self._subjects, after or Head(), self._heard)

    async def before(self, position: int) -> Head | None:
        """Return the newest head without an event beyond `position`."""
        return await before(self._bus, self._subjects, position)

    async def end(self) -> int:
        """Return the position of the last event that is written now."""
        return await end(self._bus, self._subjects)
