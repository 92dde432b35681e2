"""Readings kept open for the pages that follow: a list stays as it was while it is read."""

from collections import deque
from collections.abc import Callable

from projections.keeping import Live
from projections.stores import Reader

PIN_S = 60.0
"""How long a page that follows may be asked for."""
PINS_MAX = 16
"""Readings that are kept open; the one that was used the longest ago is given up first."""


class Pin:
    """A reading that is open, and which views it is of."""

    def __init__(self, live: Live, reader: Reader, until: float) -> None:
        self.live = live
        self.reader = reader
        self.until = until


class Pins:
    """Open readings by their position. A reading that is taken belongs to whoever took it.

    As many lists are read at one position, so many readings of it are open: a list that goes on
    finds its own, or one that is just like it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: deque[tuple[int, Pin]] = deque()
        """The one that was kept first is in front."""

    async def take(self, position: int) -> Pin | None:
        """Return a reading at a position, which is in nobody else's hands then."""
        await self._expire()
        found = next((entry for entry in self._open if entry[0] == position), None)
        if found is None:
            return None
        self._open.remove(found)
        return found[1]

    async def keep(self, position: int, live: Live, reader: Reader) -> None:
        """Keep a reading open for the next page."""
        await self._expire()
        self._open.append((position, Pin(live, reader, self._clock() + PIN_S)))
        while len(self._open) > PINS_MAX:
            await self._close_first()

    async def close(self) -> None:
        while self._open:
            await self._close_first()

    async def _expire(self) -> None:
        now = self._clock()
        while self._open and self._open[0][1].until < now:
            await self._close_first()

    async def _close_first(self) -> None:
        _, pin = self._open.popleft()
        await pin.live.back(pin.reader)
